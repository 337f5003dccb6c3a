//! The one table from an error's meaning to its codes, and the bodies made of it.
//!
//! Owns: JSON-RPC codes, HTTP statuses, gRPC names, reasons (specification section 5.4), and the
//! error objects of the JSON-RPC (section 9.5) and REST (section 11.6) bindings. Must never know:
//! why something failed. An error's private source is never written.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::{Serialize, Serializer, ser::SerializeSeq};

use super::write;
use crate::{
    error::{Error, ErrorKind},
    types::FieldViolation,
};

/// How an [`ErrorKind`] is told to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// `error.code` in JSON-RPC.
    pub jsonrpc: i32,
    /// The status of an HTTP response in the REST binding.
    pub http: StatusCode,
    /// gRPC's name for it; `error.status` in the REST binding.
    pub grpc: &'static str,
    /// `google.rpc.ErrorInfo.reason`: the name by which programs tell errors apart.
    pub reason: &'static str,
}

/// The codes for a meaning. JSON-RPC codes from -32050 down are this project's own: what HTTP says
/// with a status, and JSON-RPC has no word for.
pub fn of(kind: ErrorKind) -> Status {
    use ErrorKind as Kind;
    let (jsonrpc, http, grpc, reason) = match kind {
        Kind::TaskNotFound => (-32001, 404, "NOT_FOUND", "TASK_NOT_FOUND"),
        Kind::TaskNotCancelable => (-32002, 400, "FAILED_PRECONDITION", "TASK_NOT_CANCELABLE"),
        Kind::PushNotificationNotSupported => {
            (-32003, 400, "FAILED_PRECONDITION", "PUSH_NOTIFICATION_NOT_SUPPORTED")
        }
        Kind::UnsupportedOperation => (-32004, 400, "FAILED_PRECONDITION", "UNSUPPORTED_OPERATION"),
        Kind::ContentTypeNotSupported => {
            (-32005, 400, "INVALID_ARGUMENT", "CONTENT_TYPE_NOT_SUPPORTED")
        }
        Kind::InvalidAgentResponse => (-32006, 500, "INTERNAL", "INVALID_AGENT_RESPONSE"),
        Kind::ExtendedAgentCardNotConfigured => {
            (-32007, 400, "FAILED_PRECONDITION", "EXTENDED_AGENT_CARD_NOT_CONFIGURED")
        }
        Kind::ExtensionSupportRequired => {
            (-32008, 400, "FAILED_PRECONDITION", "EXTENSION_SUPPORT_REQUIRED")
        }
        Kind::VersionNotSupported => (-32009, 400, "FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED"),
        Kind::Parse => (-32700, 400, "INVALID_ARGUMENT", "PARSE_ERROR"),
        Kind::InvalidRequest => (-32600, 400, "INVALID_ARGUMENT", "INVALID_REQUEST"),
        Kind::MethodNotFound => (-32601, 404, "NOT_FOUND", "METHOD_NOT_FOUND"),
        Kind::MethodNotAllowed => (-32601, 405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED"),
        Kind::InvalidParams => (-32602, 400, "INVALID_ARGUMENT", "INVALID_PARAMS"),
        Kind::TooLarge => (-32600, 413, "INVALID_ARGUMENT", "TOO_LARGE"),
        Kind::Unauthenticated => (-32050, 401, "UNAUTHENTICATED", "UNAUTHENTICATED"),
        Kind::PermissionDenied => (-32051, 403, "PERMISSION_DENIED", "PERMISSION_DENIED"),
        Kind::Unavailable => (-32052, 503, "UNAVAILABLE", "UNAVAILABLE"),
        Kind::DeadlineExceeded => (-32053, 504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
        Kind::Internal => (-32603, 500, "INTERNAL", "INTERNAL"),
    };
    // Every number in the table is a status.
    let http = StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Status { jsonrpc, http, grpc, reason }
}

/// An error's details: an array with a `google.rpc.ErrorInfo`, and a `google.rpc.BadRequest` where
/// fields are at fault. It is JSON-RPC's `error.data` and REST's `error.details`.
pub fn details(error: &Error) -> impl Serialize {
    Details(error)
}

/// The body of a failed REST call (specification section 11.6).
pub fn rest_error(error: &Error) -> Vec<u8> {
    let status = of(error.kind());
    let error = RestError {
        code: status.http.as_u16(),
        status: status.grpc,
        message: error.message(),
        details: Details(error),
    };
    written(&Wrapped { error })
}

/// JSON-RPC's error object (specification section 9.5), without its envelope.
pub fn jsonrpc_error(error: &Error) -> impl Serialize {
    RpcError { code: of(error.kind()).jsonrpc, message: error.message(), data: Details(error) }
}

/// The error object alone, as the brief's own record form answers: `{"error": {code, message,
/// data}}`.
pub(super) fn bare_error(error: &Error) -> Vec<u8> {
    written(&Wrapped { error: jsonrpc_error(error) })
}

fn written<T: Serialize>(body: &T) -> Vec<u8> {
    let mut out = Vec::new();
    // Texts and numbers can always be written.
    let _ = write(&mut out, body);
    out
}

#[derive(Serialize)]
struct Wrapped<T> {
    error: T,
}

#[derive(Serialize)]
struct RestError<'a> {
    code: u16,
    status: &'static str,
    message: &'a str,
    details: Details<'a>,
}

#[derive(Serialize)]
struct RpcError<'a> {
    code: i32,
    message: &'a str,
    data: Details<'a>,
}

