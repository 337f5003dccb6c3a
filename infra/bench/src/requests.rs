//! The bytes sent to servers, prepared beforehand, and what an answer must hold.

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

/// A whole HTTP request that asks our agent for `ask`.
pub(crate) fn http(binding: Binding, ask: Ask) -> Vec<u8> {
    let streaming = matches!(ask, Ask::Stream(_));
    let path = match (binding, streaming) {
        (Binding::Rest, false) => "/message:send",
        (Binding::Rest, true) => "/message:stream",
        (Binding::JsonRpc, _) => "/",
    };
    let body = match binding {
        Binding::Rest => params(ask),
        Binding::JsonRpc => envelope(ask),
    };
    post(path, &body.to_string())
}

/// A whole HTTP request that asks the raw SSE server for a stream.
pub(crate) fn raw_stream(chunks: usize) -> Vec<u8> {
    post(&format!("/stream/{chunks}"), "")
}

/// The value of a Kafka record that asks our agent for `ask`.
pub(crate) fn record(ask: Ask) -> Vec<u8> {
    envelope(ask).to_string().into_bytes()
}

/// What our agent's answer must hold. It is nowhere in the request, so an echo does not pass.
pub(crate) fn expected(ask: Ask) -> &'static str {
    match ask {
        Ask::Message => "ROLE_AGENT",
        Ask::Task | Ask::Stream(_) => "TASK_STATE_COMPLETED",
    }
}

/// What every echo must hold: it is in every request.
pub(crate) const ECHOED: &str = "ROLE_USER";

fn params(ask: Ask) -> Value {
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
        Ask::Message | Ask::Task => "SendMessage",
    };
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params(ask) })
}

fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\na2a-version: 1.0\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_the_length_of_its_body() {
        for binding in [Binding::Rest, Binding::JsonRpc] {
            let request = String::from_utf8(http(binding, Ask::Task)).expect("text");
            let (head, body) = request.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
            assert!(serde_json::from_str::<Value>(body).is_ok(), "{body}");
        }
    }

    #[test]
    fn an_echo_cannot_pass_for_our_answer() {
        for ask in [Ask::Message, Ask::Task, Ask::Stream(3)] {
            let request = String::from_utf8(http(Binding::JsonRpc, ask)).expect("text");
            assert!(!request.contains(expected(ask)));
            assert!(request.contains(ECHOED));
        }
    }

    #[test]
    fn the_operation_is_where_the_binding_has_it() {
        let has = |binding, ask, text: &str| {
            String::from_utf8(http(binding, ask)).expect("text").contains(text)
        };
        assert!(has(Binding::Rest, Ask::Message, "POST /message:send "));
        assert!(has(Binding::Rest, Ask::Stream(2), "POST /message:stream "));
        assert!(has(Binding::JsonRpc, Ask::Message, "\"SendMessage\""));
        assert!(has(Binding::JsonRpc, Ask::Stream(2), "\"SendStreamingMessage\""));
    }
}
