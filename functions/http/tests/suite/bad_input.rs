//! What clients, gateways and a failing world may do to the function, and what it answers: through
//! whole events of both versions. The clock is paused, so that no test waits.

use std::{sync::Arc, time::Duration};

use futures_util::poll;
use http_body_util::BodyExt;
use lambda_http::request::LambdaRequest;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{
    Answer, EMULATORS_DEADLINE, Function, GATEWAYS, Gateway, abandoned, deadline_in, message, rpc,
    unavailable::Outage,
};

const CARD: &str = "/.well-known/agent-card.json";

/// Neither a binding's own form nor an answer's may differ by gateway.
fn bindings() -> impl Iterator<Item = (Gateway, &'static str)> {
    GATEWAYS.into_iter().flat_map(|gateway| [(gateway, "/message:send"), (gateway, "/")])
}

/// How many tasks there are.
async fn tasks(function: &Function) -> Value {
    function.ask(&Gateway::Http.get("/tasks")).await.json()["totalSize"].clone()
}

/// Where the function's one task is.
async fn state(function: &Function) -> Value {
    let page = function.ask(&Gateway::Http.get("/tasks")).await.json();
    assert_eq!(page["totalSize"], 1, "{page}");
    page["tasks"][0]["status"]["state"].clone()
}

