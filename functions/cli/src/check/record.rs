//! Records as they are sent and as they come.
//!
//! Owns: requests as their text has them, and what an answer says. Must never know: brokers, what an
//! answer should be.

use a2a_core::wire::kafka::header;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

/// A record of the agent's.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) key: Vec<u8>,
    pub(super) headers: Vec<(String, String)>,
    /// Null where it is no JSON.
    pub(super) value: Value,
    pub(super) at: Instant,
}

impl Answer {
    /// What that header says.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| &**value)
    }

    pub(super) fn is_last(&self) -> bool {
        self.header(header::LAST) == Some("true")
    }

    /// The reason of its error; empty where it is none.
    pub(super) fn reason(&self) -> &str {
        self.value.pointer("/error/data/0/reason").and_then(Value::as_str).unwrap_or_default()
    }

    /// That it is this error.
    pub(super) fn must_be(&self, reason: &str) -> Result<(), String> {
        let shown = || format!("{} in place of {reason}", self.shown());
        if self.reason() == reason { Ok(()) } else { Err(shown()) }
    }

    /// The task in its result.
    pub(super) fn task(&self) -> Result<&Value, String> {
        let result = &self.value["result"];
        let task = if result["task"].is_object() { &result["task"] } else { result };
        if task["id"].is_string() { Ok(task) } else { Err(format!("{} is no task", self.shown())) }
    }

    /// Its value, shortened.
    pub(super) fn shown(&self) -> String {
        let text = self.value.to_string();
        match text.char_indices().nth(300) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text,
        }
    }
}

/// A record to be sent.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// Random, unless it is put otherwise.
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) partition: Option<i32>,
}

impl Ask {
    /// A record with that value.
    pub(super) fn raw(value: impl Into<Vec<u8>>) -> Self {
        let key = Some(Uuid::new_v4().to_string().into_bytes());
        Self { key, value: Some(value.into()), headers: Vec::new(), partition: None }
    }

    /// A JSON-RPC request.
    pub(super) fn rpc(method: &str, params: &Value) -> Self {
        let value = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        Self::raw(value.to_string()).with(header::VERSION, "1.0")
    }

    /// The same with another header.
    pub(super) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// The same to that partition.
    pub(super) fn to(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }

    /// The same as another request.
    pub(super) fn anew(&self) -> Self {
        Self { key: Self::raw("").key, ..self.clone() }
    }
}

/// The params of a message that has the agent do what such an id asks for.
pub(super) fn message(trigger: &str) -> Value {
    let id = format!("{trigger}-{}", Uuid::new_v4());
    let parts = [json!({ "text": "check" })];
    json!({ "message": { "messageId": id, "role": "ROLE_USER", "parts": parts } })
}

/// The same in that context.
pub(super) fn message_in(trigger: &str, context: &str) -> Value {
    let mut params = message(trigger);
    params["message"]["contextId"] = context.into();
    params
}
