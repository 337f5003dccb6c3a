//! A function from outside: `examples/odd.rs` does what its event says.

use std::{collections::BTreeMap, time::Duration};

use a2a_emulator::{Answer, Deadline, Failure, Freeze, Function, Settings, example};
use serde_json::{Value, json};

/// Long enough for anything, and for nothing to wait for.
const LONG: Duration = Duration::from_secs(30);

async fn odd() -> Function {
    Function::start(example("odd"), &[]).await.unwrap()
}

async fn tell(function: &Function, order: &str) -> Result<Answer, Failure> {
    function.invoke(json!({ "do": order }).to_string(), LONG).await
}

/// What API Gateway's HTTP API sends at the least.
fn get(path: &str) -> String {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": { "host": "test" }, "isBase64Encoded": false,
        "requestContext": {
            "accountId": "1", "apiId": "a", "domainName": "test", "domainPrefix": "test",
            "http": {
                "method": "GET", "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1", "userAgent": "test",
            },
            "requestId": "r", "routeKey": "$default", "stage": "$default",
            "time": "22/Nov/2026:00:00:00 +0000", "timeEpoch": 1_795_305_600_000_u64,
        },
    })
    .to_string()
}

#[tokio::test]
async fn an_http_function_answers_with_a_head_and_a_body() {
    let function = Function::start(example("empty"), &[]).await.unwrap();
    assert!(function.init_time() > Duration::ZERO);
    let answer = function.invoke(get("/"), LONG).await.unwrap();
    let head = answer.head.as_ref().unwrap();
    assert_eq!((head.status, head.header("Content-Type")), (200, Some("application/json")));
    assert_eq!((answer.streamed, answer.text()), (true, r#"{"status":"ok"}"#.to_owned()));
}

#[tokio::test]
async fn it_stands_still_between_its_invocations() {
    let function = odd().await;
    assert!(!function.is_frozen(), "not before its first answer");
    for round in 0..50 {
        let event = json!({ "round": round });
        let answer = function.invoke(event.to_string(), LONG).await.unwrap();
        assert_eq!(answer.json().unwrap(), event);
        assert!(function.is_frozen());
    }
}

#[tokio::test]
async fn what_is_left_for_after_the_answer_is_not_done_while_it_is_frozen() {
    let file = std::env::temp_dir().join(format!("odd-{}", uuid::Uuid::new_v4()));
    let linger = json!({ "do": "linger", "file": file }).to_string();
    for (freeze, left) in [(Freeze::WhenAnswered, false), (Freeze::Never, true)] {
        let settings = Settings { freeze, ..Settings::new(example("odd"), &[]) };
        let function = Function::start_with(settings).await.unwrap();
        function.invoke(linger.clone(), LONG).await.unwrap();
        if !left {
            // A process that went on would have written it long since.
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert!(function.is_frozen() && !file.exists());
            function.invoke("{}", LONG).await.unwrap();
            continue;
        }
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_stream_comes_piece_by_piece() {
    let function = odd().await;
    let mut invocation = function.begin(json!({ "do": "stream" }).to_string(), LONG);
    assert_eq!(invocation.head().await.unwrap().status, 200);
    let mut times = Vec::new();
    for expected in ["one", "two", "three"] {
        let chunk = invocation.chunk().await.unwrap().unwrap();
        assert_eq!(chunk.bytes, expected);
        assert!(!function.is_frozen(), "there is more to come");
        times.push(chunk.at);
    }
    assert!(invocation.chunk().await.unwrap().is_none());
    assert!(function.is_frozen());
    assert!(times.is_sorted_by(|before, after| before < after), "{times:?}");
    let rest = invocation.answer().await.unwrap();
    assert!(rest.took >= times[2] && rest.chunks.is_empty());
}

#[tokio::test]
async fn it_has_lambdas_environment_and_nothing_of_ours() {
    let program = example("odd");
    let function = Function::start(&program, &[("MY_OWN", "1")]).await.unwrap();
    let answer = tell(&function, "environment").await.unwrap();
    let all: BTreeMap<String, String> = serde_json::from_slice(&answer.bytes()).unwrap();
    assert_eq!(all["AWS_LAMBDA_FUNCTION_NAME"], "odd");
    assert_eq!((&*all["AWS_LAMBDA_FUNCTION_VERSION"], &*all["MY_OWN"]), ("$LATEST", "1"));
    // The last one the runtime sets itself.
    let known = ["AWS_", "LAMBDA_", "MY_OWN", "PATH", "_HANDLER", "LANG", "TZ", "_X_AMZN_TRACE_ID"];
    let other = all.keys().filter(|name| !known.iter().any(|known| name.starts_with(known)));
    assert_eq!(other.collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test]
async fn the_deadline_is_real_or_cargo_lambdas() {
    let function = odd().await;
    let order = json!({ "do": "deadline" }).to_string();
    let answer = function.invoke(order.clone(), LONG).await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let deadline = Duration::from_millis(answer.json().unwrap().as_u64().unwrap());
    assert!(deadline > now && deadline <= now + LONG, "{deadline:?}");
    let answer = function.invoke(order, Deadline::CargoLambda).await.unwrap();
    assert_eq!(answer.json().unwrap(), 600_000);
}

#[tokio::test]
async fn an_error_is_an_answer() {
    let function = odd().await;
    for (order, said) in [("error", "I will not."), ("panic", "I cannot.")] {
        let Err(Failure::Error { kind, body }) = tell(&function, order).await else { panic!() };
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert!(body["errorMessage"].as_str().unwrap().contains(said), "{kind} {body}");
        assert!(function.is_frozen());
    }
    tell(&function, "echo").await.unwrap();
}

#[tokio::test]
async fn an_end_is_told_with_its_log() {
    for (order, code) in [("exit", "exit status: 7"), ("break", "exit status: 9")] {
        let function = odd().await;
        let failure = tell(&function, order).await.unwrap_err();
        let said = failure.to_string();
        assert!(matches!(failure, Failure::Exited { .. }), "{order}: {said}");
        assert!(said.contains(code) && said.ends_with("I begin."), "{order}: {said}");
        let again = tell(&function, "echo").await.unwrap_err();
        assert!(
            matches!(again, Failure::Exited { .. }),
            "an invocation of what has ended: {again}"
        );
    }
}

#[tokio::test]
async fn what_takes_too_long_is_killed() {
    let function = odd().await;
    let order = json!({ "do": "hang" }).to_string();
    let late = function.invoke(order, Duration::from_millis(200)).await.unwrap_err();
    assert!(late.to_string().starts_with("the invocation took longer than 200ms"), "{late}");
    let gone = tell(&function, "echo").await.unwrap_err();
    assert!(gone.to_string().contains("signal: 9"), "{gone}");
}

#[tokio::test]
async fn a_start_that_fails_is_told() {
    let refuses = Function::start(example("odd"), &[("ODD", "exit")]).await.unwrap_err();
    assert!(refuses.to_string().contains("exit status: 3"), "{refuses}");
    let settings = Settings {
        patience: Duration::from_millis(300),
        ..Settings::new(example("odd"), &[("ODD", "hang")])
    };
    let hangs = Function::start_with(settings).await.unwrap_err();
    assert!(
        hangs.to_string().starts_with("the function's start took longer than 300ms"),
        "{hangs}"
    );
    let none = Function::start("/no/such/program", &[]).await.unwrap_err();
    assert!(none.to_string().contains("/no/such/program"), "{none}");
}

#[tokio::test]
async fn several_invocations_can_be_under_way() {
    let function =
        Function::start(example("odd"), &[("AWS_LAMBDA_MAX_CONCURRENCY", "2")]).await.unwrap();
    let mut slow = function.begin(json!({ "do": "stream" }).to_string(), LONG);
    slow.head().await.unwrap();
    tell(&function, "echo").await.unwrap();
    assert!(!function.is_frozen(), "the other is still under way");
    assert_eq!(slow.answer().await.unwrap().text(), "onetwothree");
    assert!(function.is_frozen());
}

#[tokio::test]
async fn a_function_ends_with_its_owner_also_while_it_is_frozen() {
    let function = odd().await;
    let answer = function.invoke(json!({ "do": "environment" }).to_string(), LONG).await.unwrap();
    let api = answer.json().unwrap()["AWS_LAMBDA_RUNTIME_API"].as_str().unwrap().to_owned();
    drop(function);
    // Its Runtime API is gone with it.
    while tokio::net::TcpStream::connect(&api).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
