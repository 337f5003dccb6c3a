//! The HTTP endpoint: what is served where, which media types come and go, errors in each binding's
//! own form, the card's caching, versions and extensions. Streams are `http_streams`'.

use std::sync::{Arc, atomic::Ordering};

use a2a_core::{
    AgentExtension, Caller, DefaultRequestHandler, Error, ErrorKind, Limits,
    http::{Body, HttpEndpoint},
    wire::sse::{Decoder, Received},
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::{faulty::Faulty, world::*};

pub(crate) const JSON: &str = "application/json";
pub(crate) const A2A_JSON: &str = "application/a2a+json";

pub(crate) fn endpoint(world: &World) -> HttpEndpoint {
    HttpEndpoint::new(world.handler.clone()).unwrap()
}

pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Bytes> {
    let mut builder = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let named = builder.headers_ref().is_some_and(|headers| headers.contains_key("content-type"));
    if !named && !body.is_empty() {
        builder = builder.header("content-type", A2A_JSON);
    }
    builder.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: ::http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{:?}", self.body))
    }

    /// The error's code in JSON-RPC, its reason in REST.
    pub(crate) fn error(&self) -> String {
        let error = &self.json()["error"];
        let reason = &error["details"][0]["reason"];
        reason.as_str().map_or_else(|| error["code"].to_string(), str::to_owned)
    }

    pub(crate) fn events(&self) -> Vec<Received> {
        let mut decoder = Decoder::default();
        decoder.push(&self.body);
        std::iter::from_fn(|| decoder.next_event()).collect()
    }
}

pub(crate) async fn read(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = soon(body.collect()).await.unwrap().to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

pub(crate) async fn ask(
    endpoint: &HttpEndpoint,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    read(soon(endpoint.serve(Caller::default(), request(method, path, headers, body))).await).await
}

pub(crate) fn message(story: &str) -> Value {
    json!({"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": story}]}})
}

pub(crate) fn rpc(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string()
}

