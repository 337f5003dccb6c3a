//! The records that answer, and dead letters.
//!
//! Owns: which headers they have, and the form of an answer's value. Must never know: topics, when
//! a record is given up.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Form, Record, header};
use crate::{
    call::{Event, Reply},
    error::{Error, ErrorKind},
    limits::Limits,
    wire::{brief, jsonrpc, status},
};

/// A record that answers, or a dead letter. Where it goes is decided elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The request's key.
    pub key: Option<Bytes>,
    /// JSON; of a dead letter, whatever the request held.
    pub value: Vec<u8>,
    /// In order. Names of the binding's own are in lower case.
    pub headers: Vec<Header>,
}

impl Answer {
    /// How many bytes it has as a record, at most.
    pub fn size(&self) -> usize {
        /// What surrounds a record and each of its headers.
        const AROUND: (usize, usize) = (512, 16);
        let headers = self.headers.iter().map(|(name, it)| AROUND.1 + name.len() + it.len());
        let key = self.key.as_ref().map_or(0, Bytes::len);
        AROUND.0 + key + self.value.len() + headers.sum::<usize>()
    }
}

/// A header's name and what it holds.
pub type Header = (Cow<'static, str>, Bytes);

pub(crate) fn header_of(name: &'static str, value: impl Into<Bytes>) -> Header {
    (Cow::Borrowed(name), value.into())
}

/// The one answer to a call that is no stream, or to one that is refused, which is then marked as
/// its last. Of `record`, only the key and the headers are looked at, so its value may be let go of
/// while the agent works. [`Reply::Events`] is written as an internal error; see [`event_answer`].
pub fn answer(record: &Record, form: &Form, outcome: &Result<Reply, Error>) -> Answer {
    let mut value = Vec::new();
    match form {
        Form::JsonRpc { id, .. } => jsonrpc::write_response(&mut value, id, outcome),
        Form::Brief => brief::write_response(&mut value, outcome),
    }
    let mut answer = addressed(record, value);
    if outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unauthenticated) {
        answer.headers.push(header_of(header::WWW_AUTHENTICATE, challenge(record)));
    }
    if matches!(form, Form::JsonRpc { streams: true, .. }) {
        answer.headers.push(header_of(header::LAST, "true"));
    }
    answer
}

/// One event of a stream. Its headers say where it stands (`a2a-event-id`) and whether it is the
/// last (`a2a-last`), since a topic has no end to tell by; an error always is. One that takes the
/// place of what was told before is marked with [`marked_restart`].
pub fn event_answer(record: &Record, form: &Form, item: &Result<Event, Error>) -> Answer {
    let mut value = Vec::new();
    match form {
        Form::JsonRpc { id, .. } => jsonrpc::write_event(&mut value, id, item),
        Form::Brief => brief::write_event(&mut value, item),
    }
    let mut answer = addressed(record, value);
    if let Some(cursor) = item.as_ref().ok().and_then(|event| event.cursor) {
        answer.headers.push(header_of(header::EVENT_ID, cursor.to_string()));
    }
    if item.as_ref().map_or(true, |event| event.last) {
        answer.headers.push(header_of(header::LAST, "true"));
    }
    answer
}

/// The same event, marked as one that takes the place of all that was told of its task before.
pub fn marked_restart(mut answer: Answer) -> Answer {
    answer.headers.push(header_of(header::RESTART, "true"));
    answer
}

fn addressed(record: &Record, value: Vec<u8>) -> Answer {
    let mut headers = Vec::with_capacity(5);
    headers.push(header_of(header::CONTENT_TYPE, header::A2A_JSON));
    headers.push(header_of(header::VERSION, "1.0"));
    if let Some(traceparent) = record.header(header::TRACEPARENT) {
        headers.push(header_of(header::TRACEPARENT, traceparent.to_owned()));
    }
    let key = record.key.as_ref().map(|key| key.slice(..key.len().min(Limits::CORRELATION_KEY)));
    Answer { key, value, headers }
}

/// What is to be brought (specification section 12.6), as over HTTP.
fn challenge(record: &Record) -> &'static str {
    match record.authorization() {
        None => "Bearer",
        Some(_) => "Bearer error=\"invalid_token\"",
    }
}

/// What is known of the record that a dead letter was; what is not is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// The topic.
    pub topic: Option<&'a str>,
    /// The partition.
    pub partition: Option<i32>,
    /// The offset.
    pub offset: Option<i64>,
    /// Milliseconds since 1970-01-01 UTC.
    pub timestamp: Option<i64>,
    /// How often it was delivered.
    pub attempts: Option<u32>,
}

/// A request that will never be answered as it was asked: its key, value and headers as they came,
/// and why. A record without a value has an empty one here. Credentials are left out: people read
/// dead letters.
pub fn dead_letter(record: &Record, error: &Error, attempts: Option<u32>) -> Answer {
    // Nobody else says why a record is a dead letter.
    let theirs = record.headers.iter().filter(|(name, _)| {
        !header::is_of_answers(name) && !name.eq_ignore_ascii_case(header::AUTHORIZATION)
    });
    let mut headers: Vec<Header> =
        theirs.map(|(name, value)| (name.clone().into(), value.clone())).collect();
    let origin = Origin {
        topic: Some(&record.topic),
        partition: Some(record.partition),
        offset: Some(record.offset),
        timestamp: Some(record.timestamp),
        attempts,
    };
    push_cause(&mut headers, error, &origin);
    let value = record.value.as_deref().unwrap_or_default().to_vec();
    Answer { key: record.key.clone(), value, headers }
}

/// What cannot be read as a record at all, as it came, and why.
pub fn raw_dead_letter(raw: Vec<u8>, error: &Error, origin: &Origin<'_>) -> Answer {
    let mut headers = Vec::new();
    push_cause(&mut headers, error, origin);
    Answer { key: None, value: raw, headers }
}

fn push_cause(headers: &mut Vec<Header>, error: &Error, origin: &Origin<'_>) {
    headers.push(header_of(header::ERROR, error.message().to_owned()));
    headers.push(header_of(header::ERROR_REASON, status::of(error.kind()).reason));
    let known = [
        (header::ERROR_TOPIC, origin.topic.map(ToOwned::to_owned)),
        (header::ERROR_PARTITION, origin.partition.map(|it| it.to_string())),
        (header::ERROR_OFFSET, origin.offset.map(|it| it.to_string())),
        (header::ERROR_TIMESTAMP, origin.timestamp.map(|it| it.to_string())),
        (header::ERROR_ATTEMPTS, origin.attempts.map(|it| it.to_string())),
    ];
    headers.extend(known.into_iter().filter_map(|(name, it)| Some(header_of(name, it?))));
}
