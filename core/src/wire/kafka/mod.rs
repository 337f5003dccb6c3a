//! The Kafka binding: what a record says, and the records that answer it. `core/KAFKA-BINDING.md`
//! is its document.
//!
//! Owns: record headers, keys, and which form a record's value has: JSON-RPC ([`jsonrpc`]), or one
//! of the brief's own (`brief`). Must never know: a Kafka client, which topics may be answered on,
//! when to commit, what a call does.

mod answer;
pub mod client;
pub mod header;
pub mod registry;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    brief,
    jsonrpc::{self, Id},
    text,
};
use crate::{
    call::{Call, Caller, IdempotencyKey, StreamsEnd},
    error::{Error, ErrorKind},
    limits::Limits,
    types::AgentInterface,
};

pub(crate) use answer::header_of;
pub use answer::{
    Answer, Header, Origin, answer, dead_letter, event_answer, marked_restart, raw_dead_letter,
};

/// The binding's name, `protocolBinding` of its entry in an agent card. Another version of it that
/// breaks clients has another name.
pub const BINDING: &str = "urn:uuid:b18eeee4-0bd5-4982-bc46-5e20db64ee74";

/// The binding's entry in an agent card: requests are produced to that topic of these brokers
/// (`HOST:PORT`, with commas between).
pub fn interface(brokers: &str, requests: &str) -> AgentInterface {
    AgentInterface {
        url: format!("kafka://{brokers}/{requests}"),
        protocol_binding: BINDING.to_owned(),
        tenant: None,
        protocol_version: "1.0".to_owned(),
    }
}

/// A record of `agent.{name}.requests`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The topic it is from.
    pub topic: String,
    /// The partition it is from.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970-01-01 UTC.
    pub timestamp: i64,
    /// Whether that is the broker's time (`LogAppendTime`) and not its producer's word.
    pub broker_time: bool,
    /// The correlation id.
    pub key: Option<Bytes>,
    /// The request.
    pub value: Option<Bytes>,
    /// In the order they stand in the record; a name may come twice.
    pub headers: Vec<(String, Bytes)>,
}

impl Record {
    /// The credentials it came with; those of two callers count for neither.
    pub fn authorization(&self) -> Option<&[u8]> {
        let of = |(name, _): &&(String, Bytes)| name.eq_ignore_ascii_case(header::AUTHORIZATION);
        let mut brought = self.headers.iter().filter(of);
        match (brought.next(), brought.next()) {
            (first, None) => first.map(|(_, value)| &**value),
            (_, Some(_)) => Some(b""),
        }
    }

    /// The first header of that name, in whatever case, that says something and is not too long.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.find_map(|(_, value)| {
            let value = Some(value).filter(|value| value.len() <= Limits::HEADER_BYTES)?;
            Some(std::str::from_utf8(value).ok()?.trim()).filter(|value| !value.is_empty())
        })
    }

    /// The same for a header that must not be overlooked: where it is there but says nothing that
    /// can be read, it is empty, which it may not be.
    pub fn stated(&self, name: &str) -> Option<&str> {
        let is_there = self.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
        is_there.then(|| self.header(name).unwrap_or_default())
    }

    /// The idempotency key, by either of its names, stated or not.
    pub fn idempotency_key(&self) -> Option<&str> {
        let names = [header::IDEMPOTENCY_KEY, header::HTTP_IDEMPOTENCY_KEY];
        names.into_iter().find_map(|name| self.stated(name))
    }

    /// Roughly how many bytes it holds in memory: what windows count. Many empty headers are not free.
    pub fn weight(&self) -> usize {
        /// What a record and a header take beside their texts.
        const FRAME: (usize, usize) = (256, 96);
        let parts = [&self.key, &self.value].into_iter().flatten().map(Bytes::len);
        let headers = self.headers.iter().map(|(name, it)| FRAME.1 + name.len() + it.len());
        FRAME.0 + self.topic.len() + parts.sum::<usize>() + headers.sum::<usize>()
    }

    /// Whether its answer can be correlated: whether there is a key.
    pub fn is_correlated(&self) -> bool {
        self.key.as_ref().is_some_and(|key| !key.is_empty())
    }
}

impl std::fmt::Debug for Record {
    /// Where it stands. In its headers are credentials, in its value what somebody says.
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self { topic, partition, offset, .. } = self;
        write!(formatter, "Record({topic} {partition} {offset})")
    }
}

/// A record as it was read.
#[derive(Debug)]
pub struct Request {
    /// How to answer.
    pub form: Form,
    /// Who calls. The key makes a redelivered record the same request.
    pub caller: Caller,
    /// The call, or why there is none.
    pub call: Result<Call, Error>,
    /// The topic the client wants its answers on, if it says; whether it may is decided elsewhere.
    pub reply_to: Option<String>,
    /// The caller's distributed trace (W3C Trace Context).
    pub traceparent: Option<String>,
}

/// The form of a record's value, which its answer has too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A JSON-RPC request, answered with a response under its id. What has no form at all is
    /// answered so too.
    JsonRpc {
        /// What to answer under.
        id: Id,
        /// Whether the answer is a stream, which must have an end even where it is refused.
        streams: bool,
    },
    /// `{"params": …}` or `{"message": …, "context_id": …}`: a message to send, answered with the
    /// bare task, the bare message, or `{"error": …}`.
    Brief,
}

