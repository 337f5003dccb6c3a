//! The Kafka binding: what a record says, and the records that answer it.
//!
//! Owns: record headers, the forms a record's value may have (JSON-RPC, and the two of the brief), and what is filled in
//! where the brief's forms leave it out. Must never know: a Kafka client, topics to answer on, when to commit, what a
//! call does.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

use super::{
    Body, is_object,
    jsonrpc::{self, Id},
    read, status, text, write,
};
use crate::{
    call::{Call, Caller, Event, Reply, RequestKey, StreamsEnd},
    error::{Error, ErrorKind},
    types::{
        Json, Message, Metadata, Part, Role, SendMessageConfiguration, SendMessageRequest,
        SendMessageResponse,
    },
};

const VERSION: &str = "a2a-version";
pub(crate) const EXTENSIONS: &str = "a2a-extensions";
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
    /// The first header of that name, in whatever case, if it is a text.
    fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok().map(str::trim)
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
    let caller = caller(record, scope);
    let (form, call) = match record.value.as_deref() {
        None | Some(b"") => unreadable(invalid("The record has no value, so there is no request.")),
        Some(value) => match text(value) {
            Ok(text) => read_value(text, &caller),
            Err(error) => unreadable(error),
        },
    };
    let call = if record.key.is_some() { call } else { Err(invalid(NO_KEY)) };
    let traceparent = record.header(TRACEPARENT).map(str::to_owned);
    Request { form, caller, call, traceparent }
}

const NO_KEY: &str = "The record has no key, so there is no correlation id to answer under.";
const NO_FORM: &str = "The record's value must be a JSON-RPC request, or hold params or a message.";

fn read_value(text: &str, caller: &Caller) -> (Form, Result<Call, Error>) {
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
        Some(params) => (Form::Brief, brief(params, caller).map(Call::SendMessage)),
        None => unreadable(invalid(NO_FORM)),
    }
}

fn unreadable(error: Error) -> (Form, Result<Call, Error>) {
    (Form::JsonRpc(Id::Null), Err(error))
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

fn caller(record: &Record, scope: &str) -> Caller {
    let Record { topic, partition, offset, timestamp, .. } = record;
    let extensions = record.header(EXTENSIONS).unwrap_or_default().split(',').map(str::trim);
    Caller {
        version: record.header(VERSION).map(Arc::from),
        extensions: extensions.filter(|uri| !uri.is_empty()).map(Arc::from).collect(),
        // A topic that was deleted and made anew begins at offset 0 again; the timestamp tells the two apart.
        key: Some(RequestKey::new(format!("{scope}|{topic}|{partition}|{offset}|{timestamp}"))),
        // Answers keep the order of the requests, so a stream must not wait for a message that stands behind it.
        streams_end: StreamsEnd::AtRest,
        ..Caller::default()
    }
}

/// A send as the brief has it: the specification's, with less of it required.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Brief {
    tenant: Option<Arc<str>>,
    #[serde(default, deserialize_with = "said")]
    message: Option<Said>,
    #[serde(alias = "context_id")]
    context_id: Option<Arc<str>>,
    #[serde(alias = "task_id")]
    task_id: Option<Arc<str>>,
    configuration: Option<SendMessageConfiguration>,
    metadata: Option<Metadata>,
}

/// A message as the brief has it: every field may be absent, and one text may stand for the parts.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    #[serde(alias = "message_id")]
    message_id: Option<Arc<str>>,
    #[serde(alias = "context_id")]
    context_id: Option<Arc<str>>,
    #[serde(alias = "task_id")]
    task_id: Option<Arc<str>>,
    #[serde(default, deserialize_with = "role")]
    role: Role,
    parts: Option<Vec<Part>>,
    text: Option<Arc<str>>,
    metadata: Option<Metadata>,
    extensions: Option<Vec<Arc<str>>>,
    #[serde(alias = "reference_task_ids")]
    reference_task_ids: Option<Vec<Arc<str>>>,
}

/// Reads a send and fills in what it leaves out, the same at each delivery of the record.
fn brief(params: &str, caller: &Caller) -> Result<SendMessageRequest, Error> {
    if !is_object(params) {
        return Err(Error::new(ErrorKind::InvalidParams, "The params must be a JSON object."));
    }
    let brief: Brief = read(params)?;
    let message = brief.message.map(|said| Message {
        context_id: set(said.context_id).or(set(brief.context_id)),
        task_id: set(said.task_id).or(set(brief.task_id)),
        message_id: set(said.message_id).or_else(|| message_id(caller)).unwrap_or_default(),
        role: if said.role == Role::Unspecified { Role::User } else { said.role },
        parts: said
            .parts
            .filter(|parts| !parts.is_empty())
            .unwrap_or_else(|| set(said.text).map(Part::text).into_iter().collect()),
        metadata: said.metadata,
        extensions: said.extensions.unwrap_or_default(),
        reference_task_ids: said.reference_task_ids.unwrap_or_default(),
    });
    Ok(SendMessageRequest {
        tenant: set(brief.tenant),
        message: message.unwrap_or_default(),
        configuration: brief.configuration,
        metadata: brief.metadata,
    })
}

fn message_id(caller: &Caller) -> Option<Arc<str>> {
    caller.key.as_ref().map(|key| key.id("message"))
}

/// An empty text is the same as none, as everywhere in the protocol.
fn set(text: Option<Arc<str>>) -> Option<Arc<str>> {
    text.filter(|text| !text.is_empty())
}

/// A message, or the text of one.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Said>, D::Error> {
    struct SaidVisitor;

    impl<'de> Visitor<'de> for SaidVisitor {
        type Value = Option<Said>;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a message or a text")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Option<Said>, E> {
            Ok(None)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<Said>, E> {
            Ok(Some(Said { text: Some(text.into()), ..Said::default() }))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<Said>, A::Error> {
            Said::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_any(SaidVisitor)
}

/// A role as the specification writes it, or as the brief's time did.
fn role<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
    let json = Json::deserialize(deserializer)?;
    match json.as_str() {
        r#""user""# => Ok(Role::User),
        r#""agent""# => Ok(Role::Agent),
        _ => json.to().map_err(de::Error::custom),
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
        Form::Brief => write_bare(&mut value, outcome.as_ref().map(Bare)),
    }
    addressed(record, value)
}

/// One event of a stream. Its headers say where it stands (`a2a-event-id`) and whether it is the last (`a2a-last`),
/// since a topic has no end to tell by; an error always is.
pub fn event_answer(record: &Record, form: &Form, item: &Result<Event, Error>) -> Answer {
    let mut value = Vec::new();
    match form {
        Form::JsonRpc(id) => jsonrpc::write_event(&mut value, id, item),
        Form::Brief => write_bare(&mut value, item.as_ref().map(|event| &event.response)),
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

/// A reply without anything around the task or the message.
struct Bare<'a>(&'a Reply);

impl Serialize for Bare<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Reply::Sent(SendMessageResponse::Task(task)) => task.serialize(serializer),
            Reply::Sent(SendMessageResponse::Message(message)) => message.serialize(serializer),
            other => Body(other).serialize(serializer),
        }
    }
}

fn write_bare<T: Serialize>(out: &mut Vec<u8>, outcome: Result<T, &Error>) {
    match outcome.map(|value| write(out, &value)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => out.extend(status::bare_error(&error)),
        Err(error) => out.extend(status::bare_error(error)),
    }
}
