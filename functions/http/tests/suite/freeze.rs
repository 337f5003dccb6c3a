//! The real program under a Runtime API that stops it (SIGSTOP) with the last byte of each answer.
//!
//! With the memory store a task is in the process, so a later invocation sees what was done before
//! the stop, and nothing else: what was left for after the answer has not been done.

use std::time::Duration;

use a2a_emulator::{Answer, Deadline, Function, example};
use serde_json::{Value, json};

/// Long enough for anything.
const LONG: Duration = Duration::from_secs(60);

async fn data() -> Function {
    start(env!("CARGO_BIN_EXE_a2a-http").into()).await
}

/// An agent whose message is how many tenths of a second it takes.
async fn slow() -> Function {
    start(example("slow")).await
}

async fn start(program: std::path::PathBuf) -> Function {
    let variables = [("A2A_NAME", "data"), ("A2A_STORE", "memory:")];
    Function::start(program, &variables).await.unwrap_or_else(|failure| panic!("{failure}"))
}

/// An event of API Gateway's HTTP API.
fn event(method: &str, path: &str, headers: &Value, body: &Value) -> String {
    let mut all = json!({
        "host": "test", "content-type": "application/json", "a2a-version": "1.0",
    });
    for (name, value) in headers.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": all, "isBase64Encoded": false,
        "body": (!body.is_null()).then(|| body.to_string()),
        "requestContext": {
            "accountId": "123456789012", "apiId": "api", "domainName": "agent.example.com",
            "domainPrefix": "agent", "requestId": "request", "routeKey": "$default",
            "stage": "$default", "time": "22/Nov/2026:00:00:00 +0000",
            "timeEpoch": 1_795_305_600_000_u64,
            "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1", "userAgent": "test",
            },
        },
    })
    .to_string()
}

fn get(path: &str) -> String {
    event("GET", path, &Value::Null, &Value::Null)
}

fn message(text: &str) -> Value {
    let id = uuid::Uuid::new_v4().to_string();
    json!({ "message": { "messageId": id, "role": "ROLE_USER", "parts": [{ "text": text }] } })
}

fn send(text: &str) -> String {
    event("POST", "/message:send", &Value::Null, &message(text))
}

fn stream(text: &str) -> String {
    event("POST", "/message:stream", &Value::Null, &message(text))
}

/// Invokes it, and holds it to a good answer and to standing still after it.
async fn ask(function: &Function, event: String) -> Value {
    let answer = function.invoke(event, LONG).await.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(function.is_frozen());
    good(&answer).json().unwrap()
}

fn good(answer: &Answer) -> &Answer {
    let head = answer.head.as_ref().unwrap();
    assert_eq!(head.status, 200, "{}", answer.text());
    answer
}

async fn task(function: &Function, id: &Value) -> Value {
    ask(function, get(&format!("/tasks/{}", id.as_str().unwrap()))).await
}

fn state(task: &Value) -> &str {
    task["status"]["state"].as_str().unwrap()
}

/// The events of a stream: each one's id, and its content.
fn events(text: &str) -> Vec<(String, Value)> {
    let field = |event: &str, name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_start_matches(':').trim().to_owned()
    };
    let events = text.split("\n\n").filter(|event| event.contains("data:"));
    let read = |event| (field(event, "id"), serde_json::from_str(&field(event, "data")).unwrap());
    events.map(read).collect()
}

#[tokio::test]
async fn the_card_names_where_it_was_asked() {
    let function = data().await;
    let card = ask(&function, get("/.well-known/agent-card.json")).await;
    assert_eq!(card["name"], "data");
    let urls = card["supportedInterfaces"].as_array().unwrap().iter().map(|it| &it["url"]);
    assert!(
        urls.into_iter().all(|url| url.as_str().unwrap().contains("agent.example.com")),
        "{card}"
    );
}

#[tokio::test]
async fn a_blocking_sends_task_is_complete_when_its_answer_is_out() {
    for (function, text) in [(data().await, "Terran win rate"), (slow().await, "5")] {
        let sent = ask(&function, send(text)).await["task"].clone();
        assert_eq!(state(&sent), "TASK_STATE_COMPLETED", "{sent}");
        let kept = task(&function, &sent["id"]).await;
        assert_eq!((&kept["status"], &kept["artifacts"]), (&sent["status"], &sent["artifacts"]));
    }
}

#[tokio::test]
async fn what_was_answered_at_once_is_finished_before_the_stop() {
    let function = slow().await;
    let mut body = message("5");
    body["configuration"] = json!({ "returnImmediately": true });
    let answer = function.invoke(event("POST", "/message:send", &Value::Null, &body), LONG).await;
    let answer = answer.unwrap();
    let sent = good(&answer).json().unwrap()["task"].clone();
    assert_ne!(state(&sent), "TASK_STATE_COMPLETED", "it was not waited for");
    // The client has all of it; the invocation goes on.
    assert!(answer.chunks[0].at < answer.took, "{:?} {:?}", answer.chunks[0].at, answer.took);
    assert!(function.is_frozen());
    assert_eq!(state(&task(&function, &sent["id"]).await), "TASK_STATE_COMPLETED");
}

