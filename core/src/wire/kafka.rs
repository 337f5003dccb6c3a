//! The Kafka binding: what a record says, and the records that answer it.
//!
//! Owns: record headers, and which form a record's value has: JSON-RPC ([`jsonrpc`]), or one of the
//! brief's own (`brief`). Must never know: a Kafka client, topics to answer on, when to commit,
//! what a call does.

pub mod client;
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
    call::{Call, Caller, Event, Reply, RequestKey, StreamsEnd},
    error::{Error, ErrorKind},
};

/// The binding's name in an agent card.
pub const BINDING: &str = "urn:a2a-serverless:binding:kafka:v1";

const VERSION: &str = "a2a-version";
/// The header that lists the extensions a caller knows, and in an answer those that were active.
pub(crate) const EXTENSIONS: &str = "a2a-extensions";
/// A key of the client's own, under which it may send the request again.
pub const IDEMPOTENCY_KEY: &str = "a2a-idempotency-key";
const TRACEPARENT: &str = "traceparent";
const EVENT_ID: &str = "a2a-event-id";
const LAST: &str = "a2a-last";
const ERROR: &str = "a2a-error";
const LAST_EVENT_ID: &str = "a2a-last-event-id";
const REPLY_TO: &str = "a2a-reply-to";
const DEADLINE: &str = "a2a-deadline";

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

/// Reads a record. It never fails as a whole, so that every record has an answer. `scope` tells
/// apart the clusters that share a store; a key of the client's own is one of this `owner`'s for
/// this `agent`.
pub fn decode(record: &Record, scope: &str, agent: &str, owner: &str) -> Request {
    let (key, wrong_key) = match key(record, scope, agent, owner) {
        Ok(key) => (key, None),
        Err((key, error)) => (key, Some(error)),
    };
    let (form, call) = match record.value.as_deref() {
        None | Some(b"") => unreadable(invalid("The record has no value, so there is no request.")),
        Some(value) => match text(value) {
            Ok(text) => read_value(text, &key),
            Err(error) => unreadable(error),
        },
    };
    let call = match wrong_key {
        _ if record.key.is_none() => Err(invalid(NO_KEY)),
        Some(error) => Err(error),
        None => call,
    };
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
        let jsonrpc::Request { id, call, streams } = envelope.request();
        return (Form::JsonRpc { id, streams }, call);
    }
    let params = envelope.params.map(RawValue::get);
    match params.or(envelope.message.map(|_| text)) {
        Some(params) => (Form::Brief, brief::decode(params, key).map(Call::SendMessage)),
        None => unreadable(invalid(NO_FORM)),
    }
}

fn unreadable(error: Error) -> (Form, Result<Call, Error>) {
    (Form::JsonRpc { id: Id::Null, streams: false }, Err(error))
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, message)
}

/// What makes a record the same request at each delivery: its position, or the key its client gave
/// it. One that is no key comes back with the position.
fn key(
    record: &Record,
    scope: &str,
    agent: &str,
    owner: &str,
) -> Result<RequestKey, (RequestKey, Error)> {
    let Record { topic, partition, offset, timestamp, .. } = record;
    // A topic that was deleted and made anew begins at offset 0 again; the timestamp tells the two
    // apart.
    let position = RequestKey::new(format!("{scope}|{topic}|{partition}|{offset}|{timestamp}"));
    if !record.headers.iter().any(|(name, _)| name == IDEMPOTENCY_KEY) {
        return Ok(position);
    }
    let key = record.header(IDEMPOTENCY_KEY).unwrap_or_default();
    RequestKey::of_caller(agent, owner, key)
        .map_err(|why| (position, Error::invalid_field(IDEMPOTENCY_KEY, why)))
}

