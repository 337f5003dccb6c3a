//! The idempotency key, over each transport: its request may be retried, at any time and to any
//! instance, and is executed once.

use std::time::Duration;

use a2a_core::{
    Call, Caller, ErrorKind, IdempotencyKey, SendMessageRequest, TaskState, TaskStore, Timestamp,
    http::{Body, HttpEndpoint},
    kafka::KafkaEndpoint,
    store::conformance::append,
    task::{Entry, KeyUsed, TaskKey},
    wire::kafka::Record,
};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::{delivery::died, world::*};

fn with_key(owner: &str, key: &str) -> Caller {
    let request_key = IdempotencyKey::of_caller("script", owner, key).unwrap();
    Caller { owner: owner.into(), key: Some(request_key), ..Caller::default() }
}

async fn send(world: &World, owner: &str, key: &str, story: &str) -> a2a_core::Task {
    let call = Call::SendMessage(say(story));
    sent_task(world.call(with_key(owner, key), call).await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_retry_while_the_first_is_served_waits_for_its_answer() {
    let world = World::new();
    let story = "working hm\ngate\ncomplete done";
    let first = world.spawn(with_key("", "k"), say(story));
    world.script.begun.passed().await;
    // Longer than any lease: its runner is alive.
    let second = world.spawn(with_key("", "k"), say(story));
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!((world.script.runs(), world.script.over()), (1, 0));
    world.script.gate.open();
    let first = sent_task(soon(first).await.unwrap().unwrap());
    assert_eq!(sent_task(soon(second).await.unwrap().unwrap()), first);
    assert_eq!(send(&world, "", "k", story).await, first, "and later, too");
    assert_eq!(world.script.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retried_stream_joins_the_one_at_work() {
    let world = World::new();
    let story = "working hm\ngate\nartifact a one\ncomplete done";
    let stream = || async {
        let call = Call::SendStreamingMessage(say(story));
        events(world.call(with_key("", "k"), call).await.unwrap())
    };
    let (mut first, mut second) = (stream().await, stream().await);
    for events in [&mut first, &mut second] {
        assert_eq!(told(&next(events).await), "task submitted");
        assert_eq!(told(&next(events).await), "working hm");
    }
    let at_once = Call::SendMessage(at_once(say(story)));
    let task = sent_task(world.call(with_key("", "k"), at_once).await.unwrap());
    assert_eq!(task.status.state, TaskState::Submitted, "it need not wait");
    world.script.gate.open();
    let rest = told_all(&all(first).await);
    assert_eq!(rest, ["a one", "completed done"]);
    assert_eq!(told_all(&all(second).await), rest);
    assert_eq!(world.script.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_the_first_runner_died_takes_over() {
    let world = World::new();
    let story = "working hm\ngate\ncomplete done";
    let mut request = say(story);
    request.message.context_id = Some("c".into());
    died(&world, with_key("", "k"), request.clone());
    world.script.gate.open();
    let call = Call::SendMessage(request);
    let task = sent_task(world.call(with_key("", "k"), call).await.unwrap());
    assert_eq!((task.status.state, world.script.runs()), (TaskState::Completed, 2));
}

#[tokio::test(start_paused = true)]
async fn keys_are_their_callers_own() {
    let world = World::new();
    let mine = send(&world, "me", "k", "complete mine").await;
    let other = send(&world, "you", "k", "complete yours").await;
    assert_ne!(mine.id, other.id);
    assert_eq!(send(&world, "me", "k", "complete mine").await, mine);
    let refused = world.call(with_key("me", "k"), Call::SendMessage(say("complete else"))).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.message().contains("key"), "{error}");
    assert_eq!(world.script.runs(), 2);
    // No two of these are the same by accident.
    let keys =
        [("a", "b", "c"), ("ab", "", "c"), ("a", "", "bc"), ("", "ab", "c"), ("", "", "abc")];
    let ids: std::collections::BTreeSet<_> = keys
        .map(|(agent, owner, key)| IdempotencyKey::of_caller(agent, owner, key).unwrap().id("task"))
        .into();
    assert_eq!(ids.len(), keys.len());
}

/// The id of the journal that is called after a key.
fn id_of(key: &str) -> std::sync::Arc<str> {
    with_key("", key).key.unwrap().id("task")
}

async fn refused(world: &World, key: &str, request: SendMessageRequest) {
    let error = world.call(with_key("", key), Call::SendMessage(request)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    assert!(error.message().contains("key"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_key_stands_for_one_request_at_any_task() {
    let world = World::new();
    let asked = [world.send(say("ask what?")).await, world.send(say("ask what?")).await];
    send(&world, "", "new", "complete done").await;
    refused(&world, "new", say_to(&asked[0].id, "complete done")).await;
    let follow_up = || Call::SendMessage(say_to(&asked[0].id, "ask and?"));
    let first = sent_task(world.call(with_key("", "old"), follow_up()).await.unwrap());
    assert_eq!(first.status.state, TaskState::InputRequired);
    assert_eq!(sent_task(world.call(with_key("", "old"), follow_up()).await.unwrap()), first);
    refused(&world, "old", say("ask and?")).await;
    refused(&world, "old", say_to(&asked[1].id, "ask and?")).await;
    refused(&world, "old", say_to(&asked[0].id, "complete else")).await;
    assert_eq!(world.script.runs(), 4, "nothing of what was refused");
    // What says so is no task, for anybody.
    let id = id_of("old");
    for call in [get(&id), subscribe(&id), cancel(&id), Call::SendMessage(say_to(&id, "x"))] {
        assert_eq!(kind(world.call(Caller::default(), call).await), ErrorKind::TaskNotFound);
    }
    assert_eq!(list(&world, Default::default()).await.total_size, 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_used_no_key() {
    let world = World::new();
    let ended = world.send(say("complete done")).await;
    let call = Call::SendMessage(say_to(&ended.id, "complete more"));
    assert!(world.call(with_key("", "k"), call).await.is_err());
    assert_eq!(send(&world, "", "k", "complete done").await.status.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_retry_completes_what_stopped_after_the_keys_journal() {
    let world = World::new();
    let asked = world.send(say("ask what?")).await;
    let used = KeyUsed { task_id: asked.id.clone(), at: Timestamp::from_millis(1) };
    let key = TaskKey { tenant: "".into(), id: id_of("k") };
    let entries = [Entry::KeyUsed(used)];
    let head = a2a_core::task::Fold::new(key.id.clone()).head_after(&"".into(), &entries);
    append(&(world.store.clone() as _), key, 0, entries, Some(head)).await.unwrap();
    refused(&world, "k", say("complete done")).await;
    let call = Call::SendMessage(say_to(&asked.id, "complete done"));
    let task = sent_task(world.call(with_key("", "k"), call).await.unwrap());
    assert_eq!((task.status.state, world.script.runs()), (TaskState::Completed, 2));
}

#[tokio::test(start_paused = true)]
async fn a_position_needs_no_journal_beside_the_task() {
    let world = World::new();
    let asked = world.send(say("ask what?")).await;
    let call = Call::SendMessage(say_to(&asked.id, "complete done"));
    world.call(keyed("position"), call).await.unwrap();
    let key = TaskKey { tenant: "".into(), id: keyed("position").key.unwrap().id("task") };
    assert!(world.store.read(&key, 0).await.unwrap().is_none());
}

async fn post(endpoint: &HttpEndpoint, key: &[u8], text: &str) -> (StatusCode, Value) {
    post_to(endpoint, None, key, text).await
}

async fn post_to(
    endpoint: &HttpEndpoint,
    task: Option<&str>,
    key: &[u8],
    text: &str,
) -> (StatusCode, Value) {
    posted(endpoint, "idempotency-key", (task, key), text).await
}

async fn posted(
    endpoint: &HttpEndpoint,
    header: &str,
    (task, key): (Option<&str>, &[u8]),
    text: &str,
) -> (StatusCode, Value) {
    let mut message = json!({"messageId": "m", "role": "ROLE_USER", "parts": [{"text": text}]});
    if let Some(task) = task {
        message["taskId"] = task.into();
    }
    let request = Request::post("/message:send")
        .header("content-type", "application/a2a+json")
        .header(header, key)
        .body(Bytes::from(json!({ "message": message }).to_string()))
        .unwrap();
    let response: http::Response<Body> = endpoint.serve(Caller::default(), request).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

fn record(offset: i64, key: &[u8], text: &str) -> Record {
    Record {
        topic: "agent.script.requests".to_owned(),
        partition: 0,
        offset,
        timestamp: 1,
        broker_time: false,
        key: Some(Bytes::from_static(b"corr")),
        value: Some(Bytes::from(json!({ "message": { "text": text } }).to_string())),
        headers: vec![("a2a-idempotency-key".to_owned(), Bytes::copy_from_slice(key))],
    }
}

#[tokio::test(start_paused = true)]
async fn over_http_it_is_a_header() {
    let world = World::new();
    let endpoint = HttpEndpoint::new(world.handler.clone()).unwrap();
    let (status, first) = post(&endpoint, b"k 1", "complete done").await;
    assert_eq!(
        (status, &first["task"]["status"]["state"]),
        (StatusCode::OK, &json!("TASK_STATE_COMPLETED"))
    );
    assert_eq!(post(&endpoint, b"k 1", "complete done").await, (status, first.clone()));
    // By the name it has over Kafka too.
    let by_name = posted(&endpoint, "a2a-idempotency-key", (None, b"k 1"), "complete done").await;
    assert_eq!(by_name, (status, first.clone()));
    assert_ne!(post(&endpoint, b"k 2", "complete done").await.1["task"]["id"], first["task"]["id"]);
    let (status, refused) = post(&endpoint, b"k 1", "complete other").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
    for key in [&b""[..], &[b'k'; 256], b"\xe9", b"a\tb"] {
        let (status, refused) = post(&endpoint, key, "complete done").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
        assert!(refused.to_string().contains("Idempotency-Key"), "{refused}");
    }
    assert_eq!(world.script.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn over_kafka_it_is_a_header_and_the_same_key_as_over_http() {
    let world = World::new();
    let endpoint = KafkaEndpoint::new(world.handler.clone(), "script", "scope");
    let answer = |record: Record| {
        let endpoint = endpoint.clone();
        async move {
            let mut answers = Vec::new();
            let mut incoming = endpoint.read(&std::sync::Arc::default(), record);
            endpoint.serve(&mut incoming, None, |answer| answers.push(answer)).await.unwrap();
            serde_json::from_slice::<Value>(&answers.remove(0).value).unwrap()
        }
    };
    let first = answer(record(1, b"k", "complete done")).await;
    assert_eq!(first["status"]["state"], "TASK_STATE_COMPLETED");
    // Another record: its position is another, its key is not.
    assert_eq!(answer(record(2, b"k", "complete done")).await, first);
    assert_eq!(world.script.runs(), 1);
    assert!(answer(record(3, b"k", "complete else")).await["error"]["message"].is_string());
    assert_ne!(answer(record(4, b"l", "complete done")).await["id"], first["id"]);
    for key in [&b""[..], &[b'k'; 256], b"\xff"] {
        let refused = answer(record(5, key, "complete done")).await;
        assert!(refused.to_string().contains("a2a-idempotency-key"), "{refused}");
    }
    let over_http = HttpEndpoint::new(world.handler.clone()).unwrap();
    // Nor does it stand for a message to a task, on either side.
    let asked = world.send(say("ask what?")).await;
    let (status, other) = post_to(&over_http, Some(&asked.id), b"k", "complete done").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{other}");
    let (status, _) = post_to(&over_http, Some(&asked.id), b"m", "complete done").await;
    assert_eq!(status, StatusCode::OK);
    assert!(answer(record(6, b"m", "complete done")).await["error"]["message"].is_string());
    let (_, other) = post(&over_http, b"k", "complete done").await;
    // The message itself is another there, so it is refused and not executed.
    assert!(other["error"].is_object(), "{other}");
    assert_eq!(world.script.runs(), 4);
}
