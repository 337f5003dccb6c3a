//! The Balance Agent beside its peer in one runner: the same questions over HTTP and over Kafka, and
//! the same answers but for ids and times.

use serde_json::{Value, json};

use crate::{
    kafka_client::KafkaClient,
    process::{Process, http},
};

/// Conversations: each text goes to the task of the one before it.
const CONVERSATIONS: &[&[(&str, &str)]] = &[
    &[("Is Terran balanced?", "TASK_STATE_COMPLETED")],
    &[("종족 밸런스 어때?", "TASK_STATE_COMPLETED")],
    &[("win rate", "TASK_STATE_INPUT_REQUIRED"), ("Terran", "TASK_STATE_COMPLETED")],
    &[("hello", "TASK_STATE_COMPLETED")],
];

/// The task without what differs from run to run.
fn bare(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            for name in ["id", "taskId", "contextId", "messageId", "timestamp", "metadata"] {
                members.remove(name);
            }
            for member in members.values_mut() {
                *member = bare(member.take());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = bare(item.take())),
        _ => {}
    }
    value
}

fn request(text: &str, of: Option<&Value>) -> Value {
    let mut message = json!({ "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": text }] });
    if let Some(task) = of {
        message["taskId"] = task["id"].clone();
    }
    json!({ "message": message })
}

#[tokio::test]
async fn beside_its_peer_it_answers_the_same_over_both_transports() {
    let mut runner = Process::start(&["--agents", "data,balance", "--port", "0"], &[]);
    let produce = runner.printed("agent.balance.requests");
    assert!(produce.contains("Is Terran balanced?"), "{produce}");
    let brokers = produce.split_whitespace().skip_while(|word| *word != "-b").nth(1).unwrap();
    let line = runner.printed("The agent `balance` listens on http://");
    let address = line.split("http://").nth(1).unwrap().split_whitespace().next().unwrap();
    let client = KafkaClient::connect(brokers, "balance");
    for conversation in CONVERSATIONS {
        let (mut over_http, mut over_kafka): (Option<Value>, Option<Value>) = (None, None);
        for (text, state) in *conversation {
            let body = request(text, over_http.as_ref()).to_string();
            let headers = ["content-type: application/json", "a2a-version: 1.0"];
            let answer = http(address, "POST", "/message:send", &headers, &body).json();
            let task = answer["task"].clone();
            assert_eq!(task["status"]["state"], **state, "{text}: {answer}");
            let params = request(text, over_kafka.as_ref());
            let call =
                json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params });
            client.ask("corr-1", &call).await;
            let answer = client.next().await.json()["result"]["task"].take();
            assert_eq!(bare(answer.clone()), bare(task.clone()), "{text}");
            (over_http, over_kafka) = (Some(task), Some(answer));
        }
    }
    // What the peer did for it is the peer's, and not its own.
    let listed = http(address, "GET", "/tasks", &["a2a-version: 1.0"], "").json();
    assert_eq!(listed["totalSize"], 2 * CONVERSATIONS.len(), "{listed}");
    let data = http(&runner.address(), "GET", "/tasks", &["a2a-version: 1.0"], "").json();
    assert_eq!(data["totalSize"], 2 * (3 + 3 + 1 + 1), "{data}");
    runner.signal("INT");
    assert_eq!(runner.ended().code, Some(0));
}

#[test]
fn without_its_peer_it_is_one_sentence() {
    let ended = Process::start(&["--agents", "balance", "--port", "0", "--no-kafka"], &[]).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = ended.stderr.iter().any(|line| line.contains("needs to reach the agent `data`"));
    assert!(said, "{ended:?}");
}
