//! The client's half of the Kafka binding: a call as a record, and a record as an answer.
//!
//! Owns: what a client writes into a record and what it reads out of an answer. Must never know: a
//! Kafka client, where requests go, which answer is waited for, and what silence means.

use std::sync::Arc;

use super::header::{
    A2A_JSON, AUTHORIZATION, CONTENT_TYPE, DEADLINE, EVENT_ID, EXTENSIONS, IDEMPOTENCY_KEY, LAST,
    LAST_EVENT_ID, REPLY_TO, TRACEPARENT, VERSION,
};
use crate::{
    call::{Call, Event, Reply, ReplyKind},
    error::{Error, ErrorKind},
    task::Cursor,
    types::Timestamp,
    wire::jsonrpc::{self, Id},
};

/// What travels beside a call.
#[derive(Clone, Copy, Default)]
pub struct Beside<'a> {
    /// The URIs of the extensions the client knows.
    pub extensions: &'a [Arc<str>],
    /// The idempotency key, under which the request may be retried.
    pub idempotency_key: Option<&'a str>,
    /// Where a stream is continued: after this event.
    pub resume: Option<Cursor>,
    /// The trace that the request belongs to (W3C Trace Context).
    pub traceparent: Option<&'a str>,
    /// The topic for the answers, where it is not the agent's own.
    pub reply_to: Option<&'a str>,
    /// Until when the client waits for the answer.
    pub deadline: Option<Timestamp>,
    /// `Bearer …`.
    pub authorization: Option<&'a str>,
}

/// A record's headers, to be written: names in lower case.
pub type Headers = Vec<(&'static str, String)>;

/// A request as a record, its topic and its key apart.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// JSON-RPC; its id is the record's key.
    pub value: Vec<u8>,
    /// What travels beside it.
    pub headers: Headers,
}

/// Writes a request under this correlation id; none for [`Call::GetAgentCard`], which is no
/// operation of an agent's topic.
pub fn encode(id: &str, call: &Call, beside: &Beside<'_>) -> Option<Request> {
    let value = jsonrpc::encode(&Id::from(id), call)?;
    let mut headers = vec![(CONTENT_TYPE, A2A_JSON.to_owned()), (VERSION, "1.0".to_owned())];
    let mut say = |name, value: Option<String>| headers.extend(value.map(|value| (name, value)));
    let extensions = beside.extensions;
    say(EXTENSIONS, (!extensions.is_empty()).then(|| extensions.join(", ")));
    say(IDEMPOTENCY_KEY, beside.idempotency_key.map(str::to_owned));
    say(LAST_EVENT_ID, beside.resume.map(|cursor| cursor.to_string()));
    say(REPLY_TO, beside.reply_to.map(str::to_owned));
    say(DEADLINE, beside.deadline.map(|at| at.to_string()));
    say(TRACEPARENT, beside.traceparent.map(str::to_owned));
    say(AUTHORIZATION, beside.authorization.map(str::to_owned));
    Some(Request { value, headers })
}

/// Which event of its stream an answer is, as its headers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventHeaders {
    /// `a2a-event-id`.
    pub cursor: Option<Cursor>,
    /// `a2a-last`: nothing follows.
    pub last: bool,
}

impl EventHeaders {
    /// Reads it from a record's headers, whose names have any case.
    pub fn read<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let (mut cursor, mut last) = (None, None);
        for (name, value) in headers {
            let text =
                || std::str::from_utf8(value).ok().map(str::trim).filter(|it| !it.is_empty());
            if name.eq_ignore_ascii_case(EVENT_ID) {
                cursor = cursor.or_else(text);
            } else if name.eq_ignore_ascii_case(LAST) {
                last = last.or_else(text);
            }
        }
        Self {
            cursor: cursor.and_then(|text| text.parse().ok()),
            last: last.is_some_and(|text| text.eq_ignore_ascii_case("true")),
        }
    }
}

/// Reads the one answer to a call that is no stream.
///
/// # Errors
/// The agent's own error, and [`ErrorKind::InvalidAgentResponse`] when this is no answer to `id`.
pub fn decode(id: &str, kind: ReplyKind, value: &[u8]) -> Result<Reply, Error> {
    mine(id, jsonrpc::read_response(kind, value))
}

/// Reads one event of a stream; none of a kind that is not known here.
///
/// # Errors
/// As [`decode`]; the stream ends with it.
pub fn decode_event(id: &str, headers: EventHeaders, value: &[u8]) -> Result<Option<Event>, Error> {
    let EventHeaders { cursor, last } = headers;
    let response = mine(id, jsonrpc::read_event(value))?;
    Ok(response.map(|response| Event { cursor, response, last }))
}

