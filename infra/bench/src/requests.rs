//! What is sent to servers, prepared beforehand, and what an answer must hold.

use serde_json::{Value, json};

use crate::subjects::{Ask, prompt};

/// A form of the protocol over HTTP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Binding {
    /// HTTP+JSON: an operation is a path.
    Rest,
    /// JSON-RPC: an operation is a member of the body.
    JsonRpc,
}

impl Binding {
    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rest => "HTTP+JSON",
            Self::JsonRpc => "JSON-RPC",
        }
    }
}

/// A POST.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) body: String,
}

/// A request that asks our agent for `ask`.
pub(crate) fn http(binding: Binding, ask: Ask) -> Request {
    let (path, body) = match (binding, ask) {
        (Binding::JsonRpc, _) => ("/", envelope(ask)),
        (Binding::Rest, Ask::Stream(_)) => ("/message:stream", params(ask)),
        (Binding::Rest, _) => ("/message:send", params(ask)),
    };
    Request { path: path.to_owned(), body: body.to_string() }
}

/// A request that asks the raw SSE server for a stream.
pub(crate) fn raw_stream(chunks: usize) -> Request {
    Request { path: format!("/stream/{chunks}"), body: String::new() }
}

/// The value of a Kafka record that asks our agent for `ask`.
pub(crate) fn record(ask: Ask) -> Vec<u8> {
    envelope(ask).to_string().into_bytes()
}

/// What our agent's answer must hold. It is nowhere in the request, so an echo does not pass.
pub(crate) const fn expected(ask: Ask) -> &'static str {
    match ask {
        Ask::Message => "ROLE_AGENT",
        _ => "TASK_STATE_COMPLETED",
    }
}

/// What every echo must hold: it is in every request.
pub(crate) const ECHOED: &str = "ROLE_USER";

/// The same, to be answered at once.
pub(crate) fn immediate(mut params: Value) -> Value {
    params["configuration"] = json!({ "returnImmediately": true });
    params
}

/// What `SendMessage` takes.
pub(crate) fn params(ask: Ask) -> Value {
    json!({
        "message": {
            "messageId": "7d4a2f0e-6b1c-4f55-9d38-0c2b8a9e1f60",
            "role": "ROLE_USER",
            "parts": [{ "text": prompt(ask) }],
        }
    })
}

fn envelope(ask: Ask) -> Value {
    let method = match ask {
        Ask::Stream(_) => "SendStreamingMessage",
        _ => "SendMessage",
    };
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params(ask) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_cannot_pass_for_our_answer() {
        for ask in [Ask::Message, Ask::Task, Ask::Stream(3)] {
            let Request { body, .. } = http(Binding::JsonRpc, ask);
            assert!(!body.contains(expected(ask)));
            assert!(body.contains(ECHOED));
        }
    }

    #[test]
    fn the_operation_is_where_the_binding_has_it() {
        let path = |ask| http(Binding::Rest, ask).path;
        assert_eq!(path(Ask::Message), "/message:send");
        assert_eq!(path(Ask::Stream(2)), "/message:stream");
        let body = |ask| http(Binding::JsonRpc, ask).body;
        assert!(body(Ask::Message).contains("\"SendMessage\""));
        assert!(body(Ask::Stream(2)).contains("\"SendStreamingMessage\""));
        for binding in [Binding::Rest, Binding::JsonRpc] {
            assert!(serde_json::from_str::<Value>(&http(binding, Ask::Task).body).is_ok());
        }
    }
}
