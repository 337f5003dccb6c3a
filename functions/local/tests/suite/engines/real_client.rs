//! The client over a real Kafka: its calls, a stream whose runner is killed, and the registry.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use a2a_core::{
    CancelTaskRequest, ErrorKind, GetTaskRequest, ListTasksRequest, Message, Part,
    SendMessageRequest, SendMessageResponse, StreamResponse, SubscribeToTaskRequest, TaskState,
    client::{
        Client,
        kafka::{KafkaOptions, KafkaTransport, registry::Registry},
    },
};
use futures_util::StreamExt;

use crate::process::Process;

/// How long anything may take: a dead runner's partitions are free after 6 seconds.
const PATIENCE: Duration = Duration::from_secs(30);

fn brokers() -> String {
    std::env::var("A2A_TEST_KAFKA").expect("run `cargo xtask test`, which starts Kafka")
}

fn new_name(test: &str) -> String {
    format!("{test}-{}", uuid::Uuid::new_v4().simple())
}

/// A runner of the agent that takes its time, its tasks in a durable store.
fn start(name: &str, store: &str) -> Process {
    let brokers = brokers();
    let arguments = ["--port", "0", "--kafka", &brokers, "--name", name, "--store", store];
    let mut runner =
        Process::start_example("steps", &[&arguments[..], &["--lease-seconds", "2"]].concat(), &[]);
    runner.printed(" -C ");
    runner
}

fn store() -> String {
    let address = std::env::var("A2A_TEST_REDIS").expect("run `cargo xtask test`");
    format!("{address}/0?prefix=t{}", uuid::Uuid::new_v4().simple())
}

fn client(name: &str, query: &str) -> Client {
    let url = format!("kafka://{}/agent.{name}.requests{query}", brokers());
    let mut options = KafkaOptions::default();
    options.resend_after = Some(Duration::from_secs(1));
    Client::new(Arc::new(KafkaTransport::new(&url, options).unwrap()))
}

fn say(text: &str) -> SendMessageRequest {
    let message = Message::user("message", vec![Part::text(text)]);
    SendMessageRequest { message, ..SendMessageRequest::default() }
}

#[tokio::test]
async fn the_calls_of_the_client() {
    let name = new_name("calls");
    let _runner = start(&name, &store());
    let client = client(&name, "");
    let SendMessageResponse::Task(sent) = client.send(say("2")).await.unwrap() else {
        panic!("the agent answers with a task")
    };
    assert_eq!(sent.status.state, TaskState::Completed);
    let get = GetTaskRequest { id: Arc::clone(&sent.id), ..GetTaskRequest::default() };
    assert_eq!(client.get(get).await.unwrap(), *sent);
    let mut events = client.stream(say("ask")).await.unwrap();
    let mut last = None;
    while let Some(event) = events.0.next().await {
        last = Some(event.unwrap());
    }
    let Some(StreamResponse::StatusUpdate(asked)) = last.map(|event| event.response) else {
        panic!("a stream ends with a status")
    };
    assert_eq!(asked.status.state, TaskState::InputRequired);
    let page = client.list(ListTasksRequest::default()).await.unwrap();
    assert_eq!(page.total_size, 2);
    let cancel = CancelTaskRequest { id: Arc::clone(&asked.task_id), ..Default::default() };
    assert_eq!(client.cancel(cancel).await.unwrap().status.state, TaskState::Canceled);
    let subscribe = SubscribeToTaskRequest { id: Arc::clone(&asked.task_id), tenant: None };
    let refused = client.subscribe(subscribe, None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::UnsupportedOperation);
}

#[tokio::test]
async fn a_stream_goes_on_when_its_runner_was_killed() {
    let (name, store) = (new_name("resumed"), store());
    let first = start(&name, &store);
    let client = client(&name, "");
    let mut events = client.stream(say("20")).await.unwrap();
    let mut all = Vec::new();
    while all.len() < 4 {
        all.push(events.0.next().await.unwrap().unwrap());
    }
    first.signal("KILL");
    let _second = start(&name, &store);
    while let Some(event) = events.0.next().await {
        all.push(event.unwrap());
    }
    assert!(all.is_sorted_by(|before, after| before.cursor < after.cursor), "{all:?}");
    let last = all.last().unwrap();
    assert!(last.last && all[..all.len() - 1].iter().all(|event| !event.last));
    let StreamResponse::StatusUpdate(end) = &last.response else { panic!("{last:?}") };
    assert_eq!(end.status.state, TaskState::Completed);
    let get = GetTaskRequest { id: Arc::clone(&end.task_id), ..GetTaskRequest::default() };
    let task = client.get(get).await.unwrap();
    let pieces: String = task.artifacts[0].parts.iter().filter_map(Part::as_text).collect();
    assert_eq!(pieces, (1..=20).map(|step| format!("{step};")).collect::<String>());
}

#[tokio::test]
async fn a_runner_is_in_the_registry_while_it_serves() {
    let name = new_name("registered");
    let registry = Registry::new(&brokers(), &KafkaOptions::default()).unwrap();
    let found = async |there: bool| {
        let began = Instant::now();
        loop {
            let found = registry.find(&name).await.unwrap();
            if found.is_some() == there {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "{found:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let runner = start(&name, "memory:");
    let entry = found(true).await.unwrap();
    assert_eq!(entry.card.name, name);
    assert!(entry.expires.is_some());
    assert_eq!(client(&name, "").card().await.unwrap().name, name);
    runner.signal("INT");
    assert_eq!(runner.ended().code, Some(0));
    assert!(found(false).await.is_none());
}