/// An agent that could not read a request's id says so under none.
fn mine<T>(id: &str, response: jsonrpc::Response<T>) -> Result<T, Error> {
    match response.id {
        Id::String(answered) if *answered == *id => response.outcome,
        Id::Null if response.outcome.is_err() => response.outcome,
        _ => Err(Error::new(
            ErrorKind::InvalidAgentResponse,
            "The agent answered under the request's key, but another request.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        types::{StreamResponse, Task},
        wire::{arbitrary, kafka},
    };

    fn cursor(version: u64, index: u32) -> Cursor {
        Cursor { version, index }
    }

    #[test]
    fn what_travels_beside_a_call() {
        let call =
            Call::GetTask(crate::types::GetTaskRequest { id: "t".into(), ..Default::default() });
        let request = encode("c-1", &call, &Beside::default()).unwrap();
        let value = r#"{"jsonrpc":"2.0","id":"c-1","method":"GetTask","params":{"id":"t"}}"#;
        assert_eq!(String::from_utf8(request.value).unwrap(), value);
        let always = [("content-type", "application/a2a+json"), ("a2a-version", "1.0")];
        assert_eq!(request.headers, always.map(|(name, value)| (name, value.to_owned())));
        let extensions = ["https://a".into(), "https://b".into()];
        let beside = Beside {
            extensions: &extensions,
            idempotency_key: Some("key"),
            resume: Some(cursor(12, 3)),
            traceparent: Some("00-1-2-01"),
            reply_to: Some("mine"),
            deadline: Some(Timestamp::from_millis(0)),
            authorization: Some("Bearer secret"),
        };
        let headers = encode("c-1", &call, &beside).unwrap().headers;
        let said = [
            ("a2a-extensions", "https://a, https://b"),
            ("a2a-idempotency-key", "key"),
            ("a2a-last-event-id", "12-3"),
            ("a2a-reply-to", "mine"),
            ("a2a-deadline", "1970-01-01T00:00:00.000Z"),
            ("traceparent", "00-1-2-01"),
            ("authorization", "Bearer secret"),
        ];
        assert_eq!(headers[2..], said.map(|(name, value)| (name, value.to_owned())));
        assert!(encode("c-1", &Call::GetAgentCard, &beside).is_none());
    }

    #[test]
    fn an_answers_place_is_read_leniently() {
        let id = |id: &'static [u8]| ("A2A-Event-Id", id);
        for (headers, expected) in [
            (vec![], EventHeaders::default()),
            (
                vec![id(b" 12-3 "), ("a2a-last", b"TRUE")],
                EventHeaders { cursor: Some(cursor(12, 3)), last: true },
            ),
            (
                vec![id(b""), id(b"\xff"), id(b"1-0"), id(b"2-0")],
                EventHeaders { cursor: Some(cursor(1, 0)), last: false },
            ),
            (
                vec![id(b"new"), ("a2a-last", b"false"), ("a2a-last", b"true")],
                EventHeaders::default(),
            ),
        ] {
            assert_eq!(EventHeaders::read(headers.clone()), expected, "{headers:?}");
        }
    }

    #[test]
    fn an_answer_to_something_else_is_none() {
        let answer = |id: &str, rest: &str| {
            let value = format!(r#"{{"jsonrpc":"2.0","id":{id},{rest}}}"#);
            decode("c-1", ReplyKind::Task, value.as_bytes())
        };
        let task = r#""result":{"id":"t"}"#;
        assert!(matches!(answer("\"c-1\"", task), Ok(Reply::Task(task)) if *task.id == *"t"));
        let error = r#""error":{"code":-32700,"message":"What?"}"#;
        assert_eq!(answer("null", error).unwrap_err().kind(), ErrorKind::Parse);
        for (id, rest) in [("\"c-2\"", task), ("null", task), ("7", task), ("\"c-2\"", error)] {
            let kind = answer(id, rest).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::InvalidAgentResponse, "{id} {rest}");
        }
        let kind = decode("c-1", ReplyKind::Task, b"\xff").unwrap_err().kind();
        assert_eq!(kind, ErrorKind::InvalidAgentResponse);
    }

    #[test]
    fn events_are_read_as_the_server_writes_them() {
        let task = StreamResponse::Task(Box::new(Task { id: "t".into(), ..Task::default() }));
        let form = kafka::Form::JsonRpc { id: "c-1".into(), streams: true };
        for last in [false, true] {
            let event = Event { cursor: Some(cursor(2, 1)), response: task.clone(), last };
            let record = kafka::Record { key: Some("c-1".into()), ..Default::default() };
            let answer = kafka::event_answer(&record, &form, &Ok(event.clone()));
            let headers = answer.headers.iter().map(|(name, value)| (&**name, &**value));
            let read = decode_event("c-1", EventHeaders::read(headers), &answer.value).unwrap();
            assert_eq!(read, Some(event));
        }
        let newer = br#"{"jsonrpc":"2.0","id":"c-1","result":{"heartbeat":{}}}"#;
        assert_eq!(decode_event("c-1", EventHeaders::default(), newer).unwrap(), None);
    }

    proptest! {
        #[test]
        fn the_server_reads_what_the_client_writes(call in arbitrary::call()) {
            let beside = Beside { idempotency_key: Some("key"), ..Beside::default() };
            let request = encode("c-1", &call, &beside).unwrap();
            let headers = request.headers.into_iter().map(|(name, value)| (name.to_owned(), value.into()));
            let record = kafka::Record {
                key: Some("c-1".into()),
                value: Some(request.value.into()),
                headers: headers.collect(),
                ..Default::default()
            };
            let reader = kafka::Reader { scope: "scope", agent: "data", owner: "", max_value: 1 << 24 };
            let read = reader.read(&record);
            prop_assert_eq!(read.call.unwrap(), call);
            prop_assert_eq!(read.caller.version.as_deref(), Some("1.0"));
            prop_assert!(read.caller.key.unwrap().is_of_client());
        }
    }
}
