//! An agent and the one it calls, in two runners: over HTTP and over a real Kafka, and only the
//! transport changes.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use a2a_core::{
    Call, Caller, Message, Part, Reply, SendMessageRequest, SendMessageResponse, TaskState,
    Timestamp,
};
use a2a_lambda::{
    Environment,
    environment::PEERS,
    setup::{AGENT, STORE},
};
use serde_json::{Value, json};

use crate::{
    kafka_client::KafkaClient,
    process::{PATIENCE, Process, http},
    tokens::Issuer,
};

const JSON: [&str; 2] = ["content-type: application/json", "a2a-version: 1.0"];

/// Conversations: each text goes to the task of the one before it.
const CONVERSATIONS: &[&[(&str, &str)]] = &[
    &[("Is Terran balanced?", "TASK_STATE_COMPLETED")],
    &[("Are the races balanced?", "TASK_STATE_COMPLETED")],
    &[("테란 밸런스 맞아?", "TASK_STATE_COMPLETED")],
    &[("종족 밸런스 어때?", "TASK_STATE_COMPLETED")],
    &[("average game length of Zerg", "TASK_STATE_COMPLETED")],
    &[("win rate", "TASK_STATE_INPUT_REQUIRED"), ("Terran", "TASK_STATE_COMPLETED")],
    &[("승률", "TASK_STATE_INPUT_REQUIRED"), ("저그", "TASK_STATE_COMPLETED")],
    &[("hello", "TASK_STATE_COMPLETED")],
];

fn brokers() -> String {
    std::env::var("A2A_TEST_KAFKA").expect("run `cargo xtask test`, which starts Kafka")
}

/// The agent that is called, over HTTP and over Kafka.
struct Peer {
    runner: Process,
    address: String,
    name: String,
}

impl Peer {
    /// The real one.
    fn data(more: &[&str]) -> Self {
        Self::of(|arguments| Process::start(&[arguments, more].concat(), &[]))
    }

    /// One that takes its time.
    fn steps() -> Self {
        Self::of(|arguments| Process::start_example("steps", arguments, &[]))
    }

    fn of(start: impl FnOnce(&[&str]) -> Process) -> Self {
        let (name, brokers) = (format!("peer-{}", uuid::Uuid::new_v4().simple()), brokers());
        let mut runner = start(&["--port", "0", "--kafka", &brokers, "--name", &name]);
        runner.printed(" -C ");
        let address = runner.address();
        Self { runner, address, name }
    }

    /// Where it is, over each transport.
    fn urls(&self) -> [String; 2] {
        let Self { address, name, .. } = self;
        [format!("http://{address}"), format!("kafka://{}/agent.{name}.requests", brokers())]
    }

    /// The states of all its tasks.
    fn states(&self) -> Vec<String> {
        let list = http(&self.address, "GET", "/tasks", &JSON, "").json();
        let tasks = list["tasks"].as_array().unwrap().iter();
        tasks.map(|task| task["status"]["state"].as_str().unwrap().to_owned()).collect()
    }
}

/// The Balance Agent in a runner of its own.
struct Balance {
    runner: Process,
    address: String,
}

impl Balance {
    fn of(url: &str, variables: &[(&str, &str)]) -> Self {
        let peer = format!("data={url}");
        let arguments = ["--agents", "balance", "--port", "0", "--no-kafka", "--peer", &peer];
        let mut runner = Process::start(&arguments, variables);
        let address = runner.address();
        Self { runner, address }
    }

    /// The answer to a message, to a task or to none, as it came.
    fn asked(&self, text: &str, of: Option<&Value>, at_once: bool) -> String {
        let mut message =
            json!({ "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": text }] });
        if let Some(task) = of {
            message["taskId"] = task["id"].clone();
        }
        let request =
            json!({ "message": message, "configuration": { "returnImmediately": at_once } });
        let answer = http(&self.address, "POST", "/message:send", &JSON, &request.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    fn task(&self, text: &str, of: Option<&Value>, at_once: bool) -> Value {
        serde_json::from_str::<Value>(&self.asked(text, of, at_once)).unwrap()["task"].take()
    }

    fn cancel(&self, task: &Value) {
        let path = format!("/tasks/{}:cancel", task["id"].as_str().unwrap());
        let canceled = http(&self.address, "POST", &path, &JSON, "{}").json();
        assert_eq!(canceled["status"]["state"], "TASK_STATE_CANCELED", "{canceled}");
    }
}

