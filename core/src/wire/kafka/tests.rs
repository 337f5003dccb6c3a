//! What is read of a record, and what is written.

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;
use crate::{
    call::{Event, Reply},
    task::Cursor,
    types::{GetTaskRequest, StreamResponse, Task, Timestamp},
    wire::arbitrary,
};

fn jsonrpc_form(id: impl Into<Id>) -> Form {
    Form::JsonRpc { id: id.into(), streams: false }
}

fn read(record: &Record) -> Request {
    Reader { scope: "scope", agent: "data", owner: "", max_value: 100_000 }.read(record)
}

fn said(headers: &[(&'static str, &str)]) -> Vec<Header> {
    headers.iter().map(|(name, value)| header_of(name, (*value).to_owned())).collect()
}

fn record(value: &[u8]) -> Record {
    Record {
        topic: "agent.data.requests".to_owned(),
        partition: 2,
        offset: 7,
        timestamp: 1_700_000_000_000,
        broker_time: false,
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
fn credentials_are_one_callers() {
    assert_eq!(record(b"").authorization(), None);
    let one = headed(&[("x", b"y"), ("Authorization", b"Bearer a")]);
    assert_eq!(one.authorization(), Some(&b"Bearer a"[..]));
    let two = headed(&[("authorization", b"Bearer a"), ("AUTHORIZATION", b"Bearer b")]);
    assert_eq!(two.authorization(), Some(&b""[..]));
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
        assert_eq!(read(&record(value.as_bytes())).form, form, "{value}");
    }
}

#[test]
fn the_calls_of_each_form() {
    let get = GetTaskRequest { id: "t".into(), ..Default::default() };
    let jsonrpc = record(br#"{"jsonrpc":"2.0","id":7,"method":"GetTask","params":{"id":"t"}}"#);
    assert_eq!(read(&jsonrpc).call.unwrap(), Call::GetTask(get));
    for value in [
        r#"{"message":"hi","context_id":"c"}"#,
        r#"{"params":{"message":{"text":"hi"},"context_id":"c"}}"#,
        r#"{"params":{"message":{"parts":[{"text":"hi"}],"contextId":"c"}}}"#,
    ] {
        let request = read(&record(value.as_bytes()));
        let Ok(Call::SendMessage(send)) = request.call else { panic!("{value}") };
        assert_eq!(send.message.context_id.as_deref(), Some("c"), "{value}");
        assert_eq!(send.message.text(), "hi");
        // A redelivery has the same id.
        assert_eq!(send.message.message_id, request.caller.key.unwrap().id("message"));
    }
}

#[test]
fn what_cannot_be_answered_as_asked() {
    use ErrorKind::{InvalidRequest, Parse, TooLarge};
    let valid = || record(br#"{"jsonrpc":"2.0","id":7,"method":"GetTask"}"#);
    let keyed = |length| Record { key: Some(vec![b'k'; length].into()), ..valid() };
    for (record, kind, message) in [
        (Record { key: None, ..valid() }, InvalidRequest, NO_KEY),
        (keyed(0), InvalidRequest, NO_KEY),
        (keyed(Limits::CORRELATION_KEY + 1), InvalidRequest, LONG_KEY),
        (Record { value: None, ..valid() }, InvalidRequest, "The record has no value"),
        (record(b""), InvalidRequest, "The record has no value"),
        (record(b"hi"), Parse, "The request is not valid JSON: expected value"),
        (record(b"\xff"), Parse, "The request is not valid JSON: invalid utf-8"),
        (record(b"[]"), InvalidRequest, "Batches are not served."),
        (record(b"{}"), InvalidRequest, NO_FORM),
        (record(b"5"), InvalidRequest, "The request must be a JSON object."),
        (
            record(&[b' '; 100_001]),
            TooLarge,
            "The record's value is over the limit of 100000 bytes",
        ),
    ] {
        let error = read(&record).call.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().starts_with(message), "{error}");
    }
    for (value, form) in
        [(&br#"{"id":5}"#[..], jsonrpc_form(5)), (b"{\"id\":[]}", jsonrpc_form(Id::Null))]
    {
        assert_eq!(read(&record(value)).form, form, "the id that can be read");
    }
    assert_eq!(read(&Record { key: None, ..valid() }).form, jsonrpc_form(7));
    // What is too long is not sent back.
    let long = keyed(1_000_000);
    let refused = answer(&long, &jsonrpc_form(7), &Err(read(&long).call.unwrap_err()));
    assert_eq!(refused.key.unwrap().len(), Limits::CORRELATION_KEY);
    assert!(read(&keyed(1)).call.is_ok() && read(&keyed(Limits::CORRELATION_KEY)).call.is_ok());
    assert!(LONG_KEY.contains(&Limits::CORRELATION_KEY.to_string()));
}

#[test]
fn a_header_that_counts_is_not_overlooked() {
    use ErrorKind::{ContentTypeNotSupported, InvalidParams, InvalidRequest};
    let long = vec![b'a'; Limits::HEADER_BYTES + 1];
    for (name, value, kind, message) in [
        ("a2a-deadline", &b"soon"[..], InvalidParams, "a2a-deadline must be a time such as"),
        ("a2a-deadline", b"", InvalidParams, "a2a-deadline must be"),
        ("A2A-Deadline", b"\xff", InvalidParams, "a2a-deadline must be"),
        ("a2a-deadline", b"99999999999999999999", InvalidParams, "a2a-deadline must be"),
        ("a2a-deadline", b"-5", InvalidParams, "a2a-deadline must be"),
        ("a2a-deadline", b"+5", InvalidParams, "a2a-deadline must be"),
        ("a2a-deadline", b"1e3", InvalidParams, "a2a-deadline must be"),
        ("a2a-deadline", b"20260131T120000Z", InvalidParams, "a2a-deadline must be"),
        ("a2a-deadline", b"2026-01-31T12Z", InvalidParams, "a2a-deadline must be"),
        ("Idempotency-Key", b"\xff", InvalidParams, "a2a-idempotency-key must be 1 to 255"),
        ("a2a-last-event-id", b"x", InvalidParams, "a2a-last-event-id expected an event id"),
        ("A2A-Idempotency-Key", b"", InvalidParams, "a2a-idempotency-key must be 1 to 255"),
        ("content-type", b"text/plain", ContentTypeNotSupported, "Requests are sent as"),
        ("Content-Type", b"\xff", ContentTypeNotSupported, "Requests are sent as"),
        ("a2a-event-id", b"1-0", InvalidRequest, "a2a-event-id is a header of answers"),
        ("A2A-Last", b"", InvalidRequest, "a2a-last is a header of answers"),
        ("a2a-restart", b"", InvalidRequest, "a2a-restart is a header of answers"),
        ("a2a-error", b"x", InvalidRequest, "a2a-error is a header of answers"),
        ("a2a-error-other", b"x", InvalidRequest, "a2a-error-other is a header of answers"),
        ("Traceparent", &long, InvalidRequest, "The header traceparent is over the limit of 8192"),
    ] {
        let request = read(&headed(&[(name, value), ("a2a-reply-to", b"mine")]));
        let error = request.call.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().starts_with(message), "{error}");
        // Whoever answered it must not be answered.
        let strayed = message.contains("header of answers");
        assert_eq!(request.reply_to.as_deref(), (!strayed).then_some("mine"), "{name}");
    }
    for unknown in ["a2a-owner", "a2a-attempt", "a2a-offset", "x"] {
        assert!(read(&headed(&[(unknown, &long)])).call.is_ok(), "{unknown}");
    }
    for json in ["application/a2a+json", "application/json; charset=utf-8", "APPLICATION/JSON"] {
        assert!(read(&headed(&[("content-type", json.as_bytes())])).call.is_ok(), "{json}");
    }
}

#[test]
fn headers_are_bounded_in_number_and_in_bytes() {
    let read_back = |count: usize, value: &[u8]| {
        let name = "x".to_owned();
        let headers = (0..count).map(|_| (&*name, value));
        Record { headers: header::bounded(headers), ..record(b"{\"message\":\"hi\"}") }
    };
    for (record, kept) in [
        (read_back(Limits::HEADERS, b""), Limits::HEADERS),
        (read_back(1, &[0; Limits::HEADERS_BYTES - 1]), 1),
    ] {
        assert_eq!(record.headers.len(), kept);
        assert!(read(&record).call.is_ok());
    }
    // Of too many there are as many as it takes to say so.
    for (record, kept) in [
        (read_back(70_000, b""), Limits::HEADERS + 1),
        (read_back(1, &[0; Limits::HEADERS_BYTES]), 1),
        (read_back(100, &[0; 8192]), 8),
    ] {
        assert_eq!(record.headers.len(), kept);
        let error = read(&record).call.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert!(error.message().starts_with("The record's headers are over the limit of 128"));
    }
}

#[test]
fn who_is_not_believed_is_told_what_to_bring() {
    let told = |record: &Record| {
        let refused = Err(Error::new(ErrorKind::Unauthenticated, "Who are you?"));
        answer(record, &jsonrpc_form(7), &refused).headers[2..].to_vec()
    };
    assert_eq!(told(&headed(&[])), said(&[("www-authenticate", "Bearer")]));
    let wrong = "Bearer error=\"invalid_token\"";
    let brought = headed(&[("authorization", b"Bearer x")]);
    assert_eq!(told(&brought), said(&[("www-authenticate", wrong)]));
}

#[test]
fn what_travels_beside_the_parameters() {
    let at = |text: &str| read(&headed(&[("a2a-deadline", text.as_bytes())])).caller.expires;
    let noon = Timestamp::from_millis(1_769_860_800_000);
    for text in [
        "2026-01-31T12:00:00Z",
        "2026-01-31t12:00:00.000z",
        "2026-01-31T21:00:00+09:00",
        " 1769860800000 ",
    ] {
        assert_eq!(at(text), Some(noon), "{text}");
    }
    let request = read(&headed(&[
        ("A2A-Last-Event-Id", b"12-3"),
        ("A2A-Reply-To", b"\xff"),
        ("a2a-reply-to", b"clients.a"),
        ("a2a-idempotency-key", b"k"),
    ]));
    assert_eq!(request.caller.resume, Some(Cursor { version: 12, index: 3 }));
    assert_eq!(request.reply_to.as_deref(), Some("clients.a"));
    assert_eq!(request.caller.key, IdempotencyKey::of_caller("data", "", "k").ok());
    // By HTTP's name for it too.
    let of_http = read(&headed(&[("Idempotency-Key", b"k")]));
    assert_eq!(of_http.caller.key, request.caller.key);
    assert_eq!(read(&headed(&[])).reply_to, None);
    // A topic that cannot be read is not the same as none.
    assert_eq!(read(&headed(&[("a2a-reply-to", b"\xff")])).reply_to.as_deref(), Some(""));
}

#[test]
fn headers_are_read_leniently() {
    let request = read(&headed(&[
        ("A2A-Version", b"\xff"),
        ("a2a-VERSION", b" 1.0 "),
        ("a2a-version", b"0.3"),
        ("A2A-Extensions", b"https://a , ,https://b,"),
        ("traceparent", b"00-1-2-01"),
    ]));
    assert_eq!(request.caller.version.as_deref(), Some("1.0"));
    assert_eq!(request.caller.extensions, ["https://a", "https://b"].map(Arc::<str>::from));
    assert_eq!(request.traceparent.as_deref(), Some("00-1-2-01"));
    assert_eq!(request.caller.streams_end, StreamsEnd::AtRest);
    let key = request.caller.key.unwrap();
    assert_eq!(&**key.as_str(), "scope|agent.data.requests|2|7|1700000000000");
    let request = read(&headed(&[("a2a-version", b""), ("a2a-extensions", b"\xff")]));
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
    let (media_type, version) = (("content-type", "application/a2a+json"), ("a2a-version", "1.0"));
    let expected = said(&[media_type, version, ("traceparent", "00-1-2-01")]);
    assert_eq!(answered.headers, expected);
    assert!(answered.size() > 200);

    let keyless = Record { key: None, ..record(b"{}") };
    let Request { form, call, .. } = read(&keyless);
    let answered = answer(&keyless, &form, &Err(call.unwrap_err()));
    assert_eq!((answered.key, answered.headers), (None, said(&[media_type, version])));
    let value = String::from_utf8(answered.value).unwrap();
    assert!(value.starts_with(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"#), "{value}");
}

#[test]
fn events_say_where_they_stand_and_which_is_the_last() {
    let event = |last| Event {
        cursor: Some(Cursor { version: 12, index: 3 }),
        response: StreamResponse::Task(Box::default()),
        last,
    };
    let (id, last) = (("a2a-event-id", "12-3"), ("a2a-last", "true"));
    for (item, expected) in [
        (Ok(event(false)), &[id][..]),
        (Ok(event(true)), &[id, last]),
        (Ok(Event { cursor: None, ..event(true) }), &[last]),
        (Err(Error::task_not_found("t")), &[last]),
    ] {
        let answer = event_answer(&record(b""), &jsonrpc_form(7), &item);
        assert_eq!(answer.headers[2..], said(expected));
        assert!(answer.value.starts_with(br#"{"jsonrpc":"2.0","id":7,"#));
    }
}

#[test]
fn a_dead_letter_is_the_record_and_the_cause() {
    let headers: &[(&str, &[u8])] =
        &[("A2A-Version", b"\xff"), ("a2a-error", b"forged"), ("a2a-last", b"true"), ("x", b"")];
    let letter = dead_letter(&headed(headers), &Error::task_not_found("t"), Some(3));
    assert_eq!(letter.key.as_deref(), Some(&b"corr-1"[..]));
    assert_eq!(letter.value, b"{\"message\":\"hi\"}");
    let theirs: [Header; 2] =
        [("A2A-Version".into(), Bytes::from_static(b"\xff")), ("x".into(), Bytes::new())];
    assert_eq!(letter.headers[..2], theirs);
    let cause = said(&[
        ("a2a-error", "There is no task \"t\"."),
        ("a2a-error-reason", "TASK_NOT_FOUND"),
        ("a2a-error-topic", "agent.data.requests"),
        ("a2a-error-partition", "2"),
        ("a2a-error-offset", "7"),
        ("a2a-error-timestamp", "1700000000000"),
        ("a2a-error-attempts", "3"),
    ]);
    assert_eq!(letter.headers[2..], cause);
    let tombstone = Record { value: None, key: None, ..record(b"") };
    let letter = dead_letter(&tombstone, &Error::task_not_found("t"), None);
    assert_eq!((letter.key, letter.value.len(), letter.headers.len()), (None, 0, 6));
}

#[test]
fn what_is_no_record_is_kept_as_it_came() {
    let error = Error::new(ErrorKind::InvalidRequest, "no offset");
    let origin = Origin { topic: Some("requests"), ..Origin::default() };
    let letter = raw_dead_letter(b"\xff".to_vec(), &error, &origin);
    assert_eq!((letter.key, letter.value), (None, b"\xff".to_vec()));
    let cause = [
        ("a2a-error", "no offset"),
        ("a2a-error-reason", "INVALID_REQUEST"),
        ("a2a-error-topic", "requests"),
    ];
    assert_eq!(letter.headers, said(&cause));
}

#[test]
fn a_card_names_the_brokers_and_the_topic() {
    let interface = interface("a:9092,b:9092", "agent.data.requests");
    assert_eq!(interface.url, "kafka://a:9092,b:9092/agent.data.requests");
    assert_eq!((&*interface.protocol_binding, &*interface.protocol_version), (BINDING, "1.0"));
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    let brief = arbitrary::send().prop_map(|send| serde_json::to_vec(&send).unwrap());
    let jsonrpc =
        arbitrary::call().prop_filter_map("no method", |call| jsonrpc::encode(&7.into(), &call));
    prop_oneof![any::<Vec<u8>>(), arbitrary::damaged(brief), arbitrary::damaged(jsonrpc)]
}

proptest! {
    #[test]
    fn jsonrpc_round_trip(call in arbitrary::call()) {
        let value = jsonrpc::encode(&"a".into(), &call).unwrap();
        let request = read(&record(&value));
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
        let Request { form, call, .. } = read(&record);
        let outcome = call.map(|_| Reply::Nothing);
        let answer = answer(&record, &form, &outcome);
        prop_assert!(serde_json::from_slice::<IgnoredAny>(&answer.value).is_ok());
    }
}
