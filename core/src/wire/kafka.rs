//! The Kafka binding: what a record says, and the records that answer it.
//!
//! Owns: record headers, the forms a record's value may have (JSON-RPC, and the two of the brief), and what is filled in
//! where the brief's forms leave it out. Must never know: a Kafka client, topics to answer on, when to commit, what a
//! call does.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    brief,
    jsonrpc::{self, Id},
    text,
};
use crate::{
    call::{Call, Caller, Event, Reply, RequestKey, StreamsEnd},
    error::{Error, ErrorKind},
};

const VERSION: &str = "a2a-version";
/// The header that lists the extensions a caller knows, and in an answer those that were active.
pub const EXTENSIONS: &str = "a2a-extensions";
const TRACEPARENT: &str = "traceparent";
const EVENT_ID: &str = "a2a-event-id";
const LAST: &str = "a2a-last";
const ERROR: &str = "a2a-error";

/// A record of `agent.{name}.requests`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The topic it is from.
    pub topic: String,
    /// The partition it is from.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970-01-01 UTC.
    pub timestamp: i64,
    /// The correlation id.
    pub key: Option<Bytes>,
    /// The request.
    pub value: Option<Bytes>,
    /// In the order they stand in the record; a name may come twice.
    pub headers: Vec<(String, Bytes)>,
}

impl Record {
    /// The first header of that name, in whatever case, that says something.
    fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.find_map(|(_, value)| {
            Some(std::str::from_utf8(value).ok()?.trim()).filter(|value| !value.is_empty())
        })
    }
}

/// A record as it was read.
#[derive(Debug)]
pub struct Request {
    /// How to answer.
    pub form: Form,
    /// Who calls. The key makes a record that is delivered again the same request.
    pub caller: Caller,
    /// The call, or why there is none.
    pub call: Result<Call, Error>,
    /// The caller's place in a distributed trace (W3C Trace Context).
    pub traceparent: Option<String>,
}

/// The form of a record's value, which its answer has too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A JSON-RPC request, answered with a response under its id. What has no form at all is answered so too.
    JsonRpc(Id),
    /// `{"params": …}` or `{"message": …, "context_id": …}`: a message to send, answered with the bare task, the bare
    /// message, or `{"error": …}`.
    Brief,
}

/// Reads a record. It never fails as a whole, so that every record has an answer. `scope` tells apart the agents that
/// read the same topic and share a store.
pub fn decode(record: &Record, scope: &str) -> Request {
    let key = key(record, scope);
    let (form, call) = match record.value.as_deref() {
        None | Some(b"") => unreadable(invalid("The record has no value, so there is no request.")),
        Some(value) => match text(value) {
            Ok(text) => read_value(text, &key),
            Err(error) => unreadable(error),
        },
    };
    let call = if record.key.is_some() { call } else { Err(invalid(NO_KEY)) };
    let traceparent = record.header(TRACEPARENT).map(str::to_owned);
    Request { form, caller: caller(record, key), call, traceparent }
}

const NO_KEY: &str = "The record has no key, so there is no correlation id to answer under.";
const NO_FORM: &str = "The record's value must be a JSON-RPC request, or hold params or a message.";

fn read_value(text: &str, key: &RequestKey) -> (Form, Result<Call, Error>) {
    let envelope = match jsonrpc::envelope(text) {
        Ok(envelope) => envelope,
        Err(error) => return unreadable(error),
    };
    if envelope.jsonrpc.is_some() || envelope.method.is_some() {
        let jsonrpc::Request { id, call } = envelope.request();
        return (Form::JsonRpc(id), call);
    }
    let params = envelope.params.map(RawValue::get);
    match params.or(envelope.message.map(|_| text)) {
        Some(params) => (Form::Brief, brief::decode(params, key).map(Call::SendMessage)),
        None => unreadable(invalid(NO_FORM)),
    }
}

fn unreadable(error: Error) -> (Form, Result<Call, Error>) {
    (Form::JsonRpc(Id::Null), Err(error))
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

/// What makes a record the same request at each delivery.
fn key(record: &Record, scope: &str) -> RequestKey {
    let Record { topic, partition, offset, timestamp, .. } = record;
    // A topic that was deleted and made anew begins at offset 0 again; the timestamp tells the two apart.
    RequestKey::new(format!("{scope}|{topic}|{partition}|{offset}|{timestamp}"))
}

fn caller(record: &Record, key: RequestKey) -> Caller {
    let extensions = record.header(EXTENSIONS).unwrap_or_default().split(',').map(str::trim);
    Caller {
        version: record.header(VERSION).map(Arc::from),
        extensions: extensions.filter(|uri| !uri.is_empty()).map(Arc::from).collect(),
        key: Some(key),
        // Answers keep the order of the requests, so a stream must not wait for a message that stands behind it.
        streams_end: StreamsEnd::AtRest,
        ..Caller::default()
    }
}

/// A record that answers. Where it goes is decided elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The request's key.
    pub key: Option<Bytes>,
    /// JSON.
    pub value: Vec<u8>,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
}

/// The one answer to a call that is no stream. Of `record`, only the key and the headers are looked at, so its value
/// may be let go of while the agent works. [`Reply::Events`] is written as an internal error; see [`event_answer`].
pub fn answer(record: &Record, form: &Form, outcome: &Result<Reply, Error>) -> Answer {
    let mut value = Vec::new();
    match form {
        Form::JsonRpc(id) => jsonrpc::write_response(&mut value, id, outcome),
        Form::Brief => brief::write_response(&mut value, outcome),
    }
    addressed(record, value)
}

/// One event of a stream. Its headers say where it stands (`a2a-event-id`) and whether it is the last (`a2a-last`),
/// since a topic has no end to tell by; an error always is.
pub fn event_answer(record: &Record, form: &Form, item: &Result<Event, Error>) -> Answer {
    let mut value = Vec::new();
    match form {
        Form::JsonRpc(id) => jsonrpc::write_event(&mut value, id, item),
        Form::Brief => brief::write_event(&mut value, item),
    }
    let mut answer = addressed(record, value);
    if let Some(cursor) = item.as_ref().ok().and_then(|event| event.cursor) {
        answer.headers.push((EVENT_ID, cursor.to_string()));
    }
    if item.as_ref().map_or(true, |event| event.last) {
        answer.headers.push((LAST, "true".to_owned()));
    }
    answer
}

/// What cannot be read as a record at all, as it came; a header says why.
pub fn put_aside(raw: Vec<u8>, reason: &str) -> Answer {
    Answer { key: None, value: raw, headers: vec![(ERROR, reason.to_owned())] }
}

fn addressed(record: &Record, value: Vec<u8>) -> Answer {
    let mut headers = vec![(VERSION, "1.0".to_owned())];
    if let Some(traceparent) = record.header(TRACEPARENT) {
        headers.push((TRACEPARENT, traceparent.to_owned()));
    }
    Answer { key: record.key.clone(), value, headers }
}
