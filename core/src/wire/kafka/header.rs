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
    wire::{is_json_type, shortened},
};

/// The protocol's version, `Major.Minor`; in requests and in answers.
pub const VERSION: &str = "a2a-version";
/// The extensions a caller knows, with commas between; in an answer those that were active.
pub const EXTENSIONS: &str = "a2a-extensions";
/// The idempotency key, under which the client may retry the request.
pub const IDEMPOTENCY_KEY: &str = "a2a-idempotency-key";
/// The topic the client wants its answers on.
pub const REPLY_TO: &str = "a2a-reply-to";
/// Until when the client waits for the answer: ISO 8601, or milliseconds since 1970.
pub const DEADLINE: &str = "a2a-deadline";
/// The event after which a stream is to go on.
pub const LAST_EVENT_ID: &str = "a2a-last-event-id";
/// A client's credentials, as HTTP has them: a scheme and a value.
pub const AUTHORIZATION: &str = "authorization";
/// The caller's distributed trace (W3C Trace Context); in requests and in answers.
pub const TRACEPARENT: &str = "traceparent";
/// The media type of the value; in requests and in answers.
pub const CONTENT_TYPE: &str = "content-type";

/// An event's cursor in its task's journal.
pub const EVENT_ID: &str = "a2a-event-id";
/// `true` on a stream's last record, and on no other.
pub const LAST: &str = "a2a-last";
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

/// How many bytes a header may hold that is read here. Room for any token; a record's own size
/// bounds the rest.
pub const MAX_BYTES: usize = 8192;

/// How many headers a record may have. Each costs its reader memory, also an empty one.
pub const MAX_COUNT: usize = 128;
/// How many bytes the names and values of a record's headers may have together.
pub const MAX_TOTAL: usize = 65_536;

/// What is read of a request.
const OF_REQUESTS: [&str; 9] = [
    VERSION,
    EXTENSIONS,
    IDEMPOTENCY_KEY,
    REPLY_TO,
    DEADLINE,
    LAST_EVENT_ID,
    AUTHORIZATION,
    TRACEPARENT,
    CONTENT_TYPE,
];

/// Whether only answers and dead letters have it, so that a record with it is no request: it is an
/// answer that went astray, or wants to be taken for one.
pub(super) fn is_of_answers(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == EVENT_ID || name == LAST || name.starts_with(ERROR)
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

/// Whether these are a request's headers.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] for a header of answers or one that is too long,
/// [`ErrorKind::ContentTypeNotSupported`] when the value is no JSON by its own word.
pub(super) fn check(headers: &[(String, Bytes)], content_type: Option<&str>) -> Result<(), Error> {
    let invalid = |sentence: String| Err(Error::new(ErrorKind::InvalidRequest, sentence));
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
