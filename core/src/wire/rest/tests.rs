//! Paths, queries and bodies, by tables and properties.

use http::Uri;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    call::Events,
    types::{GetExtendedAgentCardRequest, SendMessageRequest, SendMessageResponse, Task},
    wire::arbitrary,
};

/// A request line as it would arrive.
fn read(line: &str, body: &str) -> Result<Call, Error> {
    let (method, target) = line.split_once(' ').unwrap();
    let uri: Uri = target.parse().unwrap();
    decode(&method.parse().unwrap(), uri.path(), uri.query(), body.as_bytes())
}

fn fault(line: &str, body: &str) -> (ErrorKind, String) {
    let error = read(line, body).unwrap_err();
    (error.kind(), error.to_string())
}

fn get_task(tenant: Option<&str>, id: &str) -> Call {
    let tenant = tenant.map(Arc::from);
    Call::GetTask(GetTaskRequest { tenant, id: id.into(), history_length: None })
}

fn cancel(id: &str) -> Call {
    Call::CancelTask(CancelTaskRequest { id: id.into(), ..Default::default() })
}

fn subscribe(id: &str) -> Call {
    Call::SubscribeToTask(SubscribeToTaskRequest { tenant: None, id: id.into() })
}

/// A configuration's ids, as every operation on one has them.
fn config(body: serde_json::Value) -> TaskPushNotificationConfig {
    serde_json::from_value(body).unwrap()
}