struct Details<'a>(&'a Error);

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut details = serializer.serialize_seq(None)?;
        details.serialize_element(&ErrorInfo {
            type_url: "type.googleapis.com/google.rpc.ErrorInfo",
            reason: of(self.0.kind()).reason,
            domain: "a2a-protocol.org",
            // As a map, a key that was given twice is written once.
            metadata: self.0.metadata().iter().map(|(key, value)| (*key, &**value)).collect(),
        })?;
        if !self.0.violations().is_empty() {
            details.serialize_element(&BadRequest {
                type_url: "type.googleapis.com/google.rpc.BadRequest",
                field_violations: self.0.violations().iter().map(Violation::from).collect(),
            })?;
        }
        details.end()
    }
}

#[derive(Serialize)]
struct ErrorInfo<'a> {
    #[serde(rename = "@type")]
    type_url: &'static str,
    reason: &'static str,
    domain: &'static str,
    /// Texts only: the Go client drops the whole object otherwise.
    metadata: BTreeMap<&'static str, &'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BadRequest<'a> {
    #[serde(rename = "@type")]
    type_url: &'static str,
    field_violations: Vec<Violation<'a>>,
}

#[derive(Serialize)]
struct Violation<'a> {
    field: &'a str,
    description: &'a str,
}

impl<'a> From<&'a FieldViolation> for Violation<'a> {
    fn from(violation: &'a FieldViolation) -> Self {
        Self { field: &violation.field, description: &violation.description }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::wire::arbitrary::KINDS;

    #[test]
    fn every_meaning_has_its_own_reason_and_a_failing_status() {
        let mut reasons = HashSet::new();
        for kind in KINDS {
            let status = of(kind);
            assert!(status.http.is_client_error() || status.http.is_server_error(), "{kind:?}");
            assert!(reasons.insert(status.reason), "{}", status.reason);
            // Section 9.5: the standard's codes, and A2A's range, of which ours leave room for
            // A2A's own.
            assert!(
                matches!(status.jsonrpc, -32700 | -32603..=-32600 | -32059..=-32050 | -32009..=-32001),
                "{kind:?}"
            );
        }
        assert_eq!(of(ErrorKind::TooLarge).http, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(of(ErrorKind::MethodNotAllowed).http, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn rest_body() {
        let error = Error::task_not_found("t\"1").with_source("secret");
        assert_eq!(
            String::from_utf8(rest_error(&error)).unwrap(),
            concat!(
                r#"{"error":{"code":404,"status":"NOT_FOUND","message":"There is no task \"t\\\"1\".","#,
                r#""details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","#,
                r#""reason":"TASK_NOT_FOUND","domain":"a2a-protocol.org","#,
                r#""metadata":{"taskId":"t\"1"}}]}}"#
            )
        );
    }

    #[test]
    fn jsonrpc_object_lists_the_fields_at_fault() {
        let error = Error::invalid_field("message", "is required").with("a", "1").with("a", "2");
        assert_eq!(
            serde_json::to_string(&jsonrpc_error(&error)).unwrap(),
            concat!(
                r#"{"code":-32602,"message":"message is required","#,
                r#""data":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","#,
                r#""reason":"INVALID_PARAMS","domain":"a2a-protocol.org","metadata":{"a":"2"}},"#,
                r#"{"@type":"type.googleapis.com/google.rpc.BadRequest","#,
                r#""fieldViolations":[{"field":"message","description":"is required"}]}]}"#
            )
        );
    }

    #[test]
    fn causes_stay_private() {
        let error = Error::internal("the password is 1234");
        for body in [rest_error(&error), bare_error(&error)] {
            let body = String::from_utf8(body).unwrap();
            assert!(!body.contains("1234"), "{body}");
            assert!(body.starts_with(r#"{"error":{"#), "{body}");
        }
    }
}
