//! Events that are barely ones, bodies that are compressed, and web pages: each has an answer.

use std::io::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::support::{Function, GATEWAYS, Gateway, message};

#[tokio::test(start_paused = true)]
async fn an_event_that_is_barely_one_has_an_answer() {
    let function = Function::obedient();
    let long = "x".repeat(100_000);
    for query in
        ["contextId=a b", "contextId={\"x\":1}", "a=\u{0}", "\u{201c}=<>#%zz&&==", "%", &long]
    {
        let mut event = Gateway::Http.get("/tasks");
        event["rawQueryString"] = json!(query);
        let status = function.ask(&event).await.status;
        assert!([200, 400, 404].contains(&status), "{query:.30} {status}");
    }
    for gateway in GATEWAYS {
        for (pointer, value) in [
            ("/headers/host", json!("no host")),
            ("/headers/host", json!("999.999.999.999")),
            ("/headers/x-forwarded-proto", json!("::")),
            ("/requestContext/domainName", json!("a b:/")),
            ("/requestContext/stage", json!("pr od?#")),
            ("/requestContext/stage", json!(long)),
            ("/path", json!(":tasks?#")),
            ("/rawPath", json!(":tasks?#")),
            ("/path", json!(long)),
            ("/rawPath", json!(long)),
            ("/path", Value::Null),
            ("/rawPath", Value::Null),
        ] {
            let mut event = gateway.get("/tasks");
            let Some(place) = event.pointer_mut(pointer) else { continue };
            *place = value;
            let status = function.ask(&event).await.status;
            assert!([200, 400, 404, 405].contains(&status), "{gateway:?} {pointer} {status}");
        }
        let headers = json!({ "content-type": "application/json" });
        for body in ["%%%", "a", "e30"] {
            let event =
                gateway.event("POST", "/message:send", headers.clone(), json!({"base64": body}));
            assert_eq!(function.ask(&event).await.status, 400, "{body}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_body_is_read_within_the_limit() {
    let zipped = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        json!({ "base64": STANDARD.encode(encoder.finish().unwrap()) })
    };
    let body = message("complete").to_string();
    let bomb = vec![b' '; 5 << 20];
    let text = json!({ "base64": STANDARD.encode(&body) });
    for (encoding, body, status) in [
        ("gzip", zipped(body.as_bytes()), 200),
        ("GZIP", zipped(body.as_bytes()), 200),
        ("identity", text.clone(), 200),
        ("gzip", zipped(&bomb), 413),
        ("gzip", text.clone(), 400),
        ("br", text.clone(), 415),
        ("gzip, gzip", zipped(body.as_bytes()), 415),
    ] {
        for gateway in GATEWAYS {
            let headers =
                json!({ "content-type": "application/json", "content-encoding": encoding });
            let event = gateway.event("POST", "/message:send", headers, body.clone());
            let answer = Function::obedient().ask(&event).await;
            assert_eq!(answer.status, status, "{encoding} {gateway:?} {answer:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn web_pages_need_leave() {
    let preflight = json!({
        "origin": "https://app.example", "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    });
    for gateway in GATEWAYS {
        let event = gateway.event("OPTIONS", "/message:send", preflight.clone(), Value::Null);
        assert_eq!(Function::obedient().ask(&event).await.status, 403);
        let function = Function::obedient().shared_with(&["https://app.example"]);
        let answer = function.ask(&event).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
        assert_eq!(answer.header("access-control-allow-headers"), "content-type");
    }
}
