//! What is refused before anything is done for it, and how that is told: faulty parameters by the
//! names of their fields, alike by both HTTP bindings; tasks that are not there or have ended; what
//! the card does not promise; versions, extensions and media types; and the tasks of other owners.

use a2a_core::*;
use serde_json::Value;

use crate::world::*;

#[tokio::test(start_paused = true)]
async fn parameters_out_of_range_are_named() {
    let world = World::new();
    let size = |page_size| ListTasksRequest { page_size, ..ListTasksRequest::default() };
    let get = GetTaskRequest { id: "t".into(), history_length: Some(-1), tenant: None };
    let listed = ListTasksRequest { history_length: Some(-1), ..ListTasksRequest::default() };
    let send = configured(say("complete"), |it| it.history_length = Some(-1));
    for (call, field) in [
        (Call::SendMessage(send.clone()), "configuration.historyLength"),
        (Call::SendStreamingMessage(send), "configuration.historyLength"),
        (Call::GetTask(get), "historyLength"),
        (Call::ListTasks(listed), "historyLength"),
        (Call::ListTasks(size(Some(0))), "pageSize"),
        (Call::ListTasks(size(Some(101))), "pageSize"),
        (Call::ListTasks(size(Some(-5))), "pageSize"),
        (Call::GetTask(GetTaskRequest::default()), "id"),
        (cancel(""), "id"),
        (subscribe(""), "id"),
    ] {
        assert_eq!(violation(&world, call.clone()).await, field, "{call:?}");
    }
    assert_eq!(world.script.runs(), 0);
}

