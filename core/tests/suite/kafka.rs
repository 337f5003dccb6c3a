//! The Kafka endpoint: records in, records out. Each record has its answer under its own key, in
//! the form it was asked in; what cannot be correlated goes to the dead letter topic; what is
//! delivered twice is executed once.

use std::sync::{Arc, atomic::Ordering};

use a2a_core::{
    AgentExtension, Caller, DefaultRequestHandler,
    kafka::{KafkaEndpoint, Outgoing, Redeliver, Topics},
    wire::kafka::Record,
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{faulty::Faulty, world::*};

fn endpoint(world: &World) -> KafkaEndpoint {
    KafkaEndpoint::new(world.handler.clone(), "script", "cluster")
}

fn record(offset: i64, value: &str) -> Record {
    Record {
        topic: "agent.script.requests".to_owned(),
        partition: 3,
        offset,
        timestamp: 1_800_000_000_000,
        key: Some(Bytes::from_static(b"corr-1")),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: Vec::new(),
    }
}

fn rpc(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": "i", "method": method, "params": params}).to_string()
}

fn message(story: &str) -> Value {
    json!({"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": story}]}})
}

async fn deliver(endpoint: &KafkaEndpoint, record: &Record) -> Result<Vec<Outgoing>, Redeliver> {
    let mut answers = Vec::new();
    soon(endpoint.serve(Caller::default(), record, |answer| answers.push(answer))).await?;
    Ok(answers)
}

/// The one answer to a record.
async fn ask(endpoint: &KafkaEndpoint, record: &Record) -> Outgoing {
    let mut answers = deliver(endpoint, record).await.unwrap();
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

fn body(answer: &Outgoing) -> Value {
    serde_json::from_slice(&answer.value).unwrap()
}

fn header<'a>(answer: &'a Outgoing, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| &**value)
}

#[test]
fn topics_have_the_agents_name() {
    let topics = Topics::of("data");
    assert_eq!(topics.requests, "agent.data.requests");
    assert_eq!(topics.responses, "agent.data.responses");
    assert_eq!(topics.dead_letter, "agent.data.dead-letter");
}

#[tokio::test(start_paused = true)]
async fn a_jsonrpc_record_is_answered_by_a_jsonrpc_record() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let answer = ask(&endpoint, &record(1, &rpc("SendMessage", &message("ask what?")))).await;
    assert_eq!(
        (&*answer.topic, answer.key.as_deref()),
        ("agent.script.responses", Some(&b"corr-1"[..]))
    );
    assert_eq!(header(&answer, "a2a-version"), Some("1.0"));
    let body = body(&answer);
    assert_eq!((&body["jsonrpc"], &body["id"]), (&json!("2.0"), &json!("i")));
    let task = &body["result"]["task"];
    assert_eq!(task["status"]["state"], "TASK_STATE_INPUT_REQUIRED");
    let id = task["id"].clone();
    for (offset, method, state) in [(2, "GetTask", "INPUT_REQUIRED"), (3, "CancelTask", "CANCELED")]
    {
        let answer = ask(&endpoint, &record(offset, &rpc(method, &json!({"id": id})))).await;
        let state = format!("TASK_STATE_{state}");
        assert_eq!(self::body(&answer)["result"]["status"]["state"], json!(state));
    }
    let answer = ask(&endpoint, &record(4, &rpc("ListTasks", &json!({})))).await;
    assert_eq!(self::body(&answer)["result"]["totalSize"], 1);
}

