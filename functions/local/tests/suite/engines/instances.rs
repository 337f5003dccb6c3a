//! Two runners on one store, as processes: what one began, the other shows, streams, continues and
//! cancels; and when one is killed, the other finishes its work. Over every durable store.

use std::{
    io::Write,
    io::{BufRead, BufReader},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::process::{PATIENCE, Process, connect, head, http};

/// How long a silent runner is believed to be alive in these tests.
const LEASE: u64 = 3;

macro_rules! over_stores {
    ($($case:ident,)*) => {
        mod dynamodb { $(#[test] fn $case() { super::$case(&super::store("DYNAMODB")); })* }
        mod redis { $(#[test] fn $case() { super::$case(&super::store("REDIS")); })* }
        mod postgres { $(#[test] fn $case() { super::$case(&super::store("POSTGRES")); })* }
    };
}

over_stores!(
    a_task_is_seen_streamed_and_listed_from_the_other,
    a_stream_is_resumed_at_the_other,
    a_cancel_at_the_other_stops_a_silent_agent_within_two_seconds,
    a_question_is_answered_at_the_other,
    a_message_from_the_other_waits_for_its_turn,
    the_work_of_a_killed_runner_is_done_by_the_other,
    a_retried_request_is_executed_once,
);

/// An unused store of that engine.
fn store(engine: &str) -> String {
    let variable = format!("A2A_TEST_{engine}");
    let address = std::env::var(&variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run `cargo xtask test`"));
    let unique = uuid::Uuid::new_v4().simple().to_string();
    match engine {
        "DYNAMODB" => format!("dynamodb://t{unique}?endpoint={address}&region=eu-central-1"),
        "REDIS" => format!("{address}/0?prefix=t{unique}"),
        _ => format!("{address}?schema=t{unique}"),
    }
}

/// A runner of the agent that takes its time, and where it listens.
struct Instance {
    process: Process,
    address: String,
}

impl Instance {
    fn start(store: &str) -> Self {
        let lease = LEASE.to_string();
        let arguments = ["--port", "0", "--no-kafka", "--create-table", "--store", store];
        let arguments = [&arguments[..], &["--lease-seconds", &lease]].concat();
        let credentials = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
        let mut process = Process::start_example("steps", &arguments, &credentials);
        let address = process.address();
        Self { process, address }
    }

    fn pair(store: &str) -> [Self; 2] {
        [Self::start(store), Self::start(store)]
    }

    fn call(&self, method: &str, path: &str, headers: &[&str], body: &Value) -> (u16, Value) {
        let json = "content-type: application/a2a+json";
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let response = http(&self.address, method, path, &[headers, &[json]].concat(), &body);
        (response.status, response.json())
    }

    /// A task that is begun and goes on by itself.
    fn begin(&self, text: &str) -> String {
        let mut request = say(None, text);
        request["configuration"] = json!({ "returnImmediately": true });
        let (status, sent) = self.call("POST", "/message:send", &[], &request);
        assert_eq!(status, 200, "{sent}");
        sent["task"]["id"].as_str().unwrap().to_owned()
    }

    fn send(&self, request: &Value) -> Value {
        let (status, sent) = self.call("POST", "/message:send", &[], request);
        assert_eq!(status, 200, "{sent}");
        sent["task"].clone()
    }

    fn task(&self, id: &str) -> Value {
        let (status, task) = self.call("GET", &format!("/tasks/{id}"), &[], &Value::Null);
        assert_eq!(status, 200, "{task}");
        task
    }

    /// The task once it is in that state.
    fn reaches(&self, id: &str, state: &str, patience: Duration) -> Value {
        let began = Instant::now();
        loop {
            let task = self.task(id);
            if state_of(&task) == state {
                return task;
            }
            assert!(began.elapsed() < patience, "it is not {state}: {task}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The events of a stream with their ids, up to its end or to `count`.
    fn events(&self, path: &str, after: Option<&str>, count: usize) -> Vec<(String, Value)> {
        let mut headers = vec!["accept: text/event-stream".to_owned()];
        headers.extend(after.map(|id| format!("last-event-id: {id}")));
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let mut stream = connect(&self.address);
        stream.write_all(head(&self.address, "POST", path, &headers, 0).as_bytes()).unwrap();
        let (mut events, mut id) = (Vec::new(), String::new());
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(text) = line.strip_prefix("id: ").or_else(|| line.strip_prefix("id:")) {
                id = text.to_owned();
            }
            if let Some(data) = line.strip_prefix("data:") {
                events.push((id.clone(), serde_json::from_str(data.trim()).unwrap()));
            }
            if events.len() == count {
                break;
            }
        }
        events
    }
}

fn say(task: Option<&str>, text: &str) -> Value {
    let mut message = json!({"messageId": "m", "role": "ROLE_USER", "parts": [{ "text": text }]});
    if let Some(task) = task {
        message["taskId"] = task.into();
    }
    json!({ "message": message })
}

fn state_of(task: &Value) -> &str {
    task["status"]["state"].as_str().unwrap().trim_start_matches("TASK_STATE_")
}

/// The numbers a task's artifact holds, or those of the events' pieces.
fn steps(task: &Value) -> String {
    let parts = task["artifacts"][0]["parts"].as_array().cloned().unwrap_or_default();
    parts.iter().filter_map(|part| part["text"].as_str()).collect()
}

fn pieces(events: &[(String, Value)]) -> String {
    let parts = events.iter().map(|(_, event)| &event["artifactUpdate"]["artifact"]["parts"][0]);
    parts.filter_map(|part| part["text"].as_str()).collect()
}

fn up_to(count: usize) -> String {
    (1..=count).map(|step| format!("{step};")).collect()
}

fn a_task_is_seen_streamed_and_listed_from_the_other(store: &str) {
    let [first, second] = Instance::pair(store);
    let id = first.begin("15");
    let began = second.task(&id);
    assert!(["SUBMITTED", "WORKING"].contains(&state_of(&began)), "{began}");
    let events = second.events(&format!("/tasks/{id}:subscribe"), None, usize::MAX);
    let (_, opening) = &events[0];
    let told = steps(&opening["task"]) + &pieces(&events[1..]);
    assert_eq!(told, up_to(15), "each once and in order: {events:?}");
    let (_, last) = events.last().unwrap();
    assert_eq!(last["statusUpdate"]["status"]["state"], "TASK_STATE_COMPLETED");
    let task = second.task(&id);
    assert_eq!((task == first.task(&id), steps(&task)), (true, up_to(15)));
    let list = "/tasks?includeArtifacts=true&status=TASK_STATE_COMPLETED";
    let (_, page) = second.call("GET", list, &[], &Value::Null);
    assert_eq!((&page["totalSize"], &page["tasks"][0]), (&json!(1), &task));
}

fn a_stream_is_resumed_at_the_other(store: &str) {
    let [first, second] = Instance::pair(store);
    let id = first.begin("15");
    let path = format!("/tasks/{id}:subscribe");
    let seen = first.events(&path, None, 4);
    let opening = steps(&seen[0].1["task"]) + &pieces(&seen[1..]);
    let (last, _) = seen.last().unwrap();
    let rest = second.events(&path, Some(last), usize::MAX);
    assert_eq!(opening + &pieces(&rest), up_to(15), "nothing twice, nothing missed: {rest:?}");
    // And once more, when it is over.
    let again = second.events(&path, Some(last), usize::MAX);
    assert_eq!(again, rest);
}

fn a_cancel_at_the_other_stops_a_silent_agent_within_two_seconds(store: &str) {
    let [mut first, second] = Instance::pair(store);
    let id = first.begin("silent 60");
    first.process.printed("begins, attempt 1");
    second.reaches(&id, "WORKING", PATIENCE);
    // It has said its last word a while ago.
    thread::sleep(Duration::from_secs(2));
    let began = Instant::now();
    let (status, task) = second.call("POST", &format!("/tasks/{id}:cancel"), &[], &json!({}));
    assert_eq!((status, state_of(&task)), (200, "CANCELED"), "{task}");
    first.process.printed("is dropped");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(state_of(&first.task(&id)), "CANCELED");
}

fn a_question_is_answered_at_the_other(store: &str) {
    let [first, second] = Instance::pair(store);
    let asked = first.send(&say(None, "ask"));
    assert_eq!(state_of(&asked), "INPUT_REQUIRED");
    let id = asked["id"].as_str().unwrap();
    let task = second.send(&say(Some(id), "2"));
    assert_eq!((state_of(&task), steps(&task)), ("COMPLETED", up_to(2)));
    assert_eq!(first.task(id), task);
}

fn a_message_from_the_other_waits_for_its_turn(store: &str) {
    let [first, second] = Instance::pair(store);
    let id = first.begin("10");
    // The task ends meanwhile, which is then told: it is not executed twice.
    let (status, refused) = second.call("POST", "/message:send", &[], &say(Some(&id), "3"));
    assert_eq!(status, 400, "{refused}");
    assert!(refused.to_string().contains("has ended"), "{refused}");
    assert_eq!(steps(&second.task(&id)), up_to(10));
    assert!(!second.process.output().iter().any(|line| line.contains("begins")));
}

fn the_work_of_a_killed_runner_is_done_by_the_other(store: &str) {
    let [mut first, mut second] = Instance::pair(store);
    let id = first.begin("40");
    first.process.printed("begins, attempt 1");
    let watched = second.events(&format!("/tasks/{id}:subscribe"), None, 3);
    first.process.signal("KILL");
    second.process.printed("begins, attempt 2");
    let task = second.reaches(&id, "COMPLETED", PATIENCE);
    assert_eq!(steps(&task), up_to(40), "what the first made does not count");
    let after = &watched.last().unwrap().0;
    let rest = second.events(&format!("/tasks/{id}:subscribe"), Some(after), usize::MAX);
    let anew = rest.iter().position(|(_, event)| event["task"].is_object()).unwrap();
    assert_eq!(pieces(&rest[anew..]), up_to(40), "the reader is told of the takeover");
}

fn a_retried_request_is_executed_once(store: &str) {
    let [first, second] = Instance::pair(store);
    let key = "idempotency-key: k-1";
    let request = say(None, "10");
    let send = |instance: &Instance| instance.call("POST", "/message:send", &[key], &request);
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(|| send(&first));
        let other = scope.spawn(|| send(&second));
        (one.join().unwrap(), other.join().unwrap())
    });
    assert_eq!(one, other);
    assert_eq!((one.0, state_of(&one.1["task"])), (200, "COMPLETED"));
    let runs = [&first, &second].map(|it| it.process.output());
    let runs = runs.iter().flatten().filter(|line| line.contains("begins")).count();
    assert_eq!(runs, 1);
    let (status, refused) = second.call("POST", "/message:send", &[key], &say(None, "11"));
    assert_eq!(status, 400, "{refused}");
}
