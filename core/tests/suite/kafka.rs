//! The Kafka endpoint: records in, records out. Each record has its answer under its own key, in
//! the form it was asked in; what cannot be correlated goes to the dead letter topic; what is
//! redelivered is executed once.

use std::sync::{Arc, atomic::Ordering};

use a2a_core::{
    AgentExtension, DefaultRequestHandler,
    kafka::{KafkaEndpoint, Outgoing, Redeliver, Topics},
    wire::kafka::{Origin, Record},
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{faulty::Faulty, world::*};

pub(crate) fn endpoint(world: &World) -> KafkaEndpoint {
    KafkaEndpoint::new(world.handler.clone(), "script", "cluster")
}

pub(crate) fn record(offset: i64, value: &str) -> Record {
    Record {
        topic: "agent.script.requests".to_owned(),
        partition: 3,
        offset,
        timestamp: 1_800_000_000_000,
        broker_time: false,
        key: Some(Bytes::from_static(b"corr-1")),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: Vec::new(),
    }
}

pub(crate) fn rpc(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": "i", "method": method, "params": params}).to_string()
}

pub(crate) fn message(story: &str) -> Value {
    json!({"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": story}]}})
}

pub(crate) async fn deliver(
    endpoint: &KafkaEndpoint,
    record: &Record,
) -> Result<Vec<Outgoing>, Redeliver> {
    let mut answers = Vec::new();
    let mut incoming = endpoint.read(&Arc::default(), record.clone());
    soon(endpoint.serve(&mut incoming, None, |answer| answers.push(answer))).await?;
    Ok(answers)
}

/// The one answer to a record.
pub(crate) async fn ask(endpoint: &KafkaEndpoint, record: &Record) -> Outgoing {
    let mut answers = deliver(endpoint, record).await.unwrap();
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

pub(crate) fn body(answer: &Outgoing) -> Value {
    serde_json::from_slice(&answer.value).unwrap()
}

pub(crate) fn header<'a>(answer: &'a Outgoing, name: &str) -> Option<&'a str> {
    let found = answer.headers.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| std::str::from_utf8(value).unwrap())
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
async fn a_record_without_a_key_becomes_a_dead_letter() {
    let world = World::new();
    let endpoint = endpoint(&world);
    for key in [None, Some(Bytes::new())] {
        let asked = record(1, &rpc("SendMessage", &message("complete")));
        let letter = ask(&endpoint, &Record { key: key.clone(), ..asked.clone() }).await;
        assert_eq!((&*letter.topic, &letter.key), ("agent.script.dead-letter", &key));
        assert_eq!(letter.value, asked.value.unwrap(), "as it came");
        assert!(header(&letter, "a2a-error").unwrap().contains("no key"));
        assert_eq!(header(&letter, "a2a-error-reason"), Some("INVALID_REQUEST"));
        assert_eq!(header(&letter, "a2a-error-offset"), Some("1"));
    }
    let letter = endpoint.raw_dead_letter(b"\xff\x00".to_vec(), "not a record", &Origin::default());
    assert_eq!((&*letter.topic, &*letter.value), ("agent.script.dead-letter", &b"\xff\x00"[..]));
    assert_eq!(header(&letter, "a2a-error"), Some("not a record"));
    assert_eq!(world.script.runs(), 0, "a dead letter is not executed");
}