fn caller(record: &Record, key: RequestKey) -> Caller {
    let extensions = record.header(EXTENSIONS).unwrap_or_default().split(',').map(str::trim);
    Caller {
        version: record.header(VERSION).map(Arc::from),
        extensions: extensions.filter(|uri| !uri.is_empty()).map(Arc::from).collect(),
        key: Some(key),
        // Answers keep the order of the requests, so a stream must not wait for a message that
        // stands behind it.
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
    if matches!(form, Form::JsonRpc { streams: true, .. }) {
        answer.headers.push((LAST, "true".to_owned()));
    }
    answer
}

/// One event of a stream. Its headers say where it stands (`a2a-event-id`) and whether it is the
/// last (`a2a-last`), since a topic has no end to tell by; an error always is.
pub fn event_answer(record: &Record, form: &Form, item: &Result<Event, Error>) -> Answer {
    let mut value = Vec::new();
    match form {
        Form::JsonRpc { id, .. } => jsonrpc::write_event(&mut value, id, item),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn jsonrpc_form(id: impl Into<Id>) -> Form {
        Form::JsonRpc { id: id.into(), streams: false }
    }
    use crate::{
        journal::Cursor,
        types::{GetTaskRequest, StreamResponse, Task},
        wire::arbitrary,
    };

    fn record(value: &[u8]) -> Record {
        Record {
            topic: "agent.data.requests".to_owned(),
            partition: 2,
            offset: 7,
            timestamp: 1_700_000_000_000,
            key: Some(Bytes::from_static(b"corr-1")),
            value: Some(Bytes::copy_from_slice(value)),
            headers: Vec::new(),
        }
    }

    fn headed(headers: &[(&str, &[u8])]) -> Record {
        let header =
            |(name, value): &(&str, &[u8])| ((*name).to_owned(), Bytes::copy_from_slice(value));
        Record { headers: headers.iter().map(header).collect(), ..record(b"{\"message\":\"hi\"}") }
    }

    #[test]
    fn the_form_is_told_by_the_members() {
        let seven = jsonrpc_form(7);
        for (value, form) in [
            (r#"{"jsonrpc":"2.0","id":7,"method":"GetTask","params":{"id":"t"}}"#, seven.clone()),
            (
                r#"{"params":{"message":"hi"},"message":"x","method":"SendMessage","id":7}"#,
                seven.clone(),
            ),
            (r#"{"jsonrpc":"1.0","id":7,"message":"hi"}"#, seven),
            (r#"{"params":{"message":{"parts":[]}},"message":5,"id":7}"#, Form::Brief),
            (r#"{"context_id":"c","params":null,"jsonrpc":null,"message":"hi"}"#, Form::Brief),
            (r#"{"params":5}"#, Form::Brief),
            ("{}", jsonrpc_form(Id::Null)),
            ("\"hi\"", jsonrpc_form(Id::Null)),
            ("[]", jsonrpc_form(Id::Null)),
        ] {
            assert_eq!(decode(&record(value.as_bytes()), "a", "data", "").form, form, "{value}");
        }
    }

    #[test]
    fn the_calls_of_each_form() {
        let get = GetTaskRequest { id: "t".into(), ..Default::default() };
        let jsonrpc = record(br#"{"jsonrpc":"2.0","id":7,"method":"GetTask","params":{"id":"t"}}"#);
        assert_eq!(decode(&jsonrpc, "a", "data", "").call.unwrap(), Call::GetTask(get));
        for value in [
            r#"{"message":"hi","context_id":"c"}"#,
            r#"{"params":{"message":{"text":"hi"},"context_id":"c"}}"#,
            r#"{"params":{"message":{"parts":[{"text":"hi"}],"contextId":"c"}}}"#,
        ] {
            let request = decode(&record(value.as_bytes()), "a", "data", "");
            let Ok(Call::SendMessage(send)) = request.call else { panic!("{value}") };
            assert_eq!(send.message.context_id.as_deref(), Some("c"), "{value}");
            assert_eq!(send.message.text(), "hi");
            // A second delivery has the same id.
            assert_eq!(send.message.message_id, request.caller.key.unwrap().id("message"));
        }
    }

    #[test]
    fn what_cannot_be_answered_as_asked() {
        use ErrorKind::{InvalidRequest, Parse};
        let valid = || record(br#"{"jsonrpc":"2.0","id":7,"method":"GetTask"}"#);
        for (record, kind, message) in [
            (Record { key: None, ..valid() }, InvalidRequest, NO_KEY),
            (Record { value: None, ..valid() }, InvalidRequest, "The record has no value"),
            (record(b""), InvalidRequest, "The record has no value"),
            (record(b"hi"), Parse, "The request is not valid JSON: expected value"),
            (record(b"\xff"), Parse, "The request is not valid JSON: invalid utf-8"),
            (record(b"[]"), InvalidRequest, "Batches are not served."),
            (record(b"{}"), InvalidRequest, NO_FORM),
            (record(b"5"), InvalidRequest, "The request must be a JSON object."),
        ] {
            let error = decode(&record, "a", "data", "").call.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.message().starts_with(message), "{error}");
        }
        assert_eq!(decode(&Record { key: None, ..valid() }, "a", "data", "").form, jsonrpc_form(7));
    }

    #[test]
    fn headers_are_read_leniently() {
        let request = decode(
            &headed(&[
                ("A2A-Version", b"\xff"),
                ("a2a-VERSION", b" 1.0 "),
                ("a2a-version", b"0.3"),
                ("A2A-Extensions", b"https://a , ,https://b,"),
                ("traceparent", b"00-1-2-01"),
            ]),
            "scope",
            "data",
            "",
        );
        assert_eq!(request.caller.version.as_deref(), Some("1.0"));
        assert_eq!(request.caller.extensions, ["https://a", "https://b"].map(Arc::<str>::from));
        assert_eq!(request.traceparent.as_deref(), Some("00-1-2-01"));
        assert_eq!(request.caller.streams_end, StreamsEnd::AtRest);
        let key = request.caller.key.unwrap();
        assert_eq!(&**key.as_str(), "scope|agent.data.requests|2|7|1700000000000");
        let request =
            decode(&headed(&[("a2a-version", b""), ("a2a-extensions", b"\xff")]), "a", "data", "");
        assert_eq!((request.caller.version, request.caller.extensions), (None, Vec::new()));
        assert_eq!(request.traceparent, None);
    }

    #[test]
    fn answers_go_back_under_the_key() {
        let task = Reply::Task(Box::new(Task { id: "t".into(), ..Task::default() }));
        let asked = headed(&[("TraceParent", b"00-1-2-01")]);
        let answered = answer(&asked, &Form::Brief, &Ok(task));
        assert_eq!(answered.key.as_deref(), Some(&b"corr-1"[..]));
        assert_eq!(answered.value, br#"{"id":"t","status":{"state":"TASK_STATE_UNSPECIFIED"}}"#);
        let version = ("a2a-version", "1.0".to_owned());
        assert_eq!(answered.headers, [version.clone(), ("traceparent", "00-1-2-01".to_owned())]);

        let keyless = Record { key: None, ..record(b"{}") };
        let Request { form, call, .. } = decode(&keyless, "a", "data", "");
        let answered = answer(&keyless, &form, &Err(call.unwrap_err()));
        assert_eq!((answered.key, answered.headers), (None, vec![version]));
        let value = String::from_utf8(answered.value).unwrap();
        assert!(
            value.starts_with(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"#),
            "{value}"
        );
    }

    #[test]
    fn events_say_where_they_stand_and_which_is_the_last() {
        let event = |last| Event {
            cursor: Some(Cursor { version: 12, index: 3 }),
            response: StreamResponse::Task(Box::default()),
            last,
        };
        let (id, last) = (("a2a-event-id", "12-3".to_owned()), ("a2a-last", "true".to_owned()));
        for (item, expected) in [
            (Ok(event(false)), vec![id.clone()]),
            (Ok(event(true)), vec![id, last.clone()]),
            (Ok(Event { cursor: None, ..event(true) }), vec![last.clone()]),
            (Err(Error::task_not_found("t")), vec![last]),
        ] {
            let answer = event_answer(&record(b""), &jsonrpc_form(7), &item);
            assert_eq!(answer.headers[1..], expected);
            assert!(answer.value.starts_with(br#"{"jsonrpc":"2.0","id":7,"#));
        }
    }

    #[test]
    fn what_is_no_record_is_kept_as_it_came() {
        let answer = put_aside(b"\xff".to_vec(), "no offset");
        assert_eq!((answer.key, answer.value), (None, b"\xff".to_vec()));
        assert_eq!(answer.headers, [("a2a-error", "no offset".to_owned())]);
    }

    fn values() -> impl Strategy<Value = Vec<u8>> {
        let brief = arbitrary::send().prop_map(|send| serde_json::to_vec(&send).unwrap());
        let jsonrpc = arbitrary::call()
            .prop_filter_map("no method", |call| jsonrpc::encode(&7.into(), &call));
        prop_oneof![any::<Vec<u8>>(), arbitrary::damaged(brief), arbitrary::damaged(jsonrpc)]
    }

    proptest! {
        #[test]
        fn jsonrpc_round_trip(call in arbitrary::call()) {
            let value = jsonrpc::encode(&"a".into(), &call).unwrap();
            let request = decode(&record(&value), "a", "data", "");
            let streams = call.is_streaming();
            prop_assert_eq!(request.form, Form::JsonRpc { id: "a".into(), streams });
            prop_assert_eq!(request.call.unwrap(), call);
        }

        #[test]
        fn any_record_is_survived_and_answered(
            value in values(),
            headers in prop::collection::vec((any::<String>(), any::<Vec<u8>>()), 0..4),
        ) {
            let headers = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
            let record = Record { headers, ..record(&value) };
            let Request { form, call, .. } = decode(&record, "a", "data", "");
            let outcome = call.map(|_| Reply::Nothing);
            let answer = answer(&record, &form, &outcome);
            prop_assert!(serde_json::from_slice::<IgnoredAny>(&answer.value).is_ok());
        }
    }
}
