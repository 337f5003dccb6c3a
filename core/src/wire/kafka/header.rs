//! The headers of the binding's records: their names, and what a request's may say.
//!
//! Owns: names, sizes, which are a request's and which an answer's. Must never know: values, keys,
//! topics, what a call does.
//!
//! Names are written in lower case and read in any. A header of another name is not looked
//! at, even if it begins with `a2a-`.

use bytes::Bytes;

use crate::{
    error::{Error, ErrorKind},
    limits::Limits,
    types::Timestamp,
    wire::{is_json_type, shortened},
};

/// The protocol's version, `Major.Minor`; in requests and in answers.
pub const VERSION: &str = "a2a-version";
/// The extensions a caller knows, with commas between; in an answer those that were active.
pub const EXTENSIONS: &str = "a2a-extensions";
/// The idempotency key, under which the client may retry the request.
pub const IDEMPOTENCY_KEY: &str = "a2a-idempotency-key";
/// The same by HTTP's name for it.
pub const HTTP_IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The topic the client wants its answers on.
pub const REPLY_TO: &str = "a2a-reply-to";
/// Until when the client waits for the answer: RFC 3339, or milliseconds since 1970.
pub const DEADLINE: &str = "a2a-deadline";
/// The event after which a stream is to go on.
pub const LAST_EVENT_ID: &str = "a2a-last-event-id";
/// A client's credentials, as HTTP has them: a scheme and a value.
pub const AUTHORIZATION: &str = "authorization";
/// The caller's distributed trace (W3C Trace Context); in requests and in answers.
pub const TRACEPARENT: &str = "traceparent";
/// What tracing systems add to it; in requests.
pub const TRACESTATE: &str = "tracestate";
/// The media type of the value; in requests and in answers.
pub const CONTENT_TYPE: &str = "content-type";

/// An event's cursor in its task's journal.
pub const EVENT_ID: &str = "a2a-event-id";
/// `true` on a stream's last record, and on no other.
pub const LAST: &str = "a2a-last";
/// `true` on an event that takes the place of all that was told of the task before.
pub const RESTART: &str = "a2a-restart";
/// What credentials an answer [`Unauthenticated`](ErrorKind::Unauthenticated) asks for, as HTTP has it.
pub const WWW_AUTHENTICATE: &str = "www-authenticate";
/// Why a record is a dead letter, in a sentence. Each further header of a dead letter begins so.
pub const ERROR: &str = "a2a-error";
/// The same in the word by which programs tell errors apart.
pub const ERROR_REASON: &str = "a2a-error-reason";
/// The topic a dead letter was read from.
pub const ERROR_TOPIC: &str = "a2a-error-topic";
/// The partition it was read from.
pub const ERROR_PARTITION: &str = "a2a-error-partition";
/// Its offset there.
pub const ERROR_OFFSET: &str = "a2a-error-offset";
/// Its time there, in milliseconds since 1970.
pub const ERROR_TIMESTAMP: &str = "a2a-error-timestamp";
/// How often it was delivered.
pub const ERROR_ATTEMPTS: &str = "a2a-error-attempts";

/// The media type of a value.
pub const A2A_JSON: &str = "application/a2a+json";

const MAX_COUNT: usize = Limits::HEADERS;
const MAX_BYTES: usize = Limits::HEADER_BYTES;
const MAX_TOTAL: usize = Limits::HEADERS_BYTES;

/// What is read of a request.
const OF_REQUESTS: [&str; 11] = [
    VERSION,
    EXTENSIONS,
    IDEMPOTENCY_KEY,
    HTTP_IDEMPOTENCY_KEY,
    REPLY_TO,
    DEADLINE,
    LAST_EVENT_ID,
    AUTHORIZATION,
    TRACEPARENT,
    TRACESTATE,
    CONTENT_TYPE,
];

/// Whether only answers and dead letters have it, so that a record with it is no request: it is an
/// answer that went astray, or wants to be taken for one.
pub(super) fn is_of_answers(name: &str) -> bool {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    let is_error = name.get(..ERROR.len()).is_some_and(|start| start.eq_ignore_ascii_case(ERROR));
    is(EVENT_ID) || is(LAST) || is(RESTART) || is_error
}

/// A record's headers as far as it may have any, and one more where it has too many: enough to
/// refuse it.
pub fn bounded<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<(String, Bytes)> {
    let mut total = 0;
    let within = headers.into_iter().take(MAX_COUNT + 1).take_while(|(name, value)| {
        let is_first_over = total <= MAX_TOTAL;
        total += name.len() + value.len();
        is_first_over
    });
    within.map(|(name, value)| (name.to_owned(), Bytes::copy_from_slice(value))).collect()
}

/// A point in time: 1 to 15 digits of milliseconds since 1970, or RFC 3339.
pub(super) fn time(text: &str) -> Result<Timestamp, &'static str> {
    /// RFC 3339's `date-time`, to its seconds.
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        form => byte.eq_ignore_ascii_case(form),
    };
    let bytes = text.as_bytes();
    let parsed = if (1..=15).contains(&text.len()) && bytes.iter().all(u8::is_ascii_digit) {
        text.parse().ok().map(Timestamp::from_millis)
    } else if bytes.len() > FORM.len() && bytes.iter().zip(FORM).all(fits) {
        text.parse().ok()
    } else {
        None
    };
    parsed
        .ok_or("must be a time such as 2026-01-31T12:00:00Z, or milliseconds since 1970-01-01 UTC")
}

/// Whether these are a request's headers.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] for a header of answers, one that is too long, and too many,
/// [`ErrorKind::ContentTypeNotSupported`] when the value is no JSON by its own word.
pub(super) fn check(headers: &[(String, Bytes)], content_type: Option<&str>) -> Result<(), Error> {
    let invalid = |sentence: String| Err(Error::new(ErrorKind::InvalidRequest, sentence));
    let total: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if headers.len() > MAX_COUNT || total > MAX_TOTAL {
        return invalid(format!(
            "The record's headers are over the limit of {MAX_COUNT} headers and {MAX_TOTAL} bytes."
        ));
    }
    for (name, value) in headers {
        if is_of_answers(name) {
            let name = shortened(name).to_ascii_lowercase();
            return invalid(format!("{name} is a header of answers, so this is no request."));
        }
        let known = OF_REQUESTS.iter().find(|known| known.eq_ignore_ascii_case(name));
        if let Some(name) = known.filter(|_| value.len() > MAX_BYTES) {
            return invalid(format!("The header {name} is over the limit of {MAX_BYTES} bytes."));
        }
    }
    match content_type {
        Some(media_type) if !is_json_type(media_type) => Err(Error::new(
            ErrorKind::ContentTypeNotSupported,
            "Requests are sent as application/a2a+json or application/json.",
        )),
        _ => Ok(()),
    }
}