/// The text with each time and each id replaced: an id by its number in the order they come in.
fn bare(text: &str) -> String {
    let (mut bare, mut rest) = (String::new(), text);
    let mut ids: Vec<&str> = Vec::new();
    while let Some(first) = rest.chars().next() {
        let id = rest.get(..36).filter(|it| uuid::Uuid::try_parse(it).is_ok());
        let time = rest.get(..24).filter(|it| it.parse::<Timestamp>().is_ok());
        let taken = if let Some(id) = id {
            let number = ids.iter().position(|known| *known == id).unwrap_or(ids.len());
            if number == ids.len() {
                ids.push(id);
            }
            bare += &format!("id {number}");
            id.len()
        } else if let Some(time) = time {
            bare += "time";
            time.len()
        } else {
            bare.push(first);
            first.len_utf8()
        };
        rest = &rest[taken..];
    }
    bare
}

/// Waits for something to become true.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn the_answers_are_the_same_byte_for_byte_apart_from_ids_and_times() {
    let peer = Peer::data(&[]);
    let client = KafkaClient::connect(&brokers(), &peer.name);
    let asked = || client.records(&client.topics().requests);
    let answers = peer.urls().map(|url| {
        let balance = Balance::of(&url, &[]);
        let before = asked();
        let mut answers = Vec::new();
        for conversation in CONVERSATIONS {
            let mut task = None;
            for (text, state) in *conversation {
                let answer = balance.asked(text, task.as_ref(), false);
                let told = serde_json::from_str::<Value>(&answer).unwrap()["task"].take();
                assert_eq!(told["status"]["state"], *state, "{text}: {answer}");
                assert!(answer.contains("peer-task"), "it is said whom it asked: {answer}");
                answers.push((*text, bare(&answer)));
                task = Some(told);
            }
        }
        assert_eq!(asked() > before, url.starts_with("kafka:"), "{url}");
        answers
    });
    let [over_http, over_kafka] = answers;
    for (http, kafka) in over_http.iter().zip(&over_kafka) {
        assert_eq!(http, kafka);
    }
    assert_eq!(over_http.len(), over_kafka.len());
    // Twice what one of them asked: four times three figures, and five other conversations.
    assert_eq!(peer.states().len(), 2 * (4 * 3 + 4));
}

#[test]
fn only_ids_and_times_are_passed_over() {
    let (one, two) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let text =
        |a, b, at| format!(r#"{{"id":"{a}","of":"{b}","to":"{a}","at":"{at}","승률":"58%"}}"#);
    let (now, then) = ("2026-01-31T12:00:00.008Z", "2027-01-31T12:00:00.120Z");
    assert_eq!(bare(&text(one, two, now)), bare(&text(two, one, then)));
    assert_ne!(bare(&text(one, two, now)), bare(&text(one, one, now)), "another relation");
    assert_ne!(bare(&text(one, two, now)), bare(&text(one, two, now).replace("58", "59")));
}

#[test]
fn a_cancel_travels_down_over_both() {
    let mut peer = Peer::steps();
    for url in peer.urls() {
        let balance = Balance::of(&url, &[]);
        let before = peer.states().len();
        let ended = || peer.states().iter().all(|state| state == "TASK_STATE_CANCELED");
        let at_work = || {
            let states = peer.states().into_iter();
            states.filter(|state| state == "TASK_STATE_WORKING").count()
        };
        // Over Kafka, work on two partitions of three, and then a question that waits behind it.
        let tasks = [1, 2, 2].map(|count| {
            let task = balance.task("silent 60", None, true);
            until("it is at work", || at_work() >= count);
            task
        });
        for task in &tasks {
            balance.cancel(task);
        }
        assert_eq!(peer.states().len(), before + tasks.len(), "{url}");
        assert!(ended(), "{url}: {:?}", peer.states());
        // At once: the question may be on its way, or not even that.
        let task = balance.task("silent 60", None, true);
        balance.cancel(&task);
        assert!(ended(), "{url}: {:?}", peer.states());
    }
    // It is not only called so: its executor was dropped.
    peer.runner.printed("is dropped");
}

#[test]
fn a_peer_may_start_later() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let balance = Balance::of(&format!("http://{free}"), &[]);
    let task = balance.task("Is Terran balanced?", None, false);
    assert_eq!(task["status"]["state"], "TASK_STATE_FAILED", "{task}");
    let said = task["status"]["message"]["parts"][0]["text"].as_str().unwrap();
    let expected =
        format!("The agent `data` gave no answer: The agent at http://{free} is not reached");
    assert!(said.starts_with(&expected), "{said}");
    let mut data = Process::start(&["--port", &free.port().to_string(), "--no-kafka"], &[]);
    data.address();
    let task = balance.task("Is Terran balanced?", None, false);
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{task}");
}