#[tokio::test(start_paused = true)]
async fn messages_to_unknown_and_ended_tasks_are_refused() {
    let world = World::new();
    let send = |id: &str| Call::SendMessage(say_to(id, "complete"));
    let stream = |id: &str| Call::SendStreamingMessage(say_to(id, "complete"));
    for end in ["complete", "fail why", "reject no"] {
        let id = world.send(say(end)).await.id;
        for call in [send(&id), stream(&id)] {
            let refused = kind(world.call(Caller::default(), call).await);
            assert_eq!(refused, ErrorKind::UnsupportedOperation, "{end}");
        }
    }
    for call in [send("none"), stream("none"), get("none"), cancel("none"), subscribe("none")] {
        let refused = kind(world.call(Caller::default(), call.clone()).await);
        assert_eq!(refused, ErrorKind::TaskNotFound, "{call:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_card_does_not_promise_is_refused() {
    let world = World::new();
    let config = TaskPushNotificationConfig { url: "http://x".into(), ..Default::default() };
    let (task_id, id) = ("t".into(), "c".into());
    let inline = configured(say("complete"), |it| {
        it.task_push_notification_config = Some(config.clone());
    });
    let push = [
        Call::SendMessage(inline.clone()),
        Call::SendStreamingMessage(inline),
        Call::CreateTaskPushNotificationConfig(config),
        Call::GetTaskPushNotificationConfig(GetTaskPushNotificationConfigRequest {
            tenant: None,
            task_id,
            id,
        }),
        Call::ListTaskPushNotificationConfigs(ListTaskPushNotificationConfigsRequest::default()),
        Call::DeleteTaskPushNotificationConfig(DeleteTaskPushNotificationConfigRequest::default()),
    ];
    for call in push {
        let refused = kind(world.call(Caller::default(), call.clone()).await);
        assert_eq!(refused, ErrorKind::PushNotificationNotSupported, "{call:?}");
    }
    let extended = || Call::GetExtendedAgentCard(GetExtendedAgentCardRequest::default());
    assert_eq!(
        kind(world.call(Caller::default(), extended()).await),
        ErrorKind::UnsupportedOperation
    );
    let mut declared = card();
    declared.capabilities.extended_agent_card = Some(true);
    declared.capabilities.streaming = None;
    let world = World::with_card(declared);
    let refused = kind(world.call(Caller::default(), extended()).await);
    assert_eq!(refused, ErrorKind::ExtendedAgentCardNotConfigured);
    for call in [Call::SendStreamingMessage(say("complete")), subscribe("t")] {
        let refused = kind(world.call(Caller::default(), call).await);
        assert_eq!(refused, ErrorKind::UnsupportedOperation);
    }
    assert_eq!(world.script.runs(), 0);
}

#[tokio::test(start_paused = true)]
async fn versions_and_required_extensions_are_checked() {
    let mut strict = card();
    strict.capabilities.extensions =
        vec![AgentExtension { uri: "urn:x".to_owned(), required: true, ..Default::default() }];
    let world = World::with_card(strict);
    let caller = |version: Option<&str>, extension: &str| Caller {
        version: version.map(Into::into),
        extensions: vec![extension.into()],
        ..Caller::default()
    };
    for (version, expected) in [
        (None, None),
        (Some(""), None),
        (Some("1.0"), None),
        (Some("1.0.1"), None),
        (Some("0.3"), Some(ErrorKind::VersionNotSupported)),
        (Some("1"), Some(ErrorKind::VersionNotSupported)),
        (Some("99.0"), Some(ErrorKind::VersionNotSupported)),
        (Some("x"), Some(ErrorKind::VersionNotSupported)),
    ] {
        let outcome =
            world.call(caller(version, "urn:x"), Call::SendMessage(say("complete"))).await;
        assert_eq!(outcome.err().map(|it| it.kind()), expected, "{version:?}");
    }
    let outcome = world.call(caller(None, "urn:y"), Call::SendMessage(say("complete"))).await;
    assert_eq!(kind(outcome), ErrorKind::ExtensionSupportRequired);
    // The card itself is how a client finds out.
    assert!(world.call(caller(Some("99.0"), "urn:y"), Call::GetAgentCard).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn media_types_the_card_does_not_name_are_refused() {
    let card = AgentCard {
        default_input_modes: vec!["text/plain".to_owned(), "image/*".to_owned()],
        ..card()
    };
    let world = World::with_card(card);
    for (media_type, read) in [
        ("text/plain", true),
        ("TEXT/Plain; charset=utf-8", true),
        ("image/png", true),
        ("text/html", false),
        ("application/json", false),
        ("imagex/png", false),
    ] {
        let mut request = say("complete");
        request.message.parts.push(Part::text("x").typed(media_type));
        let outcome = world.call(Caller::default(), Call::SendMessage(request.clone())).await;
        let refused = outcome.err().map(|it| it.kind());
        assert_eq!(refused, (!read).then_some(ErrorKind::ContentTypeNotSupported), "{media_type}");
        let lenient = world.handler.clone().check_media_types(false);
        assert!(call_on(&lenient, Caller::default(), Call::SendMessage(request)).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn owners_never_meet() {
    let world = World::new();
    let mut request = say("ask what?");
    request.message.context_id = Some("shared".into());
    let call = Call::SendMessage(request.clone());
    let task = sent_task(world.call(owner("ann"), call).await.unwrap());
    let theirs = || {
        [
            get(&task.id),
            cancel(&task.id),
            subscribe(&task.id),
            Call::SendMessage(say_to(&task.id, "complete")),
            Call::SendStreamingMessage(say_to(&task.id, "complete")),
        ]
    };
    for stranger in [owner("bob"), owner(""), owner("Ann")] {
        for call in theirs() {
            let refused = kind(world.call(stranger.clone(), call.clone()).await);
            assert_eq!(refused, ErrorKind::TaskNotFound, "{call:?}");
        }
        let listed = world.call(stranger.clone(), Call::ListTasks(ListTasksRequest::default()));
        let Reply::Tasks(page) = listed.await.unwrap() else { panic!("not a page") };
        assert_eq!(page.total_size, 0);
    }
    // The same context name of another owner is another context.
    let call = Call::SendMessage(request);
    sent_task(world.call(owner("bob"), call).await.unwrap());
    assert!(world.script.context(1).related().await.unwrap().is_empty());
    // Another tenant is as far away as another owner.
    let elsewhere =
        GetTaskRequest { tenant: Some("t".into()), id: task.id.clone(), history_length: None };
    let refused = kind(world.call(owner("ann"), Call::GetTask(elsewhere)).await);
    assert_eq!(refused, ErrorKind::TaskNotFound);
    assert_eq!(task_of(world.call(owner("ann"), get(&task.id)).await.unwrap()), task);
}

/// A faulty send and the fields at fault.
const REFUSED: &[(&str, &[&str])] = &[
    ("{}", &["message"]),
    (r#"{"message":null}"#, &["message"]),
    (r#"{"message":{}}"#, &["message"]),
    (r#"{"message":{"role":1,"parts":[{"text":"x"}]}}"#, &["message.messageId"]),
    (r#"{"message":{"messageId":"","role":1,"parts":[{"text":"x"}]}}"#, &["message.messageId"]),
    (r#"{"message":{"messageId":"m","parts":[{"text":"x"}]}}"#, &["message.role"]),
    (r#"{"message":{"messageId":"m","role":0,"parts":[{"text":"x"}]}}"#, &["message.role"]),
    (r#"{"message":{"messageId":"m","role":"user","parts":[{"text":"x"}]}}"#, &["message.role"]),
    (r#"{"message":{"messageId":"m","role":1}}"#, &["message.parts"]),
    (r#"{"message":{"messageId":"m","role":1,"parts":[]}}"#, &["message.parts"]),
    (r#"{"message":{"messageId":"m","role":1,"parts":{}}}"#, &["message.parts"]),
    (
        r#"{"message":{"messageId":"m","role":1,"parts":[{"text":"x"},{"text":"a","url":"b"}]}}"#,
        &["message.parts[1]"],
    ),
    (r#"{"message":{"messageId":"m","role":1,"parts":[{}]}}"#, &["message.parts[0]"]),
    (r#"{"message":{"messageId":"m","role":1,"parts":[{"raw":"*"}]}}"#, &["message.parts[0]"]),
    (
        r#"{"message":{"messageId":"m","role":1,
        "parts":[{"text":5}]}}"#,
        &["message.parts[0].text"],
    ),
    (r#"{"message":{"messageId":5,"role":1,"parts":[{"text":"x"}]}}"#, &["message.messageId"]),
    (r#"{"message":{"contextId":"c"}}"#, &["message.messageId", "message.role", "message.parts"]),
    (
        r#"{"message":{"messageId":"m","role":1,"parts":[{"text":"x"}]},
            "configuration":{"historyLength":-1}}"#,
        &["configuration.historyLength"],
    ),
    (
        r#"{"message":{"messageId":"m","role":1,"parts":[{"text":"x"}]},
            "configuration":{"historyLength":"x"}}"#,
        &["configuration.historyLength"],
    ),
    (
        r#"{"message":{"messageId":"m","role":1,"parts":[{"text":"x"}]},"metadata":[]}"#,
        &["metadata"],
    ),
    (r#"{"message":"hi"}"#, &["message"]),
];

#[tokio::test(start_paused = true)]
async fn faults_are_named_alike_by_both_bindings() {
    let world = World::new();
    for (params, fields) in REFUSED {
        for method in ["SendMessage", "SendStreamingMessage"] {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
            let rest = if method == "SendMessage" { "/message:send" } else { "/message:stream" };
            for call in [
                wire::jsonrpc::decode(body.as_bytes()).call,
                wire::rest::decode(&::http::Method::POST, rest, None, params.as_bytes()),
            ] {
                let error = match call {
                    Err(error) => error,
                    Ok(call) => world.call(Caller::default(), call).await.unwrap_err(),
                };
                assert_eq!(error.kind(), ErrorKind::InvalidParams, "{params}");
                let named: Vec<&str> = error.violations().iter().map(|it| &*it.field).collect();
                assert_eq!(named, *fields, "{params}");
                let body: Value =
                    serde_json::from_slice(&wire::status::rest_error(&error)).unwrap();
                let details = &body["error"]["details"];
                assert_eq!(body["error"]["code"], 400);
                assert_eq!(details[0]["reason"], "INVALID_PARAMS");
                assert_eq!(details[1]["@type"], "type.googleapis.com/google.rpc.BadRequest");
                let told = details[1]["fieldViolations"].as_array().unwrap();
                let told: Vec<&str> = told.iter().map(|it| it["field"].as_str().unwrap()).collect();
                assert_eq!(told, *fields);
                assert!(
                    details[1]["fieldViolations"][0]["description"]
                        .as_str()
                        .is_some_and(|it| !it.is_empty())
                );
            }
        }
    }
    assert_eq!(world.script.runs(), 0);
}
