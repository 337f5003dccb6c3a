//! The wire: bytes to [`Call`](crate::call::Call) and [`Reply`](crate::call::Reply) to bytes, for
//! every transport, and for its clients the other way round.
//!
//! Owns: method names, paths, query names, error codes, record forms, and the reading and writing
//! of them all. Encode and decode stand side by side. Must never know: the clock, the runtime,
//! stores, handlers, and whether a request makes sense (that is
//! `call::validate`'s, once for all transports).
//!
//! Fast by design: the envelope is read in one pass that borrows, the parameters are read from
//! their raw text straight into the typed request, and what is written goes straight into one
//! buffer. There is no tree of values in between. A request that cannot be read is read a second
//! time, slowly, to name the field that is at fault.

mod answer;
mod brief;
pub mod jsonrpc;
pub mod kafka;
mod newer;
#[cfg_attr(not(feature = "client"), expect(dead_code, reason = "a server reads, and names none"))]
pub(crate) mod parameters;
mod query;
pub mod rest;
pub mod shown;
pub mod sse;
pub mod status;

#[cfg(test)]
pub(crate) mod arbitrary;

use std::borrow::Cow;

use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::error::{Error, ErrorKind};

/// The request as text.
///
/// # Errors
/// [`ErrorKind::Parse`] when it is not UTF-8, as JSON must be.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|error| not_json(&error))
}

/// The request as the text of a JSON object, as far as its first character shows. serde would take
/// an array for a struct, field by field; the protocol does not.
///
/// # Errors
/// [`ErrorKind::Parse`] when it is no JSON, [`ErrorKind::InvalidRequest`] when it is another JSON
/// value.
pub(crate) fn object(bytes: &[u8]) -> Result<&str, Error> {
    let text = text(bytes)?;
    if is_object(text) {
        return Ok(text);
    }
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Err(Error::new(ErrorKind::InvalidRequest, "The request must be a JSON object.")),
        Err(error) => Err(not_json(&error)),
    }
}

/// Whether JSON text begins an object.
pub(crate) fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{')
}

/// Reads a `T` from the text of a JSON object.
///
/// # Errors
/// [`ErrorKind::Parse`] when it is no JSON, [`ErrorKind::InvalidParams`] naming the field when it
/// is no `T`.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|_| explain::<T>(text))
}

/// Reads again what could not be read, to say why. Most requests never come here, so they do not
/// pay for the tracking.
#[cold]
fn explain<T: DeserializeOwned>(text: &str) -> Error {
    // serde_json counts a number out of range among the syntax errors; for its author it is a wrong
    // value.
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return not_json(&error);
    }
    match serde_path_to_error::deserialize::<_, T>(&mut serde_json::Deserializer::from_str(text)) {
        Err(error) => wrong_field(&error.path().to_string(), &without_position(error.inner())),
        Ok(_) => Error::internal("a request was read the second time, but not the first"),
    }
}

/// The error for JSON, or a query, that is well-formed but no such request. `path` is
/// serde_path_to_error's.
pub(crate) fn wrong_field(path: &str, reason: &str) -> Error {
    let reason = shortened(reason);
    if path.is_empty() || path == "." {
        Error::new(ErrorKind::InvalidParams, format!("The parameters are wrong: {reason}."))
    } else {
        Error::invalid_field(path, format!("is wrong: {reason}"))
    }
}

/// Whether a media type, its parameters apart, is JSON's or one made of it.
pub(crate) fn is_json_type(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// A text of the caller's, or one that quotes it, without its middle where it is long: a request of
/// megabytes must not make an error of megabytes. What was expected instead stands at its end.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    const HALF: usize = 120;
    let head = text.floor_char_boundary(HALF);
    let tail = text.ceil_char_boundary(text.len().saturating_sub(HALF));
    if head >= tail { text.into() } else { format!("{}…{}", &text[..head], &text[tail..]).into() }
}

fn not_json(reason: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Parse, format!("The request is not valid JSON: {reason}."))
}

/// The place is that of the field within its parameters, not within the request: it would only
/// mislead.
fn without_position(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.truncate(text.strip_suffix(&position).unwrap_or(&text).len());
    text
}

