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
            metadata: self.0.metadata().iter().map(|(key, value)| (&**key, &**value)).collect(),
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
    metadata: BTreeMap<&'a str, &'a str>,
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

/// Every meaning. Where several have one code, the code alone means the first of them.
pub(super) const KINDS: [ErrorKind; 20] = [
    ErrorKind::TaskNotFound,
    ErrorKind::TaskNotCancelable,
    ErrorKind::PushNotificationNotSupported,
    ErrorKind::UnsupportedOperation,
    ErrorKind::ContentTypeNotSupported,
    ErrorKind::InvalidAgentResponse,
    ErrorKind::ExtendedAgentCardNotConfigured,
    ErrorKind::ExtensionSupportRequired,
    ErrorKind::VersionNotSupported,
    ErrorKind::Parse,
    ErrorKind::InvalidRequest,
    ErrorKind::MethodNotFound,
    ErrorKind::MethodNotAllowed,
    ErrorKind::InvalidParams,
    ErrorKind::TooLarge,
    ErrorKind::Unauthenticated,
    ErrorKind::PermissionDenied,
    ErrorKind::Unavailable,
    ErrorKind::DeadlineExceeded,
    ErrorKind::Internal,
];

/// The meaning of a JSON-RPC code. Of a code that is not in the table: the server's own fault where
/// JSON-RPC leaves it to servers, and no meaning elsewhere.
fn of_code(code: i64) -> Option<ErrorKind> {
    let known = KINDS.into_iter().find(|kind| i64::from(of(*kind).jsonrpc) == code);
    known.or_else(|| (-32099..=-32000).contains(&code).then_some(ErrorKind::Internal))
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
    let message = message.unwrap_or_else(|| "The agent failed and did not say why.".to_owned());
    let details = told.details.map(read_details).unwrap_or_default();
    let by_reason =
        details.reason.and_then(|reason| KINDS.into_iter().find(|kind| of(*kind).reason == reason));
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
    KINDS.into_iter().any(|kind| {
        let status = of(kind);
        i64::from(status.jsonrpc) == code || i64::from(status.http.as_u16()) == code
    })
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
        field_violations: Option<Vec<ToldViolation>>,
    }
    #[derive(Deserialize)]
    struct ToldViolation {
        #[serde(default)]
        field: String,
        #[serde(default)]
        description: String,
    }
    let mut told = ToldDetails::default();
    let details: Vec<&RawValue> = serde_json::from_str(details.get()).unwrap_or_default();
    for detail in details.iter().filter_map(|it| serde_json::from_str::<Detail>(it.get()).ok()) {
        told.reason = told.reason.or(detail.reason);
        let metadata = detail.metadata.and_then(|it| serde_json::from_str(it.get()).ok());
        told.metadata.extend::<BTreeMap<String, String>>(metadata.unwrap_or_default());
        let violations = detail.field_violations.unwrap_or_default().into_iter();
        told.violations.extend(
            violations
                .map(|ToldViolation { field, description }| FieldViolation { field, description }),
        );
    }
    told
}

#[cfg(test)]
mod tests;