#[tokio::test(start_paused = true)]
async fn the_briefs_forms_are_answered_bare() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let story = "complete done";
    for (offset, value) in (0..).zip([
        json!({"params": message(story)}),
        json!({"message": {"parts": [{"text": story}]}, "context_id": "c"}),
        json!({"message": story, "context_id": "c"}),
        json!({"message": {"role": "user", "parts": [{"kind": "text", "text": story}]}}),
    ]) {
        let answer = ask(&endpoint, &record(offset, &value.to_string())).await;
        let task = body(&answer);
        assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{value}");
        assert_eq!(task["status"]["message"]["parts"][0]["text"], "done");
        if value.get("context_id").is_some() {
            assert_eq!(task["contextId"], "c");
        }
    }
    let answer = ask(&endpoint, &record(8, r#"{"message":"reply hi"}"#)).await;
    assert_eq!(body(&answer)["parts"][0]["text"], "hi");
    let answer = ask(&endpoint, &record(9, r#"{"message":{"parts":[]}}"#)).await;
    assert_eq!(body(&answer)["error"]["code"], -32602);
    let task = body(&ask(&endpoint, &record(10, r#"{"message":"ask what?"}"#)).await);
    let next = json!({"message": "complete done", "task_id": task["id"]});
    let next = body(&ask(&endpoint, &record(11, &next.to_string())).await);
    assert_eq!(
        (&next["id"], &next["status"]["state"]),
        (&task["id"], &json!("TASK_STATE_COMPLETED"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_a_record_for_each_event_and_the_last_is_marked() {
    let world = World::new();
    let endpoint = endpoint(&world);
    for (offset, story, kinds) in [
        (
            1,
            "working\nchunks 2\ncomplete",
            &["task", "statusUpdate", "artifactUpdate", "artifactUpdate", "statusUpdate"][..],
        ),
        // The client's next message stands behind this one, so the stream must not wait for it.
        (2, "working\nask what?", &["task", "statusUpdate", "statusUpdate"]),
        (3, "auth how?\nhang", &["task", "statusUpdate"]),
        (4, "reply hi", &["message"]),
    ] {
        let answers =
            deliver(&endpoint, &record(offset, &rpc("SendStreamingMessage", &message(story))))
                .await
                .unwrap();
        let told: Vec<String> = answers
            .iter()
            .map(|answer| {
                body(answer)["result"].as_object().unwrap().keys().next().unwrap().clone()
            })
            .collect();
        assert_eq!(told, kinds, "{story}");
        let last: Vec<bool> =
            answers.iter().map(|it| header(it, "a2a-last") == Some("true")).collect();
        assert_eq!(last.iter().position(|last| *last), Some(kinds.len() - 1), "{story}");
        let ids = answers.iter().filter_map(|answer| header(answer, "a2a-event-id"));
        assert_eq!(ids.count(), if kinds == ["message"] { 0 } else { kinds.len() });
        assert!(
            answers.iter().all(|it| it.key.as_deref() == Some(b"corr-1") && body(it)["id"] == "i")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_stream_has_an_end_too() {
    let world = World::new();
    let endpoint = endpoint(&world);
    for (offset, method, params, code) in [
        (1, "SubscribeToTask", json!({"id": "none"}), -32001),
        (2, "SendStreamingMessage", json!({}), -32602),
        (3, "SendStreamingMessage", json!({"message": 5}), -32602),
    ] {
        let answer = ask(&endpoint, &record(offset, &rpc(method, &params))).await;
        assert_eq!(body(&answer)["error"]["code"], code);
        assert_eq!(header(&answer, "a2a-last"), Some("true"), "{method}: a reader waits for it");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_correlate_is_a_dead_letter() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let keyless = Record { key: None, ..record(1, &rpc("SendMessage", &message("complete"))) };
    let answer = ask(&endpoint, &keyless).await;
    assert_eq!((&*answer.topic, &answer.key), ("agent.script.dead-letter", &None));
    assert_eq!(
        (&body(&answer)["id"], &body(&answer)["error"]["code"]),
        (&json!("i"), &json!(-32600))
    );
    let aside = endpoint.put_aside(b"\xff\x00".to_vec(), "not a record");
    assert_eq!((&*aside.topic, &*aside.value), ("agent.script.dead-letter", &b"\xff\x00"[..]));
    assert_eq!(header(&aside, "a2a-error"), Some("not a record"));
    assert_eq!(world.script.runs(), 0, "nothing is done for nobody");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_answered_and_done() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let mut tombstone = record(1, "");
    tombstone.value = None;
    let mut binary = record(2, "");
    binary.value = Some(Bytes::from_static(b"\xff\xfe\x00"));
    for (record, code) in [
        (tombstone, -32600),
        (binary, -32700),
        (record(3, ""), -32600),
        (record(4, "hello"), -32700),
        (record(5, "[]"), -32600),
        (record(6, "{}"), -32600),
        (record(7, "null"), -32600),
        (record(8, r#"{"jsonrpc":"2.0","id":1,"method":"Nope"}"#), -32601),
        (record(9, r#"{"jsonrpc":"2.0","id":1,"method":"message/send"}"#), -32601),
        (record(10, r#"{"params":5}"#), -32602),
        (record(11, &rpc("GetTask", &json!({"id": "none"}))), -32001),
    ] {
        let answer = ask(&endpoint, &record).await;
        assert_eq!(body(&answer)["error"]["code"], code, "{record:?}");
        assert_eq!(answer.topic, "agent.script.responses");
    }
    assert_eq!(world.script.runs(), 0);
}

#[tokio::test(start_paused = true)]
async fn headers_are_read_and_answered() {
    let mut known = card();
    known.capabilities.extensions =
        vec![AgentExtension { uri: "urn:a".to_owned(), ..Default::default() }];
    let world = World::with_card(known);
    let endpoint = endpoint(&world);
    let headed = |offset, headers: &[(&str, &[u8])]| Record {
        headers: headers
            .iter()
            .map(|(k, v)| ((*k).to_owned(), Bytes::copy_from_slice(v)))
            .collect(),
        ..record(offset, r#"{"message":"complete"}"#)
    };
    let trace: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer =
        ask(&endpoint, &headed(1, &[("traceparent", trace), ("A2A-Extensions", b"urn:x,urn:a")]))
            .await;
    assert_eq!(header(&answer, "traceparent").map(str::as_bytes), Some(trace));
    assert_eq!(header(&answer, "a2a-extensions"), Some("urn:a"));
    for (offset, headers) in (2..).zip([
        &[("traceparent", &b"\xff"[..]), ("a2a-version", b"\xff"), ("a2a-extensions", b"\xff")][..],
        &[("a2a-version", b""), ("", b""), ("x", b"\0")],
    ]) {
        let answer = ask(&endpoint, &headed(offset, headers)).await;
        assert_eq!(body(&answer)["status"]["state"], "TASK_STATE_COMPLETED", "{headers:?}");
        assert_eq!(
            (header(&answer, "traceparent"), header(&answer, "a2a-extensions")),
            (None, None)
        );
    }
    let answer = ask(&endpoint, &headed(9, &[("A2A-Version", b"99.0")])).await;
    assert_eq!(body(&answer)["error"]["code"], -32009);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_comes_again_is_executed_once_and_answered_the_same() {
    let world = World::new();
    let endpoint = endpoint(&world);
    for (offset, value) in [
        (1, rpc("SendMessage", &message("working hm\nartifact a one\ncomplete done"))),
        (2, rpc("SendMessage", &message("reply hi"))),
        (3, rpc("SendStreamingMessage", &message("working hm\nyield\nchunks 3\ncomplete done"))),
        (4, rpc("SendStreamingMessage", &message("reply hi"))),
        (5, r#"{"message":"ask what?"}"#.to_owned()),
        (6, r#"{"message":"fail why"}"#.to_owned()),
    ] {
        let runs = world.script.runs();
        let first = deliver(&endpoint, &record(offset, &value)).await.unwrap();
        // From another instance, too.
        let again = KafkaEndpoint::new(world.handler.clone(), "script", "cluster");
        assert_eq!(deliver(&again, &record(offset, &value)).await.unwrap(), first, "{value}");
        assert_eq!(world.script.runs(), runs + 1, "{value}");
    }
    assert_eq!(world.store.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn another_position_is_another_request() {
    let world = World::new();
    let first = endpoint(&world);
    let value = r#"{"message":"complete"}"#;
    let elsewhere = KafkaEndpoint::new(world.handler.clone(), "script", "other cluster");
    let mut ids = std::collections::BTreeSet::new();
    for (endpoint, record) in [
        (&first, record(1, value)),
        (&first, record(2, value)),
        (&first, Record { partition: 4, ..record(1, value) }),
        (&first, Record { topic: "another".to_owned(), ..record(1, value) }),
        (&first, Record { timestamp: 1, ..record(1, value) }),
        (&elsewhere, record(1, value)),
    ] {
        ids.insert(body(&ask(endpoint, &record).await)["id"].to_string());
    }
    assert_eq!((ids.len(), world.script.runs()), (6, 6));
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_records_come_again_and_nothing_is_emitted() {
    let (store, script) = (Arc::<Faulty>::default(), Arc::<Script>::default());
    let handler =
        DefaultRequestHandler::new(card(), Arc::clone(&script) as _, Arc::clone(&store) as _);
    let endpoint = KafkaEndpoint::new(handler, "script", "cluster");
    store.away.store(true, Ordering::SeqCst);
    let records = [
        record(1, &rpc("SendMessage", &message("complete done"))),
        record(2, &rpc("SendStreamingMessage", &message("complete done"))),
        record(3, &rpc("GetTask", &json!({"id": "t"}))),
        record(4, r#"{"message":"complete done"}"#),
    ];
    for record in &records {
        let mut emitted = 0;
        let served = soon(endpoint.serve(Caller::default(), record, |_| emitted += 1)).await;
        assert!(served.is_err_and(|Redeliver(error)| error.is_retriable()), "{record:?}");
        assert_eq!(emitted, 0);
    }
    store.away.store(false, Ordering::SeqCst);
    for record in &records {
        assert!(!deliver(&endpoint, record).await.unwrap().is_empty());
    }
    assert_eq!(script.runs(), 3);
}

#[tokio::test(start_paused = true)]
async fn owners_are_the_transports() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let mut answers = Vec::new();
    let asked = record(1, r#"{"message":"ask what?"}"#);
    soon(endpoint.serve(owner("ann"), &asked, |answer| answers.push(answer))).await.unwrap();
    let id = body(&answers[0])["id"].clone();
    let answer = ask(&endpoint, &record(2, &rpc("GetTask", &json!({"id": id})))).await;
    assert_eq!(body(&answer)["error"]["code"], -32001);
}
