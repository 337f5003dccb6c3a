//! Slow agents over Kafka: conversations in parallel, each in order; reads wait for nobody; a failure
//! holds up its own lane. On the broker in this process, whose requests topic has two partitions.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use a2a_core::{
    AgentCapabilities, AgentCard, AgentError, AgentExecutor, DefaultRequestHandler, EventQueue,
    MemoryStore, RequestContext, async_trait,
};
use serde_json::{Value, json};
use tokio::sync::{Barrier, Semaphore};

use crate::{kafka_agent::KafkaAgent, kafka_client::KafkaClient};

/// How long anything may take that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// `meet`: ends when as many runs are under way at once. `hold`: works until it is let go. All
/// else completes with its own text.
struct Slow {
    meeting: Barrier,
    gate: Semaphore,
    said: Mutex<Vec<String>>,
}

impl Slow {
    fn new(meeting: usize) -> Arc<Self> {
        let (meeting, gate) = (Barrier::new(meeting), Semaphore::new(0));
        Arc::new(Self { meeting, gate, said: Mutex::default() })
    }

    /// What was begun, in that order.
    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }
}

#[async_trait]
impl AgentExecutor for Slow {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let text = context.text();
        self.said.lock().unwrap().push(text.clone());
        queue.working(()).await?;
        if text.starts_with("meet") {
            self.meeting.wait().await;
        } else if text.starts_with("hold") {
            let _let_go = self.gate.acquire().await;
        }
        Ok(queue.complete(text).await?)
    }
}

fn start(agent: &Arc<Slow>) -> (KafkaAgent, KafkaClient) {
    let capabilities = AgentCapabilities { streaming: Some(true), ..AgentCapabilities::default() };
    let card = AgentCard { name: "data".to_owned(), capabilities, ..AgentCard::default() };
    let executor = Arc::clone(agent) as Arc<dyn AgentExecutor>;
    let handler = DefaultRequestHandler::new(card, executor, Arc::new(MemoryStore::default()));
    let agent = KafkaAgent::start(handler);
    let client = KafkaClient::connect(&agent.broker.bootstrap_servers(), "data");
    (agent, client)
}

async fn say(client: &KafkaClient, key: &str, text: &str, context: Option<&str>) {
    let value = json!({ "message": { "text": text, "contextId": context } });
    let key = Some(key.as_bytes());
    client.send_to(Some(0), key, Some(value.to_string().as_bytes()), &[]).await;
}

async fn call(client: &KafkaClient, key: &str, method: &str, params: &Value) {
    let value = json!({ "jsonrpc": "2.0", "id": key, "method": method, "params": params });
    let key = Some(key.as_bytes());
    client.send_to(Some(0), key, Some(value.to_string().as_bytes()), &[]).await;
}

/// The next answer's key, and what it says.
async fn next(client: &KafkaClient) -> (String, Value) {
    let answer = client.next_within(PATIENCE).await.expect("nothing was answered");
    (answer.key().to_owned(), answer.json())
}

#[tokio::test]
async fn conversations_of_one_partition_are_served_at_once() {
    let slow = Slow::new(60);
    let (agent, client) = start(&slow);
    for number in 0..60 {
        say(&client, &format!("key-{number}"), "meet", None).await;
    }
    for _ in 0..60 {
        let (_, task) = next(&client).await;
        assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED");
    }
    agent.stop().await;
}

#[tokio::test]
async fn one_conversation_is_served_in_the_order_of_its_records() {
    let slow = Slow::new(1);
    let (agent, client) = start(&slow);
    say(&client, "0", "hold 0", Some("talk")).await;
    for number in 1..10 {
        say(&client, &number.to_string(), &format!("say {number}"), Some("talk")).await;
        say(&client, &format!("other-{number}"), "other", None).await;
    }
    for _ in 1..10 {
        assert!(next(&client).await.0.starts_with("other"), "the conversation waits for its first");
    }
    slow.gate.add_permits(1);
    for _ in 0..10 {
        next(&client).await;
    }
    let said = slow.said();
    let talk = Vec::from_iter(said.iter().filter(|text| *text != "other"));
    assert_eq!(talk.len(), 10);
    assert!(
        talk.windows(2).all(|two| two[0].split(' ').next_back() < two[1].split(' ').next_back())
    );
    agent.stop().await;
}

#[tokio::test]
async fn reads_and_cancels_wait_for_no_work() {
    let slow = Slow::new(1);
    let (agent, client) = start(&slow);
    // As many as may run at once, and one more.
    for number in 0..257 {
        say(&client, &format!("hold-{number}"), "hold", None).await;
    }
    call(&client, "list", "ListTasks", &json!({})).await;
    let (key, listed) = next(&client).await;
    assert_eq!(key, "list");
    let id = listed["result"]["tasks"][0]["id"].clone();
    call(&client, "get", "GetTask", &json!({ "id": id })).await;
    assert_eq!(next(&client).await.1["result"]["status"]["state"], "TASK_STATE_WORKING");
    call(&client, "subscribe", "SubscribeToTask", &json!({ "id": id })).await;
    assert_eq!(next(&client).await.0, "subscribe");
    call(&client, "cancel", "CancelTask", &json!({ "id": id })).await;
    let mut ended = Vec::new();
    while ended.len() < 3 {
        let answer = client.next_within(PATIENCE).await;
        let answer = answer.unwrap_or_else(|| panic!("only these were answered: {ended:?}"));
        ended.push((answer.key().to_owned(), answer.json().to_string()));
    }
    for (key, answer) in &ended {
        assert!(answer.contains("TASK_STATE_CANCELED"), "{key}: {answer}");
    }
    assert!(slow.said().len() >= 256);
    slow.gate.add_permits(257);
    for _ in 0..256 {
        assert_eq!(next(&client).await.1["status"]["state"], "TASK_STATE_COMPLETED");
    }
    agent.stop().await;
}

#[tokio::test]
async fn an_answer_at_once_leaves_its_lane_to_the_run() {
    let slow = Slow::new(1);
    let (agent, client) = start(&slow);
    let message = |text: &str| {
        json!({ "message": { "messageId": text, "role": "ROLE_USER", "contextId": "talk",
            "parts": [{ "text": text }] },
            "configuration": { "returnImmediately": true } })
    };
    call(&client, "first", "SendMessage", &message("hold")).await;
    call(&client, "second", "SendMessage", &message("after")).await;
    let (key, answer) = next(&client).await;
    let state = answer["result"]["task"]["status"]["state"].clone();
    assert_eq!((&*key, state), ("first", json!("TASK_STATE_SUBMITTED")));
    call(&client, "list", "ListTasks", &json!({})).await;
    assert_eq!(next(&client).await.0, "list", "the lane is the run's, the partition is not");
    assert_eq!(slow.said(), ["hold"]);
    slow.gate.add_permits(1);
    assert_eq!(next(&client).await.0, "second");
    agent.stop().await;
}