pub(crate) async fn next_chunk(body: &mut Body) -> String {
    let frame = soon(body.frame()).await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

/// As the official Java client sends it.
#[tokio::test(start_paused = true)]
async fn empty_texts_are_unset() {
    let world = World::new();
    let sent = json!({"tenant": "", "message": {"messageId": "m", "role": "ROLE_USER",
        "contextId": "", "taskId": "",
        "parts": [{"text": "complete done", "filename": "", "mediaType": ""}]}});
    let rest = ask(&endpoint(&world), "POST", "/message:send", &[], &sent.to_string()).await;
    let rpc = ask(&endpoint(&world), "POST", "/", &[], &rpc("SendMessage", &sent)).await;
    for task in [&rest.json()["task"], &rpc.json()["result"]["task"]] {
        assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{task}");
        assert_eq!(task["history"][0]["parts"], json!([{"text": "complete done"}]));
    }
}

#[tokio::test(start_paused = true)]
async fn both_bindings_are_served_at_the_root_and_below_v1() {
    let world = World::new();
    let endpoint = endpoint(&world);
    for path in ["/", "/v1", "/v1/"] {
        let answer =
            ask(&endpoint, "POST", path, &[], &rpc("SendMessage", &message("complete done"))).await;
        let body = answer.json();
        assert_eq!((answer.status, &body["jsonrpc"], &body["id"]), (200, &json!("2.0"), &json!(7)));
        assert_eq!(body["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{path}");
        assert_eq!(answer.header("content-type"), JSON);
    }
    for base in ["", "/v1"] {
        let sent = ask(
            &endpoint,
            "POST",
            &format!("{base}/message:send"),
            &[],
            &message("ask what?").to_string(),
        )
        .await;
        assert_eq!((sent.status, sent.header("content-type")), (200, A2A_JSON));
        let id = sent.json()["task"]["id"].as_str().unwrap().to_owned();
        let got =
            ask(&endpoint, "GET", &format!("{base}/tasks/{id}?historyLength=0"), &[], "").await;
        assert_eq!(got.json()["status"]["state"], "TASK_STATE_INPUT_REQUIRED");
        assert_eq!(got.json().get("history"), None);
        let listed =
            ask(&endpoint, "GET", &format!("{base}/tasks?pageSize=1&status=6"), &[], "").await;
        assert_eq!(
            (&listed.json()["tasks"][0]["id"], &listed.json()["pageSize"]),
            (&json!(id), &json!(1))
        );
        let canceled = ask(&endpoint, "POST", &format!("{base}/tasks/{id}:cancel"), &[], "").await;
        assert_eq!(canceled.json()["status"]["state"], "TASK_STATE_CANCELED");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_in_the_path_is_a_tenant() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let body = message("complete").to_string();
    for base in ["/acme", "/v1/acme"] {
        let sent = ask(&endpoint, "POST", &format!("{base}/message:send"), &[], &body).await;
        let id = sent.json()["task"]["id"].as_str().unwrap().to_owned();
        assert_eq!(ask(&endpoint, "GET", &format!("/acme/tasks/{id}"), &[], "").await.status, 200);
        assert_eq!(
            ask(&endpoint, "GET", &format!("/tasks/{id}?tenant=acme"), &[], "").await.status,
            200
        );
        for elsewhere in ["/tasks/", "/other/tasks/"] {
            let missed = ask(&endpoint, "GET", &format!("{elsewhere}{id}"), &[], "").await;
            assert_eq!((missed.status, &*missed.error()), (404, "TASK_NOT_FOUND"));
        }
    }
    let mut contradicting = message("complete");
    contradicting["tenant"] = json!("other");
    let refused =
        ask(&endpoint, "POST", "/acme/message:send", &[], &contradicting.to_string()).await;
    assert_eq!((refused.status, &*refused.error()), (400, "INVALID_PARAMS"));
}

#[tokio::test(start_paused = true)]
async fn media_types_are_judged_before_the_body() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let valid = message("complete").to_string();
    for (content_type, taken) in [
        (Some(""), false),
        (Some("application/json"), true),
        (Some("application/json; charset=utf-8"), true),
        (Some("APPLICATION/A2A+JSON"), true),
        (Some("text/plain"), false),
        (Some("application/x-www-form-urlencoded"), false),
        (Some("multipart/form-data; boundary=json"), false),
    ] {
        let headers: Vec<_> = content_type.map(|it| ("content-type", it)).into_iter().collect();
        let sent = ask(&endpoint, "POST", "/message:send", &headers, &valid).await;
        assert_eq!(sent.status, if taken { 200 } else { 415 }, "{content_type:?}");
        if !taken {
            for body in [&*valid, "{", "\u{0}"] {
                let sent = ask(&endpoint, "POST", "/message:send", &headers, body).await;
                assert_eq!(sent.error(), "UNSUPPORTED_MEDIA_TYPE", "{body}");
                let sent = ask(&endpoint, "POST", "/", &headers, body).await;
                assert_eq!(
                    (sent.status, &*sent.error(), &sent.json()["id"]),
                    (415, "-32005", &Value::Null)
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn success_speaks_the_callers_media_type_and_errors_plain_json() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let (good, bad) = (
        message("complete").to_string(),
        message("complete").to_string().replace("ROLE_USER", "x"),
    );
    for (headers, expected) in [
        (&[][..], A2A_JSON),
        (&[("content-type", A2A_JSON)], A2A_JSON),
        (&[("content-type", JSON)], JSON),
        (&[("content-type", "application/json; charset=utf-8")], JSON),
        (&[("accept", JSON)], JSON),
        (&[("accept", "*/*")], A2A_JSON),
        (&[("accept", "application/a2a+json, application/json")], A2A_JSON),
    ] {
        let answer = ask(&endpoint, "POST", "/message:send", headers, &good).await;
        assert_eq!(answer.header("content-type"), expected, "{headers:?}");
        let answer = ask(&endpoint, "POST", "/message:send", headers, &bad).await;
        assert_eq!((answer.status, answer.header("content-type")), (400, JSON), "{headers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn error_bodies_are_the_bindings_own() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let details = json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "TASK_NOT_FOUND",
        "domain": "a2a-protocol.org",
        "metadata": {"taskId": "none"},
    }]);
    let text = "There is no task \"none\".";
    let rest = ask(&endpoint, "GET", "/tasks/none", &[], "").await;
    let expected = json!({"code": 404, "status": "NOT_FOUND", "message": text, "details": details});
    assert_eq!((rest.status, rest.json()), (404, json!({"error": expected})));
    let rpc = ask(&endpoint, "POST", "/", &[], &rpc("GetTask", &json!({"id": "none"}))).await;
    let error = json!({"code": -32001, "message": text, "data": details});
    assert_eq!((rpc.status, rpc.json()), (200, json!({"jsonrpc": "2.0", "id": 7, "error": error})));
    for (body, code, id) in [
        ("", "-32700", Value::Null),
        ("{", "-32700", Value::Null),
        ("[]", "-32600", Value::Null),
        (r#"{"jsonrpc":"2.0","id":"a","method":"None"}"#, "-32601", json!("a")),
        (
            r#"{"jsonrpc":"2.0","id":1.50,"method":"GetTask","params":{"id":5}}"#,
            "-32602",
            json!(1.5),
        ),
        (r#"{"id":1,"method":"GetTask","params":{"id":"t"}}"#, "-32600", json!(1)),
    ] {
        let answer = ask(&endpoint, "POST", "/", &[], body).await;
        assert_eq!((&*answer.error(), &answer.json()["id"]), (code, &id), "{body}");
    }
    // An id comes back as it was written.
    let body = r#"{"jsonrpc":"2.0","id":1.50,"method":"None"}"#;
    let answer = ask(&endpoint, "POST", "/", &[], body).await;
    assert!(answer.body.windows(9).any(|it| it == b"\"id\":1.50"), "{:?}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn paths_and_methods_that_are_not_there() {
    let world = World::new();
    let endpoint = endpoint(&world);
    for path in ["/none", "/v2/tasks/x/y", "/v1/v1/v1/tasks", "//tasks", "/tasks/"] {
        let answer = ask(&endpoint, "GET", path, &[], "").await;
        assert_eq!((answer.status, &*answer.error()), (404, "METHOD_NOT_FOUND"), "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/", "POST"),
        ("DELETE", "/v1", "POST"),
        ("GET", "/message:send", "POST"),
        ("POST", "/tasks/t", "GET, HEAD"),
        ("DELETE", "/tasks", "GET, HEAD"),
        ("GET", "/tasks/t:cancel", "POST"),
        ("PUT", "/tasks/t:subscribe", "GET, POST"),
        ("POST", "/.well-known/agent-card.json", "GET, HEAD"),
    ] {
        let answer = ask(&endpoint, method, path, &[], "").await;
        assert_eq!((answer.status, answer.header("allow")), (405, allow), "{method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_over_the_limit_are_refused() {
    let mut world = World::new();
    let mut limits = Limits::default();
    limits.body = 1_000;
    world.handler = world.handler.with_limits(limits);
    let endpoint = endpoint(&world);
    assert_eq!(endpoint.body_limit(), 1_000);
    let large = message(&format!("complete {}", "x".repeat(1_000)));
    let answer = ask(&endpoint, "POST", "/message:send", &[], &large.to_string()).await;
    assert_eq!((answer.status, &*answer.error()), (413, "TOO_LARGE"));
    let answer = ask(&endpoint, "POST", "/", &[], &rpc("SendMessage", &large)).await;
    assert_eq!((answer.status, &*answer.error()), (413, "-32600"));
    for (path, status, error) in [("/tasks", 413, "TOO_LARGE"), ("/", 413, "-32600")] {
        let refused = endpoint.refuse(path, Error::new(ErrorKind::TooLarge, "Too large."));
        let answer = read(refused).await;
        assert_eq!((answer.status, &*answer.error()), (status, error));
    }
    assert_eq!(world.script.runs(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_store_is_503_with_retry_after() {
    let store = Arc::<Faulty>::default();
    store.unavailable.store(true, Ordering::SeqCst);
    let handler = DefaultRequestHandler::new(card(), Arc::<Script>::default(), store);
    let endpoint = HttpEndpoint::new(handler).unwrap();
    for (method, path, body) in [
        ("GET", "/tasks/t", String::new()),
        ("GET", "/tasks", String::new()),
        ("POST", "/message:send", message("complete").to_string()),
        ("POST", "/message:stream", message("complete").to_string()),
        ("POST", "/tasks/t:subscribe", String::new()),
    ] {
        let answer = ask(&endpoint, method, path, &[], &body).await;
        assert_eq!((answer.status, &*answer.error()), (503, "UNAVAILABLE"), "{path}");
        assert!(answer.header("retry-after").parse::<u32>().is_ok(), "{path}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("10.0.0.7"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_card_is_cached_by_its_tag() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let path = "/.well-known/agent-card.json";
    let card = ask(&endpoint, "GET", path, &[], "").await;
    assert_eq!(
        (card.status, card.header("content-type"), &card.json()["name"]),
        (200, JSON, &json!("script"))
    );
    assert!(card.header("cache-control").contains("max-age="));
    assert!(card.header("last-modified").ends_with(" GMT"));
    let tag = card.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'));
    for (asked, status) in [
        (tag.clone(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"x\", {tag}"), 304),
        ("*".to_owned(), 304),
        ("\"x\"".to_owned(), 200),
        (tag.replace('"', ""), 200),
    ] {
        let answer = ask(&endpoint, "GET", path, &[("if-none-match", &asked)], "").await;
        assert_eq!((answer.status, answer.body.is_empty()), (status, status == 304), "{asked}");
        assert_eq!(answer.header("etag"), tag);
    }
    let head = ask(&endpoint, "HEAD", path, &[], "").await;
    assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, &*tag));
    // A client of another version finds out from the card.
    assert_eq!(ask(&endpoint, "GET", path, &[("a2a-version", "99.0")], "").await.status, 200);
    let other =
        World::with_card(a2a_core::AgentCard { name: "other".to_owned(), ..crate::world::card() });
    assert_ne!(ask(&self::endpoint(&other), "GET", path, &[], "").await.header("etag"), tag);
}

#[tokio::test(start_paused = true)]
async fn versions_come_in_the_header_or_the_query() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let body = message("complete").to_string();
    for (version, status) in [("1.0", 200), ("", 200), ("99.0", 400), ("0.3", 400)] {
        let header =
            ask(&endpoint, "POST", "/message:send", &[("A2A-Version", version)], &body).await;
        let path = format!("/message:send?A2A-Version={version}");
        let query = ask(&endpoint, "POST", &path, &[], &body).await;
        let path = format!("/?a2a-version={version}");
        let rpc =
            ask(&endpoint, "POST", &path, &[], &rpc("SendMessage", &message("complete"))).await;
        assert_eq!((header.status, query.status), (status, status), "{version}");
        if status == 400 {
            let told = (header.error(), query.error(), rpc.error());
            let reason = || "VERSION_NOT_SUPPORTED".to_owned();
            assert_eq!(told, (reason(), reason(), "-32009".to_owned()));
        } else {
            assert!(rpc.json().get("result").is_some());
        }
    }
    let both =
        ask(&endpoint, "POST", "/message:send?A2A-Version=99.0", &[("a2a-version", "1.0")], &body)
            .await;
    assert_eq!(both.status, 200, "the header counts");
}

#[tokio::test(start_paused = true)]
async fn extensions_in_use_are_told() {
    let extension = |uri: &str| AgentExtension { uri: uri.to_owned(), ..Default::default() };
    let mut known = card();
    known.capabilities.extensions = vec![extension("urn:a"), extension("urn:b")];
    let world = World::with_card(known);
    let endpoint = endpoint(&world);
    let body = message("complete").to_string();
    for (asked, told) in
        [("urn:b, urn:x", "urn:b"), (" urn:b ,urn:a,", "urn:a, urn:b"), ("urn:x", ""), ("", "")]
    {
        let headers = [("A2A-Extensions", asked)];
        for (path, body) in
            [("/message:send", &body), ("/", &rpc("SendMessage", &message("complete")))]
        {
            let answer = ask(&endpoint, "POST", path, &headers, body).await;
            assert_eq!(answer.header("a2a-extensions"), told, "{asked} at {path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn owners_are_the_transports_and_never_the_bodys() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let mut body = message("complete");
    body["owner"] = json!("ann");
    let sent = request("POST", "/message:send?owner=ann", &[("owner", "ann")], &body.to_string());
    let sent = read(endpoint.serve(owner("bob"), sent).await).await.json();
    let id = sent["task"]["id"].as_str().unwrap();
    for (name, status) in [("bob", StatusCode::OK), ("ann", StatusCode::NOT_FOUND)] {
        let got =
            endpoint.serve(owner(name), request("GET", &format!("/tasks/{id}"), &[], "")).await;
        assert_eq!(got.status(), status);
    }
}
