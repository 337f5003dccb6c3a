//! Redelivered records, and records of one conversation that arrive at once: whatever the order,
//! a request is done once, its answers are equal, and a task's journal is one story.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use a2a_core::{
    Caller, DefaultRequestHandler, Env, Error, ErrorKind, MemoryStore, TaskStore, Timestamp,
    http::HttpEndpoint,
    kafka::KafkaEndpoint,
    task::{Entry, TaskKey},
    wire::kafka::Record,
};
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::{
    kafka::{ask, body, endpoint, message, record, rpc},
    world::*,
};

fn cancel_of(id: &str) -> String {
    rpc("CancelTask", &json!({ "id": id }))
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_cancel_answers_the_same_task() {
    let world = World::new();
    let endpoint = endpoint(&world);
    for (offset, task) in [
        (1, world.send(say("working\nartifact a one\nask what?")).await),
        (2, world.at_work("working\ngate\ncomplete").await),
    ] {
        let asked = record(offset, &cancel_of(&task.id));
        let first = ask(&endpoint, &asked).await;
        assert_eq!(body(&first)["result"]["status"]["state"], "TASK_STATE_CANCELED");
        let elsewhere = KafkaEndpoint::new(world.handler.clone(), "script", "cluster");
        for _ in 0..2 {
            assert_eq!(ask(&elsewhere, &asked).await, first);
        }
        // Another cancel is another request.
        let other = ask(&endpoint, &record(offset + 10, &cancel_of(&task.id))).await;
        assert_eq!(body(&other)["error"]["code"], -32002);
    }
}

/// A world whose callers' credentials are good until the year's end, and its clock.
fn until_new_year() -> (World, Arc<AtomicI64>) {
    const NEW_YEAR: i64 = 1_800_000_060_000;
    let mut world = World::new();
    let clock = Arc::new(AtomicI64::new(1_800_000_000_000));
    let time = Arc::clone(&clock);
    let now = move || Timestamp::from_millis(time.load(Ordering::SeqCst));
    let handler = world.handler.clone().with_env(Env::new(now, uuid::Uuid::new_v4));
    world.handler = handler.authenticated_by(|brought, at| match brought {
        Some(name) if at.as_millis() < NEW_YEAR => {
            Ok(String::from_utf8_lossy(name).into_owned().into())
        }
        _ => Err(Error::new(ErrorKind::Unauthenticated, "Not any more.")),
    });
    (world, clock)
}

fn by(caller: &str, record: Record) -> Record {
    let mut headers = record.headers;
    headers.push(("authorization".to_owned(), Bytes::copy_from_slice(caller.as_bytes())));
    Record { headers, ..record }
}

#[tokio::test(start_paused = true)]
async fn credentials_are_judged_once() {
    let (world, clock) = until_new_year();
    let endpoint = endpoint(&world);
    let keyed = |record: Record| {
        let key = ("a2a-idempotency-key".to_owned(), Bytes::from_static(b"k"));
        Record { headers: vec![key], ..record }
    };
    let send = |offset| by("alice", record(offset, &rpc("SendMessage", &message("ask what?"))));
    let (first, under_key) = (ask(&endpoint, &send(1)).await, by("alice", keyed(send(2))));
    let under_key_first = ask(&endpoint, &under_key).await;
    let task = body(&first)["result"]["task"]["id"].as_str().unwrap().to_owned();
    let cancel = by("alice", record(3, &cancel_of(&task)));
    let canceled = ask(&endpoint, &cancel).await;
    clock.fetch_add(120_000, Ordering::SeqCst);
    for (record, expected) in
        [(send(1), &first), (under_key, &under_key_first), (cancel, &canceled)]
    {
        assert_eq!(ask(&endpoint, &record).await, *expected);
    }
    // What was not recorded in time is refused, whatever time it claims.
    let get = by("alice", record(4, &rpc("GetTask", &json!({ "id": task }))));
    for late in [send(5), get, by("bob", record(1, &rpc("SendMessage", &message("ask what?"))))] {
        assert_eq!(body(&ask(&endpoint, &late).await)["error"]["code"], -32050, "{late:?}");
    }
    assert_eq!(world.script.runs(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_brokers_time_judges_credentials() {
    let (world, clock) = until_new_year();
    let endpoint = endpoint(&world);
    clock.fetch_add(120_000, Ordering::SeqCst);
    let send = by("alice", record(1, &rpc("SendMessage", &message("complete"))));
    let send = Record { broker_time: true, ..send };
    let first = ask(&endpoint, &send).await;
    assert_eq!(body(&first)["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED");
    let late = Record { timestamp: 1_800_000_090_000, ..send };
    assert_eq!(body(&ask(&endpoint, &late).await)["error"]["code"], -32050);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_under_a_key_is_the_same_over_both_transports() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let over_http = HttpEndpoint::new(world.handler.clone()).unwrap();
    let task = world.send(say("ask what?")).await;
    let post = |key: &'static str| {
        let request = Request::post(format!("/tasks/{}:cancel", task.id))
            .header("idempotency-key", key)
            .body(Bytes::new())
            .unwrap();
        let response = over_http.serve(Caller::default(), request);
        async {
            let body = response.await.into_body().collect().await.unwrap().to_bytes();
            serde_json::from_slice::<Value>(&body).unwrap()
        }
    };
    let first = post("k").await;
    assert_eq!(first["status"]["state"], "TASK_STATE_CANCELED");
    assert_eq!(post("k").await, first);
    for offset in [1, 2] {
        let headers = vec![("A2A-Idempotency-Key".to_owned(), Bytes::from_static(b"k"))];
        let asked = Record { headers, ..record(offset, &cancel_of(&task.id)) };
        assert_eq!(body(&ask(&endpoint, &asked).await)["result"], first);
    }
    assert_eq!(post("another").await["error"]["details"][0]["reason"], "TASK_NOT_CANCELABLE");
    assert_eq!(post("k").await, first, "and later, too");
}

#[tokio::test(start_paused = true)]
async fn without_a_key_a_cancel_leaves_no_more_than_its_status() {
    let world = World::new();
    let task = world.send(say("ask what?")).await;
    world.cancel(&task.id).await.unwrap();
    let journal = journal(&*world.store, &task.id).await;
    assert!(!journal.iter().any(|entry| matches!(entry, Entry::CancelRequested(_))));
}

async fn journal(store: &dyn TaskStore, id: &str) -> Vec<Entry> {
    let key = TaskKey { tenant: "".into(), id: id.into() };
    let journal = store.read(&key, 0).await.unwrap().unwrap();
    journal.slots.iter().flat_map(|slot| slot.entries.iter().cloned()).collect()
}

#[test]
fn entries_of_before_are_read() {
    let before = r#"{"submitted":{"message":{"messageId":"m","role":"ROLE_USER","parts":[]},
        "request":"k","at":"2026-01-31T12:00:00Z"}}"#;
    let Entry::Submitted(submitted) = serde_json::from_str(before).unwrap() else { panic!() };
    assert_eq!((submitted.expires, submitted.request.as_deref()), (None, Some("k")));
}

/// Says what it was told, in pieces, and yields between them to other writers.
fn chatty(store: Arc<MemoryStore>) -> DefaultRequestHandler {
    handler_on(
        store,
        Agent(|context: a2a_core::RequestContext, queue: a2a_core::EventQueue| async move {
            let text = context.text();
            for piece in 0..3 {
                queue.append("said", format!("{text}.{piece};")).await?;
                yields().await;
            }
            Ok(queue.require_input("And then?").await?)
        }),
    )
}

/// Messages to one task, cancels of it and new tasks of its context, each on a partition of its own,
/// all at once and each twice: Kafka keeps no order between partitions, so the journal must.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_of_one_context_on_different_partitions_are_one_story_each() {
    const PARTITIONS: i32 = 8;
    for round in 0..20_i64 {
        let store = Arc::<MemoryStore>::default();
        let endpoint = KafkaEndpoint::new(chatty(Arc::clone(&store)), "script", "cluster");
        let mut first = message("first");
        first["message"]["contextId"] = json!("c");
        let task = body(&ask(&endpoint, &record(round, &rpc("SendMessage", &first))).await);
        let id = task["result"]["task"]["id"].as_str().unwrap().to_owned();
        let deliveries = (0..2 * PARTITIONS).map(|delivery| {
            let partition = delivery % PARTITIONS;
            let mut params = message(&format!("p{partition}"));
            params["message"]["contextId"] = json!("c");
            if partition % 2 == 0 {
                params["message"]["taskId"] = json!(id);
            }
            let value = match partition {
                7 if round % 2 == 0 => cancel_of(&id),
                _ => rpc("SendMessage", &params),
            };
            let record = Record { partition, ..record(round, &value) };
            let endpoint = endpoint.clone();
            tokio::spawn(async move { (partition, ask(&endpoint, &record).await) })
        });
        let mut answers: Vec<Vec<_>> = vec![Vec::new(); PARTITIONS as usize];
        for delivery in deliveries.collect::<Vec<_>>() {
            let (partition, answer) = soon(delivery).await.unwrap();
            answers[partition as usize].push(answer);
        }
        for answers in &answers {
            assert_eq!(answers[0], answers[1], "both deliveries of a record are answered the same");
        }
        let ids: BTreeSet<String> = answers
            .iter()
            .filter_map(|answers| {
                Some(body(&answers[0])["result"]["task"]["id"].as_str()?.to_owned())
            })
            .chain([id])
            .collect();
        for id in ids {
            one_story(&journal(&*store, &id).await);
        }
    }
}

/// Each message has its pieces, whole and in order, from its last attempt; nothing comes between a
/// message and its rest, or after the end.
fn one_story(entries: &[Entry]) {
    let (mut said, mut text, mut ended) = (0, String::new(), false);
    for entry in entries {
        assert!(!ended, "something comes after its end: {entries:?}");
        match entry {
            Entry::Submitted(submitted) => {
                assert_eq!(said % 3, 0, "a message out of turn: {entries:?}");
                (said, text) = (0, submitted.message.text());
            }
            Entry::Started(_) => said = 0,
            Entry::Artifact(event) => {
                assert_eq!(parts_text(&event.artifact.parts), format!("{text}.{said};"));
                said += 1;
            }
            Entry::Status(event) => {
                let state = event.status.state;
                ended = state.is_terminal();
                assert!(!state.is_interrupted() || said == 3, "{entries:?}");
            }
            _ => {}
        }
    }
}
