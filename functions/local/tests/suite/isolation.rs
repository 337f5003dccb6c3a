//! Callers of an agent that calls another one: whatever they choose the same, they never meet there.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::{
    kafka_client::KafkaClient,
    process::{Process, http},
    tokens::Issuer,
};

/// A guarded runner of both agents, and a way to `balance`.
struct Runner {
    process: Process,
    address: String,
    kafka: Option<KafkaClient>,
    issuer: Issuer,
}

impl Runner {
    /// With `data` reached from `balance` as that says: over this process's broker, over HTTP, or
    /// within the process.
    fn start(way: &str) -> Self {
        let issuer = Issuer::new();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (port, peer) = (free.to_string(), format!("data=http://127.0.0.1:{free}"));
        let guards = issuer.guards();
        let mut arguments = vec!["--agents", "data,balance", "--port"];
        match way {
            "http" => arguments.extend([&*port, "--peer", &*peer]),
            "process" => arguments.extend(["0", "--no-kafka"]),
            _ => arguments.push("0"),
        }
        arguments.extend(guards.iter().map(|it| &**it));
        let own = issuer.token("balance");
        let mut process = Process::start(&arguments, &[("A2A_PEER_TOKEN_DATA", &own)]);
        let line = process.printed("The agent `balance` listens on http://");
        let address = line.split("http://").nth(1).unwrap().split_whitespace().next().unwrap();
        let kafka = (way != "process").then(|| {
            let line = process.printed("agent.balance.requests");
            let broker = line.split_whitespace().skip_while(|word| *word != "-b").nth(1).unwrap();
            KafkaClient::connect(broker, "balance")
        });
        Self { address: address.to_owned(), process, kafka, issuer }
    }

    /// The task that this caller's message makes, in a conversation that all call the same.
    async fn task(&self, by: &str, caller: &str, text: &str, of: Option<&Value>) -> Value {
        let parts = json!([{ "text": text }]);
        let mut message = json!({ "messageId": "m", "role": "ROLE_USER", "parts": parts });
        match of {
            Some(task) => message["taskId"] = task["id"].clone(),
            None => message["contextId"] = "chat-1".into(),
        }
        let call = json!({
            "jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": { "message": message },
        });
        let token = format!("Bearer {}", self.issuer.token(caller));
        let answer = match (&self.kafka, by) {
            (Some(kafka), "kafka") => {
                let (value, headers) = (call.to_string(), [("authorization".to_owned(), token)]);
                kafka.send(Some(b"corr"), Some(value.as_bytes()), &headers).await;
                kafka.next().await.json()
            }
            _ => {
                let authorization = format!("authorization: {token}");
                let headers = ["content-type: application/json", &authorization];
                http(&self.address, "POST", "/", &headers, &call.to_string()).json()
            }
        };
        answer["result"]["task"].clone()
    }
}

#[tokio::test]
async fn an_open_question_at_a_peer_is_its_callers_own() {
    for (way, by) in [("kafka", "http"), ("kafka", "kafka"), ("http", "kafka"), ("process", "http")]
    {
        let runner = Runner::start(way);
        let state = |task: &Value| task["status"]["state"].as_str().unwrap_or("none").to_owned();
        let asked = runner.task(by, "alice", "win rate", None).await;
        assert_eq!(state(&asked), "TASK_STATE_INPUT_REQUIRED", "{way} {by}: {asked}");
        let others = runner.task(by, "bob", "Terran", None).await;
        assert_ne!(state(&others), "TASK_STATE_COMPLETED", "{way} {by}: {others}");
        // In her own conversation it is an answer to that question.
        let own = runner.task(by, "alice", "Terran", None).await;
        assert_eq!(state(&own), "TASK_STATE_COMPLETED", "{way} {by}: {own}");
        let answered = runner.task(by, "alice", "Zerg", Some(&asked)).await;
        assert_eq!(state(&answered), "TASK_STATE_COMPLETED", "{way} {by}: {answered}");
        assert!(answered.to_string().contains("Zerg"), "{answered}");
        runner.process.signal("INT");
        assert_eq!(runner.process.ended().code, Some(0));
    }
}
