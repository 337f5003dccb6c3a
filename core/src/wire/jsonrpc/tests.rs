//! The request and response forms, by tables and properties.

use proptest::prelude::*;

use super::*;
use crate::{
    call::Events,
    types::{GetTaskRequest, SendMessageResponse, Task},
    wire::arbitrary,
};

fn number(text: &str) -> Id {
    Id::Number(serde_json::from_str(text).unwrap())
}

fn response(id: &Id, outcome: &Result<Reply, Error>) -> String {
    let mut out = Vec::new();
    write_response(&mut out, id, outcome);
    String::from_utf8(out).unwrap()
}

#[test]
fn members_come_in_any_order_and_params_may_be_absent() {
    let get = |id: &str| Call::GetTask(GetTaskRequest { id: id.into(), ..Default::default() });
    for (body, id, call) in [
        (
            r#"{"jsonrpc":"2.0","id":"a","method":"GetTask","params":{"id":"t"}}"#,
            "a".into(),
            get("t"),
        ),
        (
            " {\n\"x\":[{}],\"params\":{\"id\":\"t\",\"x\":1},\"method\":\"GetTask\",\
             \"id\":7,\"jsonrpc\":\"2.0\"}\r\n",
            7.into(),
            get("t"),
        ),
        (r#"{"jsonrpc":"2.0","id":null,"method":"GetTask"}"#, Id::Null, get("")),
        (r#"{"jsonrpc":"2.0","method":"GetTask","params":null}"#, Id::Null, get("")),
        (r#"{"jsonrpc":"2.0","id":-0.50e+3,"method":"Get\u0054ask"}"#, number("-0.50e+3"), get("")),
        (
            r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"GetExtendedAgentCard"}"#,
            number("9007199254740993"),
            Call::GetExtendedAgentCard(Default::default()),
        ),
    ] {
        let request = decode(body.as_bytes());
        assert_eq!((request.id, request.call.unwrap()), (id, call), "{body}");
    }
}

#[test]
fn what_is_no_request_says_why_and_keeps_its_id() {
    use ErrorKind::{InvalidParams, InvalidRequest, MethodNotFound, Parse};
    let (none, seven) = (Id::Null, Id::from(7));
    for (body, id, kind, message) in [
        ("", &none, Parse, "The request is not valid JSON: EOF"),
        ("{", &none, Parse, "The request is not valid JSON: EOF"),
        (r#"{"id":7,"jsonrpc":"2.0"} x"#, &none, Parse, "The request is not valid JSON: trailing"),
        ("[]", &none, InvalidRequest, "Batches are not served."),
        (r#" [{"id":7}]"#, &none, InvalidRequest, "Batches are not served."),
        ("[", &none, Parse, "The request is not valid JSON: EOF"),
        ("true", &none, InvalidRequest, "The request must be a JSON object."),
        (
            r#"{"id":7,"id":8}"#,
            &none,
            InvalidRequest,
            "The request is wrong: duplicate field `id`.",
        ),
        (r#"{"id":7}"#, &seven, InvalidRequest, "The request must say \"jsonrpc\": \"2.0\"."),
        (
            r#"{"id":7,"jsonrpc":2.0,"method":"GetTask"}"#,
            &seven,
            InvalidRequest,
            "The request must say \"jsonrpc\": \"2.0\".",
        ),
        (r#"{"id":7,"jsonrpc":"2.0"}"#, &seven, InvalidRequest, "The request must name its method"),
        (
            r#"{"id":7,"jsonrpc":"2.0","method":5}"#,
            &seven,
            InvalidRequest,
            "The request must name its method",
        ),
        (
            r#"{"id":{},"jsonrpc":"2.0","method":"GetTask"}"#,
            &none,
            InvalidRequest,
            "The request's id must be a string, a number or null.",
        ),
        (
            &format!(
                r#"{{"id":"{}","jsonrpc":"2.0","method":"GetTask"}}"#,
                "I".repeat(Limits::REQUEST_ID)
            ),
            &none,
            InvalidRequest,
            "The request's id is over the limit of 1024 bytes.",
        ),
        (
            r#"{"id":true,"jsonrpc":"2.0","method":"GetTask"}"#,
            &none,
            InvalidRequest,
            "The request's id must be",
        ),
        (
            r#"{"id":7,"jsonrpc":"2.0","method":"tasks/\"get\""}"#,
            &seven,
            MethodNotFound,
            r#"There is no method "tasks/\"get\""."#,
        ),
        (
            r#"{"id":7,"jsonrpc":"2.0","method":"GetAgentCard"}"#,
            &seven,
            MethodNotFound,
            r#"There is no method "GetAgentCard"."#,
        ),
        (
            r#"{"id":7,"jsonrpc":"2.0","method":"GetTask","params":["t"]}"#,
            &seven,
            InvalidParams,
            "The params must be a JSON object.",
        ),
        (
            r#"{"params":{"id":5},"id":7,"jsonrpc":"2.0","method":"GetTask"}"#,
            &seven,
            InvalidParams,
            "id is wrong: invalid type: integer `5`, expected a string",
        ),
    ] {
        let request = decode(body.as_bytes());
        let error = request.call.unwrap_err();
        assert_eq!((&request.id, error.kind()), (id, kind), "{body}");
        assert!(error.message().starts_with(message), "{body}: {error}");
    }
}

#[test]
fn responses() {
    let task = || Box::new(Task { id: "t".into(), ..Task::default() });
    let bare = r#"{"id":"t","status":{"state":"TASK_STATE_UNSPECIFIED"}}"#;
    let sent = Reply::Sent(SendMessageResponse::Task(task()));
    for (id, reply, expected) in [
        (Id::Null, Reply::Nothing, r#"{"jsonrpc":"2.0","id":null,"result":{}}"#.to_owned()),
        (
            "a\"".into(),
            Reply::Task(task()),
            format!(r#"{{"jsonrpc":"2.0","id":"a\"","result":{bare}}}"#),
        ),
        (
            number("1.0"),
            sent,
            format!(r#"{{"jsonrpc":"2.0","id":1.0,"result":{{"task":{bare}}}}}"#),
        ),
    ] {
        assert_eq!(response(&id, &Ok(reply)), expected);
    }
    let refused = response(&5.into(), &Err(Error::task_not_found("t")));
    assert!(refused.starts_with(r#"{"jsonrpc":"2.0","id":5,"error":{"code":-32001,"#), "{refused}");
}

#[test]
fn a_stream_is_no_response() {
    let events = Events(Box::pin(futures_util::stream::empty()));
    let written = response(&1.into(), &Ok(Reply::Events(events)));
    assert!(written.starts_with(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"#), "{written}");
}

#[test]
fn the_card_has_no_method() {
    assert_eq!(encode(&Id::Null, &Call::GetAgentCard), None);
}

#[test]
fn what_is_no_answer_says_why_and_keeps_its_id() {
    let (none, seven) = (Id::Null, Id::from(7));
    for (body, id, reason) in [
        ("", &none, "it is no JSON object"),
        ("<html>", &none, "it is no JSON object"),
        ("[]", &none, "it is no JSON object"),
        (r#"{"id":7"#, &none, "EOF while parsing an object"),
        ("{}", &none, "it has neither a result nor an error"),
        (r#"{"id":7,"error":null}"#, &seven, "it has neither a result nor an error"),
        (r#"{"id":{},"result":{}}"#, &none, "expected a task, a message or an update"),
        (r#"{"id":7,"result":null}"#, &seven, "it is no JSON object"),
        (r#"{"id":7,"result":{"task":5}}"#, &seven, "task is wrong: invalid type: integer `5`"),
        (
            r#"{"id":7,"result":{"task":{"status":{"timestamp":"ODD","state":99}}}}"#,
            &seven,
            "task.status.timestamp is wrong: expected an ISO 8601 time",
        ),
        (
            r#"{"id":7,"result":{"statusUpdate":{}}}"#,
            &seven,
            "expected a task or a message, not an update",
        ),
    ] {
        let read = read_response(ReplyKind::Sent, body.as_bytes());
        let error = read.outcome.unwrap_err();
        assert_eq!((&read.id, error.kind()), (id, ErrorKind::InvalidAgentResponse), "{body}");
        let message = error.message().strip_prefix("The agent's answer cannot be read: ");
        assert!(message.is_some_and(|message| message.starts_with(reason)), "{body}: {error}");
    }
    // Other servers' ways: `null` for nothing, and beside an error.
    let read = |kind, body: &str| read_response(kind, body.as_bytes()).outcome;
    assert!(matches!(read(ReplyKind::Nothing, r#"{"id":7,"result":null}"#), Ok(Reply::Nothing)));
    let error = r#"{"id":null,"result":null,"error":{"code":-32001,"message":"no"}}"#;
    assert_eq!(read(ReplyKind::Task, error).unwrap_err().kind(), ErrorKind::TaskNotFound);
}

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![
        Just(Id::Null),
        any::<String>().prop_map(|text| Id::from(&*text)),
        any::<u64>().prop_map(Id::from),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?"
            .prop_map(|text| number(&text)),
    ]
}

fn encoded() -> impl Strategy<Value = Vec<u8>> {
    (id(), arbitrary::call()).prop_filter_map("no method", |(id, call)| encode(&id, &call))
}

proptest! {
    #[test]
    fn round_trip(id in id(), call in arbitrary::call()) {
        let request = decode(&encode(&id, &call).unwrap());
        prop_assert_eq!(request.id, id);
        prop_assert_eq!(request.call.unwrap(), call);
    }

    #[test]
    fn events_round_trip(id in id(), event in arbitrary::event()) {
        let mut out = Vec::new();
        write_event(&mut out, &id, &Ok(event.clone()));
        // An event fits on one line.
        prop_assert!(!out.iter().any(|byte| matches!(byte, b'\n' | b'\r')));
        let read = read_event(&out);
        prop_assert_eq!(read.id, id);
        prop_assert_eq!(read.outcome.unwrap(), Some(event.response));
    }

    #[test]
    fn responses_round_trip(id in id(), (kind, reply) in arbitrary::reply()) {
        let written = response(&id, &Ok(reply));
        let read = read_response(kind, written.as_bytes());
        prop_assert_eq!(&read.id, &id);
        prop_assert_eq!(response(&id, &read.outcome), written);
    }

    #[test]
    fn errors_round_trip(id in id(), error in arbitrary::error()) {
        let written = response(&id, &Err(error));
        let read = read_response(ReplyKind::Sent, written.as_bytes());
        prop_assert_eq!(&read.id, &id);
        prop_assert_eq!(response(&id, &read.outcome), &*written);
        let mut event = Vec::new();
        write_event(&mut event, &id, &Err(read_event(written.as_bytes()).outcome.unwrap_err()));
        prop_assert_eq!(String::from_utf8(event).unwrap(), written);
    }

    #[test]
    fn any_answer_is_survived(bytes in any::<Vec<u8>>(), (kind, reply) in arbitrary::reply()) {
        let valid = response(&7.into(), &Ok(reply)).into_bytes();
        for cut in [1, valid.len() / 2, valid.len() - 1] {
            prop_assert!(read_response(kind, &valid[..cut]).outcome.is_err());
        }
        let _ = read_response(kind, &bytes);
        let _ = read_event(&bytes);
    }

    #[test]
    fn any_bytes_are_survived(bytes in any::<Vec<u8>>(), damaged in arbitrary::damaged(encoded())) {
        for body in [bytes, damaged] {
            let Request { id, call, .. } = decode(&body);
            if let Err(error) = call {
                let mut out = Vec::new();
                write_response(&mut out, &id, &Err(error));
                prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&out).is_ok());
            }
        }
    }
}