/// Adds `value` to `out` as JSON on one line.
///
/// # Errors
/// [`ErrorKind::Internal`], and `out` is as it was, when `value` cannot be written.
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) -> Result<(), Error> {
    let start = out.len();
    serde_json::to_writer(&mut *out, value).map_err(|error| {
        out.truncate(start);
        Error::internal(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{CancelTaskRequest, ListTasksRequest, SendMessageRequest};

    fn fault<T: DeserializeOwned>(text: &str) -> (ErrorKind, String) {
        let error = read::<T>(text).err().unwrap();
        (error.kind(), error.to_string())
    }

    #[test]
    fn faults_are_named_by_path() {
        for (request, message) in [
            (
                r#"{"message":{"parts":[{"text":"a","url":"b"}]}}"#,
                "message.parts[0] is wrong: a part holds only one of text, raw, url, data",
            ),
            (
                r#"{"message":{"parts":[{"text":"a"},{"raw":"*"}]}}"#,
                "message.parts[1] is wrong: Invalid symbol 42, offset 0.",
            ),
            (
                r#"{"message":{"messageId":5}}"#,
                "message.messageId is wrong: invalid type: integer `5`, expected a string",
            ),
            (r#"{"message":{"metadata":[]}}"#, "message.metadata is wrong: expected a JSON object"),
            (
                r#"{"configuration":{"historyLength":1e999}}"#,
                "configuration.historyLength is wrong: number out of range",
            ),
            (
                r#"{"tenant":"a","tenant":"b"}"#,
                "The parameters are wrong: duplicate field `tenant`.",
            ),
        ] {
            let expected = (ErrorKind::InvalidParams, message.to_owned());
            assert_eq!(fault::<SendMessageRequest>(request), expected, "{request}");
        }
    }

    #[test]
    fn errors_are_short_however_long_the_request() {
        let (_, message) = fault::<SendMessageRequest>(&format!(
            r#"{{"message":{{"role":"{}"}}}}"#,
            "é".repeat(100_000)
        ));
        assert!(
            message.starts_with("message.role is wrong: invalid value: string \"éé"),
            "{message}"
        );
        assert!(message.ends_with("éé\", expected ROLE_USER or ROLE_AGENT"), "{message}");
        assert!(message.len() < 300, "{message}");
        assert_eq!(shortened(&"é".repeat(120)), "é".repeat(120));
    }

    #[test]
    fn depth_is_a_fault_of_the_field() {
        let nested = format!("{}{}", "[".repeat(300), "]".repeat(300));
        let (kind, message) =
            fault::<CancelTaskRequest>(&format!(r#"{{"metadata":{{"a":{nested}}}}}"#));
        assert_eq!(kind, ErrorKind::InvalidParams);
        assert_eq!(message, "metadata is wrong: JSON nested deeper than 100 levels");
        // What is not read has no depth, and costs no stack.
        let endless = format!(r#"{{"x":{}{}}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert!(read::<CancelTaskRequest>(&endless).is_ok());
    }

    #[test]
    fn broken_json_is_a_parse_error_wherever_it_breaks() {
        for broken in [r#"{"pageSize":"#, r#"{"pageSize":[],"#, r#"{"pageSize":5}}"#, ""] {
            let (kind, message) = fault::<ListTasksRequest>(broken);
            assert_eq!(kind, ErrorKind::Parse, "{broken}");
            assert!(message.starts_with("The request is not valid JSON: "), "{message}");
        }
        assert_eq!(text(b"{\"a\":\"\xff\"}").unwrap_err().kind(), ErrorKind::Parse);
    }

    #[test]
    fn only_an_object_is_a_request() {
        for (body, kind) in [
            (&b"[]"[..], ErrorKind::InvalidRequest),
            (b" 5", ErrorKind::InvalidRequest),
            (b"\"a\"", ErrorKind::InvalidRequest),
            (b"null", ErrorKind::InvalidRequest),
            (b"[", ErrorKind::Parse),
            (b"", ErrorKind::Parse),
            (b"hello", ErrorKind::Parse),
            (b"\xef\xbb\xbf{}", ErrorKind::Parse),
        ] {
            assert_eq!(object(body).unwrap_err().kind(), kind, "{body:?}");
        }
        assert!(object(b"\r\n {}").is_ok());
    }
}