#[test]
fn without_kafka_it_is_called_within_the_process() {
    let arguments = ["--agents", "data,balance", "--port", "0", "--no-kafka"];
    let mut runner = Process::start(&arguments, &[]);
    let line = runner.printed("The agent `balance` listens on http://");
    let address = line.split("http://").nth(1).unwrap().split_whitespace().next().unwrap();
    let balance = Balance { address: address.to_owned(), runner };
    let task = balance.task("Is Terran balanced?", None, false);
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{task}");
    balance.runner.signal("INT");
    assert_eq!(balance.runner.ended().code, Some(0));
}

#[test]
fn a_peer_that_is_guarded_is_shown_a_token() {
    let issuer = Issuer::new();
    let (guards, token) = (issuer.guards(), issuer.token("balance"));
    let peer = Peer::data(&guards.each_ref().map(|it| &**it));
    for url in peer.urls() {
        let verbose = ("RUST_LOG", "debug");
        let shown = [("A2A_PEER_TOKEN_DATA", &*token), verbose];
        for (variables, state) in
            [(&shown[1..], "TASK_STATE_FAILED"), (&shown[..], "TASK_STATE_COMPLETED")]
        {
            let balance = Balance::of(&url, variables);
            let task = balance.task("Is Terran balanced?", None, false);
            assert_eq!(task["status"]["state"], state, "{url}: {task}");
            let said = [balance.runner.output(), balance.runner.log()].concat();
            assert!(!said.iter().any(|line| line.contains(&token)), "{said:?}");
        }
    }
}

#[test]
fn a_peer_that_is_named_wrongly_is_one_sentence() {
    for (peer, sentence) in [
        ("data", "--peer (A2A_PEERS): A peer is named NAME=URL, with commas between."),
        (
            "data=kafka://host/agent.data.requests",
            "--peer (A2A_PEERS): The peer `data` cannot be called: url must name its brokers HOST:PORT, \
             with commas between.",
        ),
    ] {
        let arguments = ["--agents", "balance", "--port", "0", "--no-kafka", "--peer", peer];
        let ended = Process::start(&arguments, &[]).ended();
        assert_eq!((ended.code, &ended.stderr[..]), (Some(1), &[sentence.to_owned()][..]));
    }
}

#[tokio::test]
async fn a_function_calls_its_peer_over_http() {
    let mut data = Process::start(&["--port", "0", "--no-kafka"], &[]);
    let peers = format!("data=http://{}", data.address());
    let variables = [(AGENT, "balance"), (PEERS, peers.leak()), (STORE, "memory:")];
    let handler = Environment::of(variables).handler(a2a_agent::agents()).await.unwrap();
    let message = Message::user("m", vec![Part::text("Is Terran balanced?")]);
    let request = SendMessageRequest { message, ..SendMessageRequest::default() };
    let reply = handler.call(Caller::default(), Call::SendMessage(request)).await.unwrap();
    let Reply::Sent(SendMessageResponse::Task(task)) = reply else { panic!("{reply:?}") };
    assert_eq!(task.status.state, TaskState::Completed);
}