#[test]
fn every_route() {
    let send = SendMessageRequest { tenant: Some("x".into()), ..Default::default() };
    let create = config(json!({"taskId": "t", "url": "https://a"}));
    let named = json!({"taskId": "t", "id": "c"});
    let routes = [
        ("POST /message:send", r#"{"tenant":"x"}"#, Call::SendMessage(send.clone())),
        ("POST /message:stream", r#"{"tenant":"x"}"#, Call::SendStreamingMessage(send)),
        ("GET /tasks/t", "", get_task(None, "t")),
        ("GET /tasks", "", Call::ListTasks(ListTasksRequest::default())),
        ("POST /tasks/t:cancel", "", cancel("t")),
        ("POST /tasks/t:subscribe", " \r\n", subscribe("t")),
        ("GET /tasks/t:subscribe", "ignored", subscribe("t")),
        (
            "POST /tasks/t/pushNotificationConfigs",
            r#"{"url":"https://a"}"#,
            Call::CreateTaskPushNotificationConfig(create),
        ),
        (
            "GET /tasks/t/pushNotificationConfigs",
            "",
            Call::ListTaskPushNotificationConfigs(ListTaskPushNotificationConfigsRequest {
                task_id: "t".into(),
                ..Default::default()
            }),
        ),
        (
            "GET /tasks/t/pushNotificationConfigs/c",
            "",
            Call::GetTaskPushNotificationConfig(serde_json::from_value(named.clone()).unwrap()),
        ),
        (
            "DELETE /tasks/t/pushNotificationConfigs/c",
            "",
            Call::DeleteTaskPushNotificationConfig(serde_json::from_value(named).unwrap()),
        ),
        ("GET /extendedAgentCard", "", Call::GetExtendedAgentCard(Default::default())),
        ("GET /.well-known/agent-card.json", "", Call::GetAgentCard),
        ("HEAD /.well-known/agent-card.json", "", Call::GetAgentCard),
    ];
    for (line, body, call) in routes {
        assert_eq!(read(line, body).unwrap(), call, "{line}");
        assert_eq!(read(&line.replace(" /", " /v1/"), body).unwrap(), call, "{line} below /v1");
        for prefix in ["/x/", "/v1/x/"] {
            let mut expected = call.clone();
            if let Some(tenant) = expected.tenant_mut() {
                *tenant = Some("x".into());
            }
            let line = line.replace(" /", &format!(" {prefix}"));
            assert_eq!(read(&line, body).unwrap(), expected, "{line}");
        }
    }
}

#[test]
fn ids_are_decoded_and_split_at_the_last_colon() {
    for (line, call) in [
        ("GET /tasks/a%2Fb%20c%C3%A9+", get_task(None, "a/b cé+")),
        ("GET /tasks/a:b", get_task(None, "a:b")),
        ("GET /tasks/a%3Acancel", get_task(None, "a:cancel")),
        ("GET /tasks/%zz", get_task(None, "%zz")),
        ("POST /tasks/a:b:cancel", cancel("a:b")),
        ("POST /tasks/a%3Acancel:cancel", cancel("a:cancel")),
        ("POST /tasks/a:cancel:subscribe", subscribe("a:cancel")),
        ("GET /tasks/v1", get_task(None, "v1")),
        ("GET /tasks/tasks", get_task(None, "tasks")),
        ("GET /tasks/tasks/tasks", get_task(Some("tasks"), "tasks")),
        ("GET /v1/tasks/t", get_task(None, "t")),
        ("GET /v1/v1/tasks/t", get_task(Some("v1"), "t")),
        ("GET /%76%31/tasks/t", get_task(Some("v1"), "t")),
        ("GET /a%2Fb/tasks/t", get_task(Some("a/b"), "t")),
    ] {
        assert_eq!(read(line, "").unwrap(), call, "{line}");
    }
}

#[test]
fn the_path_overrides_what_is_said_elsewhere() {
    assert_eq!(read("POST /tasks/t:cancel", r#"{"id":"other"}"#).unwrap(), cancel("t"));
    assert_eq!(read("GET /tasks/t?id=other", "").unwrap(), get_task(None, "t"));
    assert_eq!(read("GET /x/tasks/t?tenant=x", "").unwrap(), get_task(Some("x"), "t"));
    assert_eq!(read("GET /tasks/t?tenant=y", "").unwrap(), get_task(Some("y"), "t"));
    let body = r#"{"metadata":{"b":1, "a":1.0}}"#;
    let Ok(Call::CancelTask(request)) = read("POST /x/tasks/t:cancel", body) else { panic!() };
    assert_eq!(request.metadata.unwrap().json().as_str(), r#"{"b":1,"a":1.0}"#);
    assert_eq!(request.tenant.as_deref(), Some("x"));
}

#[test]
fn contradictions_are_refused() {
    for (line, body, message) in [
        ("GET /x/tasks/t?tenant=y", "", "tenant is another one than the path's"),
        ("POST /x/message:send", r#"{"tenant":"y"}"#, "tenant is another one than the path's"),
        (
            "POST /tasks/t/pushNotificationConfigs",
            r#"{"taskId":"u"}"#,
            "taskId is another one than the path's",
        ),
        ("POST /message:send", r#"{"message":{"role":"user"}}"#, "message.role is wrong: "),
        ("GET /tasks?pageSize=x", "", "pageSize is wrong: "),
        ("GET /tasks/t?history_length=x", "", "historyLength is wrong: "),
        ("GET /tasks/t/pushNotificationConfigs?pageSize=x", "", "pageSize is wrong: "),
    ] {
        let (kind, text) = fault(line, body);
        assert_eq!(kind, ErrorKind::InvalidParams, "{line}");
        assert!(text.starts_with(message), "{line}: {text}");
    }
}

#[test]
fn what_is_not_there_and_what_is_not_allowed() {
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/tasks/",
        "/tasks//",
        "//tasks",
        "/tasks//pushNotificationConfigs",
        "/x/y/tasks",
        "/message",
        "/message:send/",
        "/tasks/t/pushNotificationConfigs/",
        "/tasks/t/pushNotificationConfigs/c/d",
        "/v2/v1/x/tasks",
        "/a/b/c/d/e/f/g/h/i/tasks",
    ] {
        let expected = (ErrorKind::MethodNotFound, format!("There is nothing at {path}."));
        assert_eq!(fault(&format!("GET {path}"), ""), expected);
    }
    for (line, allow) in [
        ("GET /message:send", "POST"),
        ("PUT /v1/message:stream", "POST"),
        ("POST /tasks", "GET, HEAD"),
        ("DELETE /x/tasks/t", "GET, HEAD"),
        ("GET /tasks/t:cancel", "POST"),
        ("DELETE /tasks/t:subscribe", "GET, POST"),
        ("PUT /tasks/t/pushNotificationConfigs", "GET, HEAD, POST"),
        ("POST /tasks/t/pushNotificationConfigs/c", "GET, HEAD, DELETE"),
        ("POST /extendedAgentCard", "GET, HEAD"),
        ("POST /.well-known/agent-card.json", "GET, HEAD"),
    ] {
        let error = read(line, "").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MethodNotAllowed, "{line}");
        assert_eq!(error.metadata(), [("allow".into(), allow.to_owned())], "{line}");
    }
}

#[test]
fn bodies_that_are_none() {
    for (line, body, kind) in [
        ("POST /message:send", "", ErrorKind::Parse),
        ("POST /message:send", "{", ErrorKind::Parse),
        ("POST /message:send", "[]", ErrorKind::InvalidRequest),
        ("POST /tasks/t:cancel", "null", ErrorKind::InvalidRequest),
        ("POST /tasks/t:subscribe", "x", ErrorKind::Parse),
        ("GET /tasks/%ff", "", ErrorKind::InvalidRequest),
        ("GET /%ff/tasks", "", ErrorKind::InvalidRequest),
    ] {
        assert_eq!(fault(line, body).0, kind, "{line} {body}");
    }
}

#[test]
fn encoded_form() {
    let tenant = |tenant: &str| Some(Arc::from(tenant));
    for (call, expected) in [
        (get_task(None, "a b/ü:cancel"), "GET /tasks/a%20b%2F%C3%BC%3Acancel"),
        (get_task(Some("a b"), "t"), "GET /a%20b/tasks/t"),
        (get_task(Some("v1"), "t"), "GET /tasks/t?tenant=v1"),
        (cancel("t"), "POST /tasks/t:cancel"),
        (subscribe("t"), "POST /tasks/t:subscribe"),
        (
            Call::GetExtendedAgentCard(GetExtendedAgentCardRequest { tenant: tenant("..") }),
            "GET /extendedAgentCard?tenant=..",
        ),
        (
            Call::ListTasks(ListTasksRequest {
                status: TaskState::InputRequired,
                status_timestamp_after: "2026-01-31T12:00:00Z".parse().ok(),
                include_artifacts: true,
                ..Default::default()
            }),
            "GET /tasks?status=TASK_STATE_INPUT_REQUIRED\
             &statusTimestampAfter=2026-01-31T12%3A00%3A00.000Z&includeArtifacts=true",
        ),
    ] {
        let encoded = encode(&call);
        assert_eq!(format!("{} {}", encoded.method, encoded.path_and_query), expected);
    }
}

#[test]
fn replies() {
    let task = || Box::new(Task { id: "t".into(), ..Task::default() });
    let bare = r#"{"id":"t","status":{"state":"TASK_STATE_UNSPECIFIED"}}"#;
    for (reply, expected) in [
        (Reply::Nothing, "{}".to_owned()),
        (Reply::Task(task()), bare.to_owned()),
        (Reply::Sent(SendMessageResponse::Task(task())), format!(r#"{{"task":{bare}}}"#)),
    ] {
        let mut out = b"before ".to_vec();
        write_reply(&mut out, &reply).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("before {expected}"));
    }
    let mut out = b"before ".to_vec();
    let events = Events(Box::pin(futures_util::stream::empty()));
    assert!(write_reply(&mut out, &Reply::Events(events)).is_err());
    assert_eq!(out, b"before ");
    write_event(&mut out, &Err(Error::task_not_found("t")));
    assert!(out.starts_with(br#"before {"error":{"code":404,"#));
}

#[test]
fn a_body_that_answers_a_stream_is_its_only_event() {
    use futures_util::{FutureExt, StreamExt};
    let body = br#"{"message":{"messageId":"m","role":"ROLE_AGENT","parts":[]}}"#;
    let Ok(Reply::Events(mut events)) = read_reply(ReplyKind::Events, body) else { panic!() };
    let event = events.0.next().now_or_never().flatten().unwrap().unwrap();
    assert!(event.last && matches!(event.response, StreamResponse::Message(_)));
    assert!(events.0.next().now_or_never().unwrap().is_none());
    assert_eq!(read_event(b"[]").unwrap_err().kind(), ErrorKind::InvalidAgentResponse);
    assert_eq!(read_event(br#"{"heartbeat":{}}"#).unwrap(), None);
    assert!(matches!(read_reply(ReplyKind::Nothing, b""), Ok(Reply::Nothing)));
}

proptest! {
    #[test]
    fn round_trip(call in arbitrary::call()) {
        let Encoded { method, path_and_query, body } = encode(&call);
        let uri: Uri = path_and_query.parse().unwrap();
        prop_assert_eq!(decode(&method, uri.path(), uri.query(), &body).unwrap(), call);
    }

    #[test]
    fn replies_round_trip((kind, reply) in arbitrary::reply()) {
        let (mut written, mut again) = (Vec::new(), Vec::new());
        write_reply(&mut written, &reply).unwrap();
        write_reply(&mut again, &read_reply(kind, &written).unwrap()).unwrap();
        prop_assert_eq!(written, again);
    }

    #[test]
    fn events_round_trip(event in arbitrary::event(), error in arbitrary::error()) {
        let mut out = Vec::new();
        write_event(&mut out, &Ok(event.clone()));
        prop_assert_eq!(read_event(&out).unwrap(), Some(event.response.clone()));
        out.clear();
        write_event(&mut out, &Err(error));
        let mut again = Vec::new();
        write_event(&mut again, &read_event(&out).map(|_| event));
        prop_assert_eq!(out, again);
    }

    #[test]
    fn any_request_is_survived(
        method in prop::sample::select(vec![Method::GET, Method::POST, Method::DELETE]),
        path in "(/(v1|x|tasks|[a:%é]*|message:send|pushNotificationConfigs|%ff|%2F)){0,6}",
        odd in "\\PC*",
        query in proptest::option::of("\\PC*"),
        body in any::<Vec<u8>>(),
        send in arbitrary::damaged(arbitrary::send().prop_map(|send| serde_json::to_vec(&send).unwrap())),
    ) {
        for body in [&*body, &*send] {
            let _ = decode(&method, &path, query.as_deref(), body);
            let _ = decode(&method, &odd, query.as_deref(), body);
            let _ = decode(&Method::POST, "/message:send", None, body);
        }
    }
}