/// Every way in which a record is no request, in the document's order, and the reason of its answer.
pub(crate) fn bad_records() -> Vec<(&'static str, Record, &'static str)> {
    let value = |value: &[u8]| Record { value: Some(value.to_vec().into()), ..record(0, "") };
    let good = || record(0, &rpc("SendMessage", &message("complete")));
    let headed = |name: &str, value: &[u8]| {
        let header = (name.to_owned(), Bytes::copy_from_slice(value));
        Record { headers: vec![header], ..good() }
    };
    let params = |method: &str, params: Value| record(0, &rpc(method, &params));
    let many = vec![("x".to_owned(), Bytes::new()); 129];
    let (long, large) = (vec![b'x'; 8193], vec![b' '; (4 << 20) + 1]);
    let records = [
        (
            "key too long",
            Record { key: Some(vec![b'k'; 1025].into()), ..good() },
            "INVALID_REQUEST",
        ),
        ("tombstone", Record { value: None, ..good() }, "INVALID_REQUEST"),
        ("empty value", value(b""), "INVALID_REQUEST"),
        ("over the limit", value(&large), "TOO_LARGE"),
        ("invalid UTF-8", value(b"\xff\xfe\x00"), "PARSE_ERROR"),
        ("invalid JSON", value(b"{\"message\":"), "PARSE_ERROR"),
        ("plain text", value(b"hello"), "PARSE_ERROR"),
        ("a list", value(b"[]"), "INVALID_REQUEST"),
        ("no object", value(b"null"), "INVALID_REQUEST"),
        (
            "id too long",
            value(format!(r#"{{"jsonrpc":"2.0","id":"{}"}}"#, "I".repeat(1024)).as_bytes()),
            "INVALID_REQUEST",
        ),
        ("no form", value(b"{}"), "INVALID_REQUEST"),
        ("an answer", value(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#), "INVALID_REQUEST"),
        ("wrong version", value(br#"{"jsonrpc":"1.0","method":"GetTask"}"#), "INVALID_REQUEST"),
        ("wrong id", value(br#"{"jsonrpc":"2.0","id":{},"method":"x"}"#), "INVALID_REQUEST"),
        ("unknown method", params("Nope", json!({})), "METHOD_NOT_FOUND"),
        ("method of 0.3", params("message/send", json!({})), "METHOD_NOT_FOUND"),
        ("params no object", value(br#"{"params":5}"#), "INVALID_PARAMS"),
        ("wrong type", params("SendMessage", json!({"message": {"parts": 5}})), "INVALID_PARAMS"),
        ("no message", params("SendMessage", json!({})), "INVALID_PARAMS"),
        ("unknown task", params("GetTask", json!({"id": "none"})), "TASK_NOT_FOUND"),
        ("version 99.0", headed("A2A-Version", b"99.0"), "VERSION_NOT_SUPPORTED"),
        ("another media type", headed("content-type", b"text/plain"), "CONTENT_TYPE_NOT_SUPPORTED"),
        ("reply topic", headed("a2a-reply-to", b"agent.other.requests"), "PERMISSION_DENIED"),
        ("no reply topic", headed("a2a-reply-to", b"\xff"), "PERMISSION_DENIED"),
        ("forged event", headed("a2a-event-id", b"1-0"), "INVALID_REQUEST"),
        ("forged end", headed("A2A-Last", b"true"), "INVALID_REQUEST"),
        ("forged restart", headed("a2a-restart", b"true"), "INVALID_REQUEST"),
        ("forged cause", headed("a2a-error-offset", b"7"), "INVALID_REQUEST"),
        ("past deadline", headed("a2a-deadline", b"2020-01-01T00:00:00Z"), "DEADLINE_EXCEEDED"),
        ("past in millis", headed("a2a-deadline", b"1577836800000"), "DEADLINE_EXCEEDED"),
        ("no deadline", headed("a2a-deadline", b"tomorrow"), "INVALID_PARAMS"),
        ("negative deadline", headed("a2a-deadline", b"-5"), "INVALID_PARAMS"),
        ("no event id", headed("a2a-last-event-id", b"seven"), "INVALID_PARAMS"),
        ("no idempotency key", headed("a2a-idempotency-key", b""), "INVALID_PARAMS"),
        ("too many headers", Record { headers: many, ..good() }, "INVALID_REQUEST"),
        ("header too long", headed("traceparent", &long), "INVALID_REQUEST"),
    ];
    let numbered = (1..).zip(records);
    numbered.map(|(offset, (name, it, told))| (name, Record { offset, ..it }, told)).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_answered_and_done() {
    let world = World::new();
    let endpoint = endpoint(&world);
    let bad = bad_records();
    for (name, record, reason) in &bad {
        let answer = ask(&endpoint, record).await;
        assert_eq!(body(&answer)["error"]["data"][0]["reason"], *reason, "{name}");
        let key = record.key.as_deref().map(|key| &key[..key.len().min(1024)]);
        let answered = (&*answer.topic, answer.key.as_deref());
        assert_eq!(answered, ("agent.script.responses", key), "{name}");
        assert!(!answer.headers.iter().any(|(header, _)| header == "a2a-error"), "{name}");
    }
    assert_eq!((world.script.runs(), world.store.len()), (0, 0));
    // Each has its line in the document.
    let document = include_str!("../../KAFKA-BINDING.md");
    for (name, _, reason) in bad {
        let line = document.lines().find(|line| line.contains(&format!("| {name} |")));
        let line = line.unwrap_or_else(|| panic!("the document says nothing of: {name}"));
        assert!(line.contains(&format!("`{reason}`")), "{line}");
    }
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
async fn a_redelivered_record_is_executed_once_and_answered_the_same() {
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
async fn in_an_outage_of_the_store_records_are_redelivered_and_nothing_is_emitted() {
    let (store, script) = (Arc::<Faulty>::default(), Arc::<Script>::default());
    let handler =
        DefaultRequestHandler::new(card(), Arc::clone(&script) as _, Arc::clone(&store) as _);
    let endpoint = KafkaEndpoint::new(handler, "script", "cluster");
    store.unavailable.store(true, Ordering::SeqCst);
    let records = [
        record(1, &rpc("SendMessage", &message("complete done"))),
        record(2, &rpc("SendStreamingMessage", &message("complete done"))),
        record(3, &rpc("GetTask", &json!({"id": "t"}))),
        record(4, r#"{"message":"complete done"}"#),
    ];
    for record in &records {
        let mut emitted = 0;
        let mut incoming = endpoint.read(&Arc::default(), record.clone());
        let served = soon(endpoint.serve(&mut incoming, None, |_| emitted += 1)).await;
        assert!(served.is_err_and(|Redeliver(error)| error.is_retriable()), "{record:?}");
        assert_eq!(emitted, 0);
    }
    store.unavailable.store(false, Ordering::SeqCst);
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
    let mut incoming = endpoint.read(&owner("ann").owner, asked);
    soon(endpoint.serve(&mut incoming, None, |answer| answers.push(answer))).await.unwrap();
    let id = body(&answers[0])["id"].clone();
    let answer = ask(&endpoint, &record(2, &rpc("GetTask", &json!({"id": id})))).await;
    assert_eq!(body(&answer)["error"]["code"], -32001);
}
