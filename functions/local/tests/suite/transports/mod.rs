//! The transports: each takes the same step and brings the reply into one form.
//!
//! The form: what the reply's JSON is in the HTTP+JSON binding; `{"stream": [...]}` for a stream;
//! `{"error": {reason, message, metadata, violations}}` for an error, whose codes the transport has
//! checked by then.

pub(crate) mod broker;
pub(crate) mod client;
pub(crate) mod client_http;
pub(crate) mod handler;
pub(crate) mod http;
pub(crate) mod kafka;

use a2a_core::Call;
use serde_json::{Value, json};

use crate::agents::Agent;

/// A step as a transport gets it.
pub(crate) struct Asked {
    /// The correlation id, where the transport has one.
    pub(crate) key: String,
    pub(crate) call: Call,
    pub(crate) version: &'static str,
    pub(crate) extensions: &'static str,
    /// Where streams stay open: leave after that many events.
    pub(crate) leaves_after: Option<usize>,
}

/// A transport in front of an agent.
pub(crate) trait Transport: Sized {
    /// With a store of its own.
    async fn open(agent: Agent) -> Self;

    /// Takes one step.
    async fn call(&self, asked: Asked) -> Value;

    /// Ends, and checks that it ends well.
    async fn close(self) {}
}

/// The specification's table of errors (section 5.4), and JSON-RPC's own; by reason: JSON-RPC code,
/// HTTP status, name.
const ERRORS: &[(&str, i64, u16, &str)] = &[
    ("TASK_NOT_FOUND", -32001, 404, "NOT_FOUND"),
    ("TASK_NOT_CANCELABLE", -32002, 400, "FAILED_PRECONDITION"),
    ("PUSH_NOTIFICATION_NOT_SUPPORTED", -32003, 400, "FAILED_PRECONDITION"),
    ("UNSUPPORTED_OPERATION", -32004, 400, "FAILED_PRECONDITION"),
    ("CONTENT_TYPE_NOT_SUPPORTED", -32005, 400, "INVALID_ARGUMENT"),
    ("EXTENDED_AGENT_CARD_NOT_CONFIGURED", -32007, 400, "FAILED_PRECONDITION"),
    ("EXTENSION_SUPPORT_REQUIRED", -32008, 400, "FAILED_PRECONDITION"),
    ("VERSION_NOT_SUPPORTED", -32009, 400, "FAILED_PRECONDITION"),
    ("INVALID_PARAMS", -32602, 400, "INVALID_ARGUMENT"),
];

/// An error of the JSON-RPC binding: `{code, message, data}`.
fn jsonrpc_error(error: &Value) -> Value {
    let (row, told) = details(&error["message"], &error["data"]);
    assert_eq!(error["code"], row.1, "{error}");
    told
}

/// An error of the HTTP+JSON binding: `{code, status, message, details}`.
fn rest_error(status: u16, error: &Value) -> Value {
    let (row, told) = details(&error["message"], &error["details"]);
    assert_eq!((status, &error["code"], &error["status"]), (row.2, &json!(row.2), &json!(row.3)));
    told
}

/// The row of the table, and the error in the common form.
fn details(
    message: &Value,
    details: &Value,
) -> (&'static (&'static str, i64, u16, &'static str), Value) {
    let info = &details[0];
    assert_eq!(info["@type"], "type.googleapis.com/google.rpc.ErrorInfo", "{details}");
    assert_eq!(info["domain"], "a2a-protocol.org", "{details}");
    let row = ERRORS.iter().find(|row| info["reason"] == row.0);
    let row = row.unwrap_or_else(|| panic!("no such reason: {details}"));
    let mut told = json!({ "reason": row.0, "message": message, "metadata": info["metadata"] });
    if let Some(fields) = details.get(1) {
        assert_eq!(fields["@type"], "type.googleapis.com/google.rpc.BadRequest", "{details}");
        told["violations"] = fields["fieldViolations"].clone();
    }
    (row, json!({ "error": told }))
}

/// The items of a stream; one that was refused before its first event is the refusal.
fn stream(mut items: Vec<Value>) -> Value {
    match items.first() {
        Some(first) if first.get("error").is_some() && items.len() == 1 => items.remove(0),
        _ => json!({ "stream": items }),
    }
}
