//! Streams over HTTP: events in each binding's form, refusals, the heartbeat, and coming back with
//! `Last-Event-ID`.

use std::time::Duration;

use a2a_core::{Caller, Cursor};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::{http::*, world::*};

#[tokio::test(start_paused = true)]
async fn a_refused_stream_is_an_ordinary_error_in_both_bindings() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let ended = world.send(say("complete")).await.id;
    for (method, params, code) in [
        ("SubscribeToTask", json!({"id": "none"}), -32001),
        ("SubscribeToTask", json!({"id": &*ended}), -32004),
        ("SubscribeToTask", json!({}), -32602),
        ("SubscribeToTask", json!({"id": 5}), -32602),
        ("SendStreamingMessage", json!({}), -32602),
        ("SendStreamingMessage", json!({"message": {"parts": [{}]}}), -32602),
    ] {
        let answer = ask(&endpoint, "POST", "/", &[], &rpc(method, &params)).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, JSON), "{params}");
        let body = answer.json();
        assert_eq!((&body["id"], &body["error"]["code"]), (&json!(7), &json!(code)), "{params}");
    }
    for (method, path, body, status) in [
        ("POST", "/tasks/none:subscribe", "", 404),
        ("GET", "/tasks/none:subscribe", "", 404),
        ("POST", &*format!("/tasks/{ended}:subscribe"), "", 400),
        ("POST", "/message:stream", "{}", 400),
    ] {
        let answer = ask(&endpoint, method, path, &[], body).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, JSON), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_are_events_with_ids_in_each_bindings_form() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let story = message("working hm\nchunks 2\ncomplete done");
    let rest = ask(&endpoint, "POST", "/message:stream", &[], &story.to_string()).await;
    let rpc = ask(&endpoint, "POST", "/", &[], &rpc("SendStreamingMessage", &story)).await;
    for (answer, wrapped) in [(rest, false), (rpc, true)] {
        assert_eq!(answer.header("content-type"), "text/event-stream");
        assert_eq!(answer.header("cache-control"), "no-store");
        let mut ids = Vec::new();
        let mut kinds = Vec::new();
        for event in answer.events() {
            ids.push(event.id.unwrap().parse::<Cursor>().unwrap());
            let mut body: Value = serde_json::from_slice(&event.data).unwrap();
            if wrapped {
                assert_eq!((&body["jsonrpc"], &body["id"]), (&json!("2.0"), &json!(7)));
                body = body["result"].take();
            }
            kinds.push(body.as_object().unwrap().keys().next().unwrap().clone());
        }
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert_eq!(
            kinds,
            ["task", "statusUpdate", "artifactUpdate", "artifactUpdate", "statusUpdate"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_comes_back_with_the_last_id_it_saw() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let story = message("working hm\nyield\nchunks 3\nyield\ncomplete done").to_string();
    let events = ask(&endpoint, "POST", "/message:stream", &[], &story).await.events();
    let id = world.script.context(0).task_id().to_owned();
    for (position, event) in events.iter().enumerate() {
        let last = [("last-event-id", event.id.as_deref().unwrap())];
        let path = format!("/tasks/{id}:subscribe");
        let answer = ask(&endpoint, "GET", &path, &last, "").await;
        let body = rpc("SubscribeToTask", &json!({"id": id}));
        let in_rpc = ask(&endpoint, "POST", "/", &last, &body).await;
        match events.len() - position - 1 {
            0 => {
                assert_eq!((answer.status, &*answer.error()), (400, "UNSUPPORTED_OPERATION"));
                assert_eq!(in_rpc.json()["error"]["code"], -32004);
            }
            left => {
                assert_eq!(answer.events(), events[position + 1..]);
                assert_eq!(in_rpc.events().len(), left);
            }
        }
    }
    for bogus in ["x", "1", "1-", "-1-1", "99-0"] {
        let path = format!("/tasks/{id}:subscribe");
        let answer = ask(&endpoint, "POST", &path, &[("last-event-id", bogus)], "").await;
        assert_eq!((answer.status, &*answer.error()), (400, "INVALID_PARAMS"), "{bogus}");
        let violation = &answer.json()["error"]["details"][1]["fieldViolations"][0]["field"];
        assert_eq!(violation, "Last-Event-ID");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_says_that_it_is_alive() {
    let world = World::new();
    let task = world.at_work("working\ngate\ncomplete done").await;
    let subscribe = request("GET", &format!("/tasks/{}:subscribe", task.id), &[], "");
    let mut body = endpoint(&world).serve(Caller::default(), subscribe).await.into_body();
    assert!(next_chunk(&mut body).await.starts_with("id: "));
    for _ in 0..3 {
        let begun = tokio::time::Instant::now();
        assert_eq!(next_chunk(&mut body).await, ":\n\n");
        assert_eq!(begun.elapsed().as_secs(), 15);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.script.gate.open();
    assert!(
        next_chunk(&mut body).await.contains("TASK_STATE_COMPLETED"),
        "no event is lost over it"
    );
    assert!(soon(body.frame()).await.is_none());
}
