//! The one table from an error's meaning to its codes and back, and the bodies made of it.
//!
//! Owns: JSON-RPC codes, HTTP statuses, gRPC names, reasons (specification section 5.4), and the
//! error objects of the JSON-RPC (section 9.5) and REST (section 11.6) bindings. Must never know:
//! why something failed. An error's private source is never written.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::{Deserialize, Serialize, Serializer, ser::SerializeSeq};
use serde_json::value::RawValue;

use super::write;
use crate::error::{Error, ErrorKind, FieldViolation};

/// How many bytes of an error's sentence a client keeps.
pub const SENTENCE: usize = 4096;

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

/// The codes of every meaning, in the order of [`ErrorKind`]. JSON-RPC codes from -32050 down are
/// this project's own: what HTTP says with a status, and JSON-RPC has no word for. Where several
/// meanings have one code, the code alone means the first of them.
pub(super) const TABLE: [(ErrorKind, i32, u16, &str, &str); 22] = {
    use ErrorKind::*;
    const FAILED: &str = "FAILED_PRECONDITION";
    const INVALID: &str = "INVALID_ARGUMENT";
    [
        (TaskNotFound, -32001, 404, "NOT_FOUND", "TASK_NOT_FOUND"),
        (TaskNotCancelable, -32002, 400, FAILED, "TASK_NOT_CANCELABLE"),
        (PushNotificationNotSupported, -32003, 400, FAILED, "PUSH_NOTIFICATION_NOT_SUPPORTED"),
        (UnsupportedOperation, -32004, 400, FAILED, "UNSUPPORTED_OPERATION"),
        (ContentTypeNotSupported, -32005, 400, INVALID, "CONTENT_TYPE_NOT_SUPPORTED"),
        (InvalidAgentResponse, -32006, 500, "INTERNAL", "INVALID_AGENT_RESPONSE"),
        (ExtendedAgentCardNotConfigured, -32007, 400, FAILED, "EXTENDED_AGENT_CARD_NOT_CONFIGURED"),
        (ExtensionSupportRequired, -32008, 400, FAILED, "EXTENSION_SUPPORT_REQUIRED"),
        (VersionNotSupported, -32009, 400, FAILED, "VERSION_NOT_SUPPORTED"),
        (Parse, -32700, 400, INVALID, "PARSE_ERROR"),
        (InvalidRequest, -32600, 400, INVALID, "INVALID_REQUEST"),
        (MethodNotFound, -32601, 404, "NOT_FOUND", "METHOD_NOT_FOUND"),
        (MethodNotAllowed, -32601, 405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED"),
        (InvalidParams, -32602, 400, INVALID, "INVALID_PARAMS"),
        (TooLarge, -32600, 413, INVALID, "TOO_LARGE"),
        (UnsupportedMediaType, -32005, 415, INVALID, "UNSUPPORTED_MEDIA_TYPE"),
        (TooManyRequests, -32054, 429, "RESOURCE_EXHAUSTED", "TOO_MANY_REQUESTS"),
        (Unauthenticated, -32050, 401, "UNAUTHENTICATED", "UNAUTHENTICATED"),
        (PermissionDenied, -32051, 403, "PERMISSION_DENIED", "PERMISSION_DENIED"),
        (Unavailable, -32052, 503, "UNAVAILABLE", "UNAVAILABLE"),
        (DeadlineExceeded, -32053, 504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"),
        (Internal, -32603, 500, "INTERNAL", "INTERNAL"),
    ]
};

/// The codes for a meaning.
pub fn of(kind: ErrorKind) -> Status {
    let (_, jsonrpc, http, grpc, reason) = TABLE[kind as usize];
    // Every number in the table is a status.
    let http = StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Status { jsonrpc, http, grpc, reason }
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

/// An array with a `google.rpc.ErrorInfo`, and a `google.rpc.BadRequest` where fields are at fault.
/// It is JSON-RPC's `error.data` and REST's `error.details`.
struct Details<'a>(&'a Error);

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut details = serializer.serialize_seq(None)?;
        details.serialize_element(&ErrorInfo {
            type_url: "type.googleapis.com/google.rpc.ErrorInfo",
            reason: of(self.0.kind()).reason,
            domain: "a2a-protocol.org",
            // As a map, a key that was given twice is written once.
            metadata: self.0.metadata().iter().map(|(key, value)| (&**key, &**value)).collect(),
        })?;
        if !self.0.violations().is_empty() {
            details.serialize_element(&BadRequest {
                type_url: "type.googleapis.com/google.rpc.BadRequest",
                field_violations: self.0.violations(),
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
    metadata: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BadRequest<'a> {
    #[serde(rename = "@type")]
    type_url: &'static str,
    field_violations: &'a [FieldViolation],
}

/// The meaning of a JSON-RPC code. Of a code that is not in the table: the server's own fault where
/// JSON-RPC leaves it to servers, and no meaning elsewhere.
fn of_code(code: i64) -> Option<ErrorKind> {
    let known = TABLE.into_iter().find(|(_, jsonrpc, ..)| i64::from(*jsonrpc) == code);
    known
        .map(|(kind, ..)| kind)
        .or_else(|| (-32099..=-32000).contains(&code).then_some(ErrorKind::Internal))
}

/// The nearest meaning of an HTTP status by itself, as whatever stands before an agent answers. A
/// status that tells of no failure means that the answer is none.
fn of_http(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 | 410 => ErrorKind::MethodNotFound,
        405 => ErrorKind::MethodNotAllowed,
        408 | 504 => ErrorKind::DeadlineExceeded,
        413 => ErrorKind::TooLarge,
        415 => ErrorKind::ContentTypeNotSupported,
        429 | 502 | 503 => ErrorKind::Unavailable,
        400..500 => ErrorKind::InvalidRequest,
        500..600 => ErrorKind::Internal,
        _ => ErrorKind::InvalidAgentResponse,
    }
}

/// The error of an HTTP response that failed, whichever binding it is of: the error object in its
/// body where there is one, and otherwise what the status says.
pub fn read_failure(http: StatusCode, body: &[u8]) -> Error {
    let told = std::str::from_utf8(body).ok().and_then(|text| told_in(text, Some(http)));
    told.unwrap_or_else(|| {
        Error::new(of_http(http), format!("The agent answered with the HTTP status {http}."))
    })
}

/// The error in a body with the member `error`.
pub(super) fn told_in(text: &str, http: Option<StatusCode>) -> Option<Error> {
    #[derive(Deserialize)]
    struct Failed<'a> {
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    let failed: Failed = serde_json::from_str(text).ok()?;
    Some(read_error(failed.error?.get(), http))
}

/// Reads an error object of either binding back to what it means: by its reason, else by its code,
/// else by the response's HTTP status. An error without any of these keeps its sentence, and means
/// that the answer is none. A code that is not in the table is kept as the detail `code`.
pub(super) fn read_error(object: &str, http: Option<StatusCode>) -> Error {
    let told: Told = serde_json::from_str(object).unwrap_or_default();
    let bare = || serde_json::from_str::<String>(object).ok();
    let message = told.message.or_else(bare).filter(|message| !message.is_empty());
    let mut message = message.unwrap_or_else(|| "The agent failed and did not say why.".to_owned());
    if message.len() > SENTENCE {
        message.truncate(message.floor_char_boundary(SENTENCE));
        message.push('…');
    }
    let details = told.details.map(read_details).unwrap_or_default();
    let by_reason = details.reason.and_then(|reason| TABLE.into_iter().find(|it| it.4 == reason));
    let by_reason = by_reason.map(|(kind, ..)| kind);
    let code = told.code.and_then(|code| code.get().parse::<i64>().ok());
    // HTTP+JSON writes the status as the code.
    let http = http.or_else(|| StatusCode::from_u16(u16::try_from(code?).ok()?).ok());
    let kind = by_reason.or_else(|| of_code(code?)).or_else(|| http.map(of_http));
    let mut error = Error::new(kind.unwrap_or(ErrorKind::InvalidAgentResponse), message)
        .with_violations(details.violations);
    for (key, value) in details.metadata {
        error = error.with(key, value);
    }
    match code {
        Some(code) if by_reason.is_none() && !in_table(code) => {
            error.with("code", code.to_string())
        }
        _ => error,
    }
}

fn in_table(code: i64) -> bool {
    let is = |it: i64| it == code;
    TABLE.into_iter().any(|(_, jsonrpc, http, ..)| is(jsonrpc.into()) || is(http.into()))
}

/// An error object, unread: JSON-RPC's, or HTTP+JSON's.
#[derive(Default, Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    message: Option<String>,
    #[serde(borrow, alias = "data")]
    details: Option<&'a RawValue>,
}

#[derive(Default)]
struct ToldDetails {
    reason: Option<String>,
    metadata: BTreeMap<String, String>,
    violations: Vec<FieldViolation>,
}

/// Reads what [`Details`] wrote, and of other details what is alike: they are any server's own.
fn read_details(details: &RawValue) -> ToldDetails {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Detail<'a> {
        reason: Option<String>,
        #[serde(borrow)]
        metadata: Option<&'a RawValue>,
        field_violations: Option<Vec<FieldViolation>>,
    }
    let mut told = ToldDetails::default();
    let details: Vec<&RawValue> = serde_json::from_str(details.get()).unwrap_or_default();
    for detail in details.iter().filter_map(|it| serde_json::from_str::<Detail>(it.get()).ok()) {
        told.reason = told.reason.or(detail.reason);
        let metadata = detail.metadata.and_then(|it| serde_json::from_str(it.get()).ok());
        told.metadata.extend::<BTreeMap<String, String>>(metadata.unwrap_or_default());
        told.violations.extend(detail.field_violations.unwrap_or_default());
    }
    told
}

#[cfg(test)]
mod tests;