#[tokio::test]
async fn a_stream_comes_event_by_event_and_ends_with_its_task() {
    let function = slow().await;
    let mut invocation = function.begin(stream("4"), LONG);
    let head = invocation.head().await.unwrap();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    let (mut text, mut pieces) = (String::new(), 0);
    while let Some(chunk) = invocation.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&chunk.bytes).unwrap());
        pieces += 1;
        let over = text.contains("TASK_STATE_COMPLETED");
        assert!(over || !function.is_frozen(), "there is more to come: {text}");
    }
    assert!(function.is_frozen());
    let events = events(&text);
    assert!(pieces >= 4 && events.len() >= pieces, "{pieces} pieces: {text}");
    let (_, last) = events.last().unwrap();
    assert_eq!(last["statusUpdate"]["status"]["state"], "TASK_STATE_COMPLETED", "{text}");
}

#[tokio::test]
async fn a_stream_is_resumed_in_a_later_invocation() {
    let function = data().await;
    let answer = function.invoke(stream("Zerg win rate"), LONG).await.unwrap();
    let all = events(&good(&answer).text());
    let id = all[0].1["task"]["id"].as_str().unwrap();
    let path = format!("/tasks/{id}:subscribe");
    let headers = json!({ "last-event-id": all[1].0 });
    let answer = function.invoke(event("GET", &path, &headers, &Value::Null), LONG).await.unwrap();
    assert_eq!(events(&good(&answer).text()), all[2..], "exactly the rest");
}

#[tokio::test]
async fn no_invocation_fails_because_of_the_ones_before() {
    let function = data().await;
    let mut ids = Vec::new();
    for round in 0..30 {
        let text = "Protoss win rate";
        let sent = match round % 3 {
            0 => ask(&function, send(text)).await["task"].clone(),
            1 => {
                let mut call = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendMessage" });
                call["params"] = message(text);
                let answer = ask(&function, event("POST", "/", &Value::Null, &call)).await;
                answer["result"]["task"].clone()
            }
            _ => {
                let answer = function.invoke(stream(text), LONG).await.unwrap();
                events(&good(&answer).text())[0].1["task"].clone()
            }
        };
        assert!(sent["id"].is_string(), "{sent}");
        ids.push(sent["id"].clone());
    }
    for id in ids {
        assert_eq!(state(&task(&function, &id).await), "TASK_STATE_COMPLETED");
    }
}

/// Its outcome is recorded before the deadline: after it the process is frozen.
#[tokio::test]
async fn work_past_the_deadline_has_an_outcome_before_it() {
    let function = slow().await;
    let answer = function.invoke(send("600"), Duration::from_secs(4)).await.unwrap();
    let sent = good(&answer).json().unwrap()["task"].clone();
    assert_eq!(state(&sent), "TASK_STATE_FAILED", "{sent}");
    assert_eq!(state(&task(&function, &sent["id"]).await), "TASK_STATE_FAILED");
}

#[tokio::test]
async fn a_stream_past_the_deadline_ends_before_it() {
    let function = slow().await;
    let answer = function.invoke(stream("600"), Duration::from_secs(4)).await.unwrap();
    let events = events(&good(&answer).text());
    let id = &events[0].1["task"]["id"];
    assert_eq!(state(&task(&function, id).await), "TASK_STATE_FAILED");
}

#[tokio::test]
async fn cargo_lambdas_deadline_is_taken_for_none() {
    let function = slow().await;
    for text in ["1", "3"] {
        for event in [send(text), stream(text)] {
            let answer = function.invoke(event, Deadline::CargoLambda).await.unwrap();
            assert!(good(&answer).text().contains("TASK_STATE_COMPLETED"), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_read_costs_one_invocation() {
    let function = data().await;
    let mut base64: Value = serde_json::from_str(&send("Terran win rate")).unwrap();
    (base64["isBase64Encoded"], base64["body"]) = (true.into(), "not base64!".into());
    let refused = function.invoke(base64.to_string(), LONG).await.unwrap();
    assert!(refused.text().contains("PARSE_ERROR"), "{}", refused.text());
    for bad in ["{}".to_owned(), "{\"version\"".to_owned()] {
        assert!(function.invoke(bad.clone(), LONG).await.is_err(), "{bad}");
        let sent = ask(&function, send("Terran win rate")).await;
        assert_eq!(state(&sent["task"]), "TASK_STATE_COMPLETED", "after {bad}");
    }
}

#[tokio::test]
async fn without_streaming_the_answer_is_what_a_gateway_reads() {
    let variables = [("A2A_STORE", "memory:"), ("A2A_HTTP_ANSWERS", "buffered")];
    let function = Function::start(env!("CARGO_BIN_EXE_a2a-http"), &variables).await.unwrap();
    for (event, content_type, holds) in [
        (send("Terran win rate"), "application/json", "TASK_STATE_COMPLETED"),
        (stream("Terran win rate"), "text/event-stream", "TASK_STATE_COMPLETED"),
    ] {
        let answer = function.invoke(event, LONG).await.unwrap();
        assert!(!answer.streamed);
        let answer = answer.json().unwrap();
        assert_eq!(
            (&answer["statusCode"], &answer["isBase64Encoded"]),
            (&json!(200), &json!(false))
        );
        assert_eq!(answer["headers"]["content-type"], content_type);
        assert!(answer["body"].as_str().unwrap().contains(holds), "{answer}");
    }
}
