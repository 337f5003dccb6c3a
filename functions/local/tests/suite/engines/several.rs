//! Several agents in one runner: one broker and one store, and yet each has its own name, topics,
//! card, address and tasks.

use std::time::Duration;

use a2a_core::Agent as Served;
use a2a_local::{config::Config, run::Runner};
use clap::Parser;
use serde_json::{Value, json};

use crate::{
    agents::Agent,
    kafka_client::KafkaClient,
    process::{Response, http},
};

/// Two agents that are alike but for their names.
fn twins() -> [Served; 2] {
    ["data", "twin"].map(|name| {
        let mut agent = Agent::Data.served();
        agent.card.name = name.to_owned();
        agent
    })
}

async fn start(store: &str) -> Runner {
    let arguments = ["a2a-local", "--agents", "data,twin", "--port", "0", "--store", store];
    Runner::start(&Config::parse_from(arguments), twins()).await.unwrap()
}

/// One HTTP request to each of the runner's agents.
async fn both(runner: &Runner, method: &'static str, path: &str, body: &str) -> [Response; 2] {
    let [first, second] = &runner.agents[..] else { panic!("two agents") };
    let ask = |address: String| {
        let (path, body) = (path.to_owned(), body.to_owned());
        tokio::task::spawn_blocking(move || {
            let json = ["content-type: application/a2a+json", "a2a-version: 1.0"];
            http(&address, method, &path, &json, &body)
        })
    };
    let (first, second) =
        tokio::join!(ask(first.address.to_string()), ask(second.address.to_string()));
    [first.unwrap(), second.unwrap()]
}

async fn keeps_agents_apart(store: &str) {
    let runner = start(store).await;
    let cards = both(&runner, "GET", "/.well-known/agent-card.json", "").await;
    let cards = cards.map(|card| card.json());
    assert_eq!(cards.each_ref().map(|card| card["name"].clone()), ["data", "twin"]);
    let urls = cards.each_ref().map(|card| card["supportedInterfaces"][0]["url"].clone());
    assert_eq!(urls, [0, 1].map(|at| format!("http://{}/", runner.agents[at].address)));

    // The same request to both, under the same idempotency key, is a task of each.
    let brokers = runner.brokers().unwrap().to_owned();
    let mut ids = Vec::new();
    for name in ["data", "twin"] {
        let client = KafkaClient::connect(&brokers, name);
        let key = [("a2a-idempotency-key".to_owned(), "same".to_owned())];
        let question = json!({ "message": { "text": "Zerg win rate" }, "context_id": "c" });
        client.send(Some(b"corr-1"), Some(question.to_string().as_bytes()), &key).await;
        let answer = client.next().await;
        assert_eq!(answer.key(), "corr-1");
        assert_eq!(answer.json()["status"]["state"], "TASK_STATE_COMPLETED");
        ids.push(answer.json()["id"].as_str().unwrap().to_owned());
        let none = client.next_within(Duration::from_millis(50)).await;
        assert!(none.is_none(), "an answer of another agent's: {none:?}");
    }
    assert_ne!(ids[0], ids[1]);

    let lists = both(&runner, "GET", "/tasks?contextId=c", "").await.map(|list| list.json());
    let listed = |list: &Value| {
        let tasks = list["tasks"].as_array().unwrap().iter();
        tasks.map(|task| task["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(lists.each_ref().map(listed), [vec![ids[0].clone()], vec![ids[1].clone()]]);
    for (place, id) in ids.iter().enumerate() {
        let found = both(&runner, "GET", &format!("/tasks/{id}"), "").await;
        let canceled = both(&runner, "POST", &format!("/tasks/{id}:cancel"), "{}").await;
        // It has ended: its own agent says so, to the other it is unknown.
        let statuses = [found, canceled].map(|answers| answers.map(|answer| answer.status));
        let expected = if place == 0 { [[200, 404], [400, 404]] } else { [[404, 200], [404, 400]] };
        assert_eq!(statuses, expected, "{id}");
    }
    runner.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory() {
    keeps_agents_apart("memory:").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres() {
    let address = std::env::var("A2A_TEST_POSTGRES").expect("run `cargo xtask test`");
    let unique = uuid::Uuid::new_v4().simple().to_string();
    keeps_agents_apart(&format!("{address}?schema=t{unique}")).await;
}