/// What a record's meaning depends on, beside itself.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// Tells clusters apart that share a store.
    pub scope: &'a str,
    /// Whose requests these are.
    pub agent: &'a str,
    /// Whose tasks: decided before, since a key of the client's own is this owner's own.
    pub owner: &'a str,
    /// How many bytes a value may have.
    pub max_value: usize,
}

const NO_KEY: &str = "The record has no key, so there is no correlation id to answer under.";
const LONG_KEY: &str = "The record's key, its correlation id, is over the limit of 1024 bytes.";
const NO_FORM: &str = "The record's value must be a JSON-RPC request, or hold params or a message.";

impl Reader<'_> {
    /// Reads a record. It never fails as a whole, so that every record has an answer.
    pub fn read(&self, record: &Record) -> Request {
        let Record { topic, partition, offset, timestamp, .. } = record;
        // A topic that was deleted and made anew begins at offset 0 again; the timestamp tells the
        // two apart.
        let scope = self.scope;
        let position =
            IdempotencyKey::new(format!("{scope}|{topic}|{partition}|{offset}|{timestamp}"));
        let extensions = record.header(header::EXTENSIONS).unwrap_or_default().split(',');
        let extensions = extensions.map(str::trim).filter(|uri| !uri.is_empty());
        let mut caller = Caller {
            version: record.header(header::VERSION).map(Arc::from),
            extensions: extensions.map(Arc::from).collect(),
            // Answers keep the order of the requests, so a stream must not wait for a message that
            // stands behind it.
            streams_end: StreamsEnd::AtRest,
            ..Caller::default()
        };
        let told = check_key(record)
            .and_then(|()| header::check(&record.headers, record.stated(header::CONTENT_TYPE)))
            .and_then(|()| self.parameters(record, &mut caller));
        let key = caller.key.get_or_insert(position);
        let (form, call) = match record.value.as_deref() {
            None | Some(b"") => {
                unreadable(invalid("The record has no value, so there is no request."))
            }
            Some(value) if value.len() > self.max_value => unreadable(self.too_large()),
            Some(value) => match text(value) {
                Ok(text) => read_value(text, key),
                Err(error) => unreadable(error),
            },
        };
        // An answer that went astray must not be answered where its own headers say.
        let is_answer = record.headers.iter().any(|(name, _)| header::is_of_answers(name));
        let reply_to = record.stated(header::REPLY_TO).filter(|_| !is_answer);
        Request {
            form,
            caller,
            call: told.and(call),
            reply_to: reply_to.map(str::to_owned),
            traceparent: record.header(header::TRACEPARENT).map(str::to_owned),
        }
    }

    /// Reads what travels beside the parameters (specification section 3.2.6).
    fn parameters(&self, record: &Record, caller: &mut Caller) -> Result<(), Error> {
        if let Some(text) = record.stated(header::DEADLINE) {
            let wrong = |why: &str| Error::invalid_field(header::DEADLINE, why);
            caller.expires = Some(header::time(text).map_err(wrong)?);
        }
        if let Some(text) = record.stated(header::LAST_EVENT_ID) {
            let wrong = |why: &str| Error::invalid_field(header::LAST_EVENT_ID, why);
            caller.resume = Some(text.parse().map_err(wrong)?);
        }
        if let Some(text) = record.idempotency_key() {
            let wrong = |why: &str| Error::invalid_field(header::IDEMPOTENCY_KEY, why);
            caller.key =
                Some(IdempotencyKey::of_caller(self.agent, self.owner, text).map_err(wrong)?);
        }
        Ok(())
    }

    fn too_large(&self) -> Error {
        let sentence = format!("The record's value is over the limit of {} bytes.", self.max_value);
        Error::new(ErrorKind::TooLarge, sentence)
    }
}

fn check_key(record: &Record) -> Result<(), Error> {
    match record.key.as_ref().map_or(0, Bytes::len) {
        0 => Err(invalid(NO_KEY)),
        1..=Limits::CORRELATION_KEY => Ok(()),
        _ => Err(invalid(LONG_KEY)),
    }
}

fn read_value(text: &str, key: &IdempotencyKey) -> (Form, Result<Call, Error>) {
    let envelope = match jsonrpc::envelope(text) {
        Ok(envelope) => envelope,
        Err(error) => return unreadable(error),
    };
    if envelope.jsonrpc.is_some() || envelope.method.is_some() {
        let jsonrpc::Request { id, call, streams } = envelope.request();
        return (Form::JsonRpc { id, streams }, call);
    }
    let params = envelope.params.map(RawValue::get);
    match params.or(envelope.message.map(|_| text)) {
        Some(params) => (Form::Brief, brief::decode(params, key).map(Call::SendMessage)),
        None => {
            let id = envelope.id().unwrap_or(Id::Null);
            (Form::JsonRpc { id, streams: false }, Err(invalid(NO_FORM)))
        }
    }
}

fn unreadable(error: Error) -> (Form, Result<Call, Error>) {
    (Form::JsonRpc { id: Id::Null, streams: false }, Err(error))
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests;