#[test]
fn what_is_no_event_of_a_gateway_is_an_error() {
    let event = Gateway::Rest.post("/", &rpc("SendMessage", &message("complete")));
    let changed = |pointer: &str, value: Value| {
        let mut event = event.clone();
        *event.pointer_mut(pointer).unwrap() = value;
        event.to_string()
    };
    let mut bad = Vec::from(
        ["", " ", "null", "5", "\"\"", "[]", "{}", "\u{0}", r#"{"requestContext":{}}"#]
            .map(str::to_owned),
    );
    bad.extend([
        changed("/httpMethod", json!(5)),
        changed("/httpMethod", json!("NO METHOD")),
        changed("/headers", json!("none")),
        changed("/headers/host", json!({})),
        changed("/path", json!(["a"])),
        changed("/pathParameters", json!("proxy")),
        changed("/body", json!({ "message": "not as text" })),
        changed("/requestContext", json!(null)),
        changed("/requestContext/identity", json!("none")),
        json!({ "eventSource": "aws:kafka", "records": {} }).to_string(),
        json!({ "httpMethod": "GET", "path": "/", "requestContext": { "elb": {} } }).to_string(),
    ]);
    let whole = event.to_string();
    bad.extend((0..whole.len()).map(|end| whole[..end].to_owned()));
    for event in bad {
        assert!(serde_json::from_str::<LambdaRequest>(&event).is_err(), "{event:.900}");
    }
    assert!(serde_json::from_str::<LambdaRequest>(&whole).is_ok());
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_no_requests() {
    let text = |text: &str| json!(text);
    let bytes = |base64: &str| json!({ "base64": base64 });
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let typed = |body: Value| text(&body.to_string());
    let large = format!("complete {}", "x".repeat(4 << 20));
    for (body, rest, rpc) in [
        (Value::Null, (400, "PARSE_ERROR"), "PARSE_ERROR"),
        (text(""), (400, "PARSE_ERROR"), "PARSE_ERROR"),
        (text("{"), (400, "PARSE_ERROR"), "PARSE_ERROR"),
        (text("Terran win rate"), (400, "PARSE_ERROR"), "PARSE_ERROR"),
        (text("\u{feff}{}"), (400, "PARSE_ERROR"), "PARSE_ERROR"),
        // Not UTF-8: two bytes that never are, a string that is cut within a letter, UTF-16.
        (bytes("//4="), (400, "PARSE_ERROR"), "PARSE_ERROR"),
        (bytes("eyJtZXNzYWdlIjoi7Iqi"), (400, "PARSE_ERROR"), "PARSE_ERROR"),
        (bytes("eyJqc29ucnBjIjoi7CJ9"), (400, "PARSE_ERROR"), "PARSE_ERROR"),
        (bytes("/v8AewB9"), (400, "PARSE_ERROR"), "PARSE_ERROR"),
        (text("null"), (400, "INVALID_REQUEST"), "INVALID_REQUEST"),
        (text("5"), (400, "INVALID_REQUEST"), "INVALID_REQUEST"),
        (text("[]"), (400, "INVALID_REQUEST"), "INVALID_REQUEST"),
        (text(&deep), (400, "INVALID_REQUEST"), "INVALID_REQUEST"),
        (text("{}"), (400, "INVALID_PARAMS"), "INVALID_REQUEST"),
        (typed(json!({ "message": 5 })), (400, "INVALID_PARAMS"), "INVALID_REQUEST"),
        (typed(message(&large)), (413, "TOO_LARGE"), "TOO_LARGE"),
    ] {
        let function = Function::obedient();
        for (gateway, path) in bindings() {
            let headers = json!({ "content-type": "application/json" });
            let event = gateway.event("POST", path, headers, body.clone());
            let answer = function.ask(&event).await;
            let actual = (answer.status, &*answer.reason());
            // What is too large is said by HTTP's own status.
            let expected = if path == "/" && rest.0 != 413 { (200, rpc) } else { rest };
            let shown: String = body.to_string().chars().take(80).collect();
            assert_eq!(actual, expected, "{shown} at {path} of {gateway:?}");
            assert!(answer.body.len() < 1_000, "{shown}: an answer does not repeat what was sent");
        }
        assert_eq!(tasks(&function).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn wrongly_typed_parameters_are_named() {
    for (field, value) in [
        ("parts", json!("text")),
        ("parts", json!([5])),
        ("role", json!("ROLE_KING")),
        ("messageId", json!({})),
        ("contextId", json!([])),
    ] {
        for gateway in GATEWAYS {
            let function = Function::obedient();
            let mut params = message("complete");
            params["message"][field] = value.clone();
            for event in [
                gateway.post("/message:send", &params),
                gateway.post("/", &rpc("SendMessage", &params)),
            ] {
                let answer = function.ask(&event).await;
                assert_eq!(answer.reason(), "INVALID_PARAMS", "{field}: {value}");
                assert!(answer.text().contains(&format!("message.{field}")), "{answer:?}");
            }
            assert_eq!(tasks(&function).await, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn content_types_are_judged_before_bodies() {
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=json",
        "json",
        "",
    ] {
        let good = |path| match path {
            "/" => rpc("SendMessage", &message("complete")).to_string(),
            _ => message("complete").to_string(),
        };
        let function = Function::obedient();
        for (gateway, path) in bindings() {
            for body in [json!(good(path)), json!("{"), json!({ "base64": "//4=" })] {
                let headers = json!({ "content-type": content_type });
                let answer = function.ask(&gateway.event("POST", path, headers, body)).await;
                let actual = (answer.status, &*answer.reason());
                assert_eq!(actual, (415, "UNSUPPORTED_MEDIA_TYPE"), "{content_type}");
            }
        }
        assert_eq!(tasks(&function).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn versions_that_are_not_served() {
    let function = Function::obedient();
    for (gateway, path) in bindings() {
        for version in ["0.3", "2.0", "99", "one"] {
            let body = match path {
                "/" => rpc("SendMessage", &message("complete")).to_string(),
                _ => message("complete").to_string(),
            };
            let event = |target: &str, headers| gateway.event("POST", target, headers, json!(body));
            for event in [
                event(path, json!({ "A2A-Version": version, "content-type": "application/json" })),
                event(
                    &format!("{path}?A2A-Version={version}"),
                    json!({ "content-type": "application/json" }),
                ),
            ] {
                let answer = function.ask(&event).await;
                let status = if path == "/" { 200 } else { 400 };
                let actual = (answer.status, &*answer.reason());
                assert_eq!(actual, (status, "VERSION_NOT_SUPPORTED"), "{version} at {path}");
            }
        }
    }
    assert_eq!(tasks(&function).await, 0);
}

#[tokio::test(start_paused = true)]
async fn paths_and_methods_that_are_not_there() {
    let function = Function::obedient();
    let long = format!("/{}", "x".repeat(60_000));
    for (method, path, status, allow) in [
        ("GET", "/none", 404, ""),
        ("GET", "/favicon.ico", 404, ""),
        ("POST", "/message:sent", 404, ""),
        ("GET", "//tasks", 404, ""),
        ("GET", "/tasks/", 404, ""),
        ("GET", "/v1/v1/v1/tasks", 404, ""),
        ("GET", &*long, 404, ""),
        ("GET", "/", 405, "POST"),
        ("OPTIONS", "/", 405, "POST"),
        ("HEAD", "/v1", 405, "POST"),
        ("GET", "/message:send", 405, "POST"),
        ("BREW", "/message:stream", 405, "POST"),
        ("POST", "/tasks/t", 405, "GET, HEAD"),
        ("DELETE", "/tasks", 405, "GET, HEAD"),
        ("GET", "/tasks/t:cancel", 405, "POST"),
        ("PUT", "/tasks/t:subscribe", 405, "GET, POST"),
        ("POST", CARD, 405, "GET, HEAD"),
    ] {
        for gateway in GATEWAYS {
            let answer = function.ask(&gateway.event(method, path, json!({}), Value::Null)).await;
            let reason = if status == 404 { "METHOD_NOT_FOUND" } else { "METHOD_NOT_ALLOWED" };
            let actual = (answer.status, &*answer.reason(), answer.header("allow"));
            assert_eq!(actual, (status, reason, allow), "{method} {path:.40} of {gateway:?}");
            assert!(answer.body.len() < 1_000, "{method} {path:.40}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_unavailable_clients_are_told_when_to_retry() {
    let store = Arc::new(Outage::after(0));
    let function = Function::over(Arc::clone(&store) as _);
    let say = message("complete");
    for gateway in GATEWAYS {
        for event in [
            gateway.get("/tasks"),
            gateway.get("/tasks/t"),
            gateway.get("/tasks/t:subscribe"),
            gateway.post("/tasks/t:cancel", &json!({})),
            gateway.post("/message:send", &say),
            gateway.post("/message:stream", &say),
        ] {
            let answer = function.ask(&event).await;
            assert_eq!((answer.status, &*answer.reason()), (503, "UNAVAILABLE"), "{event:#}");
            assert_eq!(answer.header("retry-after"), "1");
            assert!(!answer.text().contains("10.0.0.7"), "{answer:?}");
        }
        let id = json!({ "id": "t" });
        for (method, params) in
            [("SendMessage", &say), ("SendStreamingMessage", &say), ("GetTask", &id)]
        {
            let answer = function.ask(&gateway.post("/", &rpc(method, params))).await;
            assert_eq!(answer.json()["error"]["code"], -32052, "{method}");
        }
        // It needs none.
        assert_eq!(function.ask(&gateway.get(CARD)).await.status, 200);
    }
    store.recover();
    assert_eq!(tasks(&function).await, 0);
    let sent = function.ask(&Gateway::Rest.post("/message:send", &say)).await;
    assert_eq!(sent.json()["task"]["status"]["state"], "TASK_STATE_COMPLETED");
}

/// A send, a stream and a send whose answer does not wait, of an agent that takes that long.
fn asked(gateway: Gateway, seconds: u32) -> [Value; 3] {
    let say = message(&format!("work {seconds}"));
    let mut at_once = say.clone();
    at_once["configuration"] = json!({ "returnImmediately": true });
    let send = |path, params| gateway.post(path, params);
    [send("/message:send", &say), send("/message:stream", &say), send("/message:send", &at_once)]
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_recorded_and_the_body_ends_before_the_deadline() {
    for gateway in GATEWAYS {
        for event in asked(gateway, 500) {
            let function = Function::obedient();
            let (left, began) = (Duration::from_secs(3), Instant::now());
            let answer = Answer::of(function.begin(&event, deadline_in(left)).await).await;
            assert!(began.elapsed() < left, "{answer:?}");
            assert!(!answer.body.is_empty());
            assert_eq!(state(&function).await, "TASK_STATE_FAILED", "{answer:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_emulators_deadline_is_none() {
    for event in asked(Gateway::Http, 60) {
        let function = Function::obedient();
        let response = function.begin(&event, EMULATORS_DEADLINE).await;
        Answer::of(response).await;
        assert_eq!(state(&function).await, "TASK_STATE_COMPLETED");
    }
}

#[tokio::test(start_paused = true)]
async fn without_any_time_left_every_answer_has_a_body() {
    for gateway in GATEWAYS {
        for event in asked(gateway, 500) {
            for left in [Duration::ZERO, Duration::from_millis(500)] {
                let function = Function::obedient();
                let answer = Answer::of(function.begin(&event, deadline_in(left)).await).await;
                assert!(!answer.body.is_empty(), "{answer:?} to {event:#}");
                if let Ok(length) = answer.header("content-length").parse::<usize>() {
                    assert_eq!(answer.body.len(), length, "{event:#}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_to_a_task_that_waits_ends_before_the_deadline() {
    for gateway in GATEWAYS {
        let function = Function::obedient();
        let sent = function.ask(&gateway.post("/message:send", &message("ask"))).await.json();
        let id = sent["task"]["id"].as_str().unwrap();
        for event in [
            gateway.get(&format!("/tasks/{id}:subscribe")),
            gateway.post("/", &rpc("SubscribeToTask", &json!({ "id": id }))),
        ] {
            let (left, began) = (Duration::from_secs(60), Instant::now());
            let answer = Answer::of(function.begin(&event, deadline_in(left)).await).await;
            // As long as it can, and not to the end.
            let took = began.elapsed();
            assert!(took > left / 2 && took + Duration::from_millis(500) < left, "{took:?}");
            assert!(answer.text().contains("TASK_STATE_INPUT_REQUIRED"), "{answer:?}");
            assert_eq!(state(&function).await, "TASK_STATE_INPUT_REQUIRED");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_at_once_keeps_its_body_open_until_the_work_is_done() {
    for gateway in GATEWAYS {
        let function = Function::obedient();
        let [.., at_once] = asked(gateway, 30);
        let began = Instant::now();
        let mut response = function.begin(&at_once, deadline_in(Duration::from_secs(900))).await;
        let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let first = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((first.len(), began.elapsed()), (length, Duration::ZERO));
        let task = serde_json::from_slice::<Value>(&first).unwrap()["task"].take();
        assert_ne!(task["status"]["state"], "TASK_STATE_COMPLETED");
        let mut end = std::pin::pin!(response.body_mut().frame());
        assert!(poll!(end.as_mut()).is_pending(), "the process would be stopped");
        assert!(end.await.is_none(), "nothing follows");
        assert_eq!(state(&function).await, "TASK_STATE_COMPLETED");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_is_never_empty() {
    let function = Function::obedient();
    for gateway in GATEWAYS {
        let card = function.ask(&gateway.get(CARD)).await;
        let tag = json!({ "if-none-match": card.header("etag") });
        let known = function.ask(&gateway.event("GET", CARD, tag, Value::Null)).await;
        let head = function.ask(&gateway.event("HEAD", CARD, json!({}), Value::Null)).await;
        for (answer, status) in [(&known, 304), (&head, 200)] {
            assert_eq!((answer.status, answer.text()), (status, "\n"));
            assert_eq!(answer.header("etag"), card.header("etag"));
        }
        assert_eq!(head.header("content-length"), card.body.len().to_string());
    }
}

/// An orphan, and no function sweeps: the caller that asks takes it over, within the invocations that
/// ask.
#[tokio::test(start_paused = true)]
async fn an_orphan_is_taken_over_by_its_reader() {
    for gateway in GATEWAYS {
        let function = Function::over(abandoned("t", "work 5").await);
        let ask = gateway.get("/tasks/t");
        let state = async || function.ask(&ask).await.json()["status"]["state"].to_string();
        assert!(state().await.contains("WORKING"));
        tokio::time::sleep(Duration::from_secs(30)).await;
        let began = Instant::now();
        assert!(state().await.contains("WORKING"), "it is taken over beside the answer");
        assert!(began.elapsed() >= Duration::from_secs(5), "and stays open until that is done");
        assert!(state().await.contains("COMPLETED"));

        let function = Function::over(abandoned("t", "complete").await);
        let stream = function.ask(&gateway.post("/tasks/t:subscribe", &json!({}))).await;
        assert!(stream.text().contains("COMPLETED"), "{stream:?}");
    }
}
