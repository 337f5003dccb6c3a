//! What senders, the event source and an unavailable broker may do to the function: whatever comes,
//! nothing is lost, nothing holds up what is behind it, and no work is done twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use a2a_core::{
    AgentError, AgentExecutor, DefaultRequestHandler, EventQueue, Limits, MemoryStore,
    RequestContext, async_trait,
    kafka::{KafkaEndpoint, Outgoing},
};
use a2a_kafka::{
    Acknowledgement, BatchResponse, KafkaEvent, KafkaFunction, Producer, RecordHandler,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{Function, failed, partition, record};

/// Completes, and counts how often it was asked.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Counting {
    fn runs(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl AgentExecutor for Counting {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(queue.complete(context.text()).await?)
    }
}

fn event(records: &Value) -> KafkaEvent {
    let event = json!({ "eventSource": "aws:kafka", "records": records });
    serde_json::from_value(event).unwrap()
}

fn say(text: &str) -> Value {
    json!({ "message": { "text": text } })
}

/// Two good records each in two partitions.
fn batch() -> Value {
    json!({ "topic-0": partition(&["a0", "a1"], say), "topic-1": partition(&["b0", "b1"], say) })
}

fn all_of_batch() -> BatchResponse {
    failed(&[("topic-0", 0), ("topic-0", 1), ("topic-1", 0), ("topic-1", 1)])
}

#[test]
fn what_is_no_kafka_event_is_an_error() {
    let whole = include_str!("../../../../events/kafka-msk.json").trim();
    let cut = (0..whole.len()).filter(|end| whole.is_char_boundary(*end)).map(|end| &whole[..end]);
    for event in cut.chain([
        "null",
        "5",
        "[]",
        "{}",
        r#"{"records":null}"#,
        r#"{"records":[]}"#,
        r#"{"records":{"topic-0":5}}"#,
        r#"{"records":{"topic-0":{"offset":1}}}"#,
        r#"{"Records":[{"eventSource":"aws:sqs","body":"{}"}]}"#,
        r#"{"version":"2.0","rawPath":"/","requestContext":{"http":{"method":"GET"}}}"#,
    ]) {
        assert!(serde_json::from_str::<KafkaEvent>(event).is_err(), "{event}");
    }
    assert!(serde_json::from_str::<KafkaEvent>(whole).is_ok());
}

#[tokio::test]
async fn a_batch_in_which_every_record_is_bad_is_done() {
    let rpc = |method: &str, params: Value| {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        request.to_string().into_bytes()
    };
    let text = |text: &str| text.as_bytes().to_vec();
    let bad: [(Vec<u8>, i32); 17] = [
        (text(""), -32600),
        (text("\u{0}"), -32700),
        (text("Terran win rate"), -32700),
        (text(r#"{"message":{"text":"Terr"#), -32700),
        (vec![0xff, 0xfe], -32700),
        (b"{\"message\":{\"text\":\"\xec\x8a\"}}".to_vec(), -32700),
        (text("null"), -32600),
        (text("5"), -32600),
        (text("\"text\""), -32600),
        (text("[]"), -32600),
        (text(r#"{"jsonrpc":"1.0","id":1,"method":"SendMessage"}"#), -32600),
        (rpc("SendMassage", json!({})), -32601),
        (text("{}"), -32600),
        (text(r#"{"message":5}"#), -32602),
        (text(r#"{"message":{"text":["a"]}}"#), -32602),
        (rpc("SendMessage", json!({ "message": { "parts": 5 } })), -32602),
        (rpc("GetTask", json!({ "id": "none" })), -32001),
    ];
    let records = |prefix: &str| {
        let keyed = bad.iter().enumerate().map(|(offset, (value, _))| {
            let mut record = record(offset, &format!("{prefix}{offset}"), &json!({}));
            record["value"] = STANDARD.encode(value).into();
            record
        });
        Vec::from_iter(keyed)
    };
    let mut unreadable = vec![json!(5), json!({ "offset": "one" }), json!([])];
    let agent = Counting::default();
    let function = Function::new(agent.clone());
    let mut first = records("a");
    first.append(&mut unreadable);
    let batch = json!({ "topic-0": first, "topic-1": records("b") });
    assert_eq!(function.handle(event(&batch)).await, BatchResponse::default());
    assert_eq!(agent.runs(), 0);
    let answers = function.produced.values();
    assert_eq!(answers.len(), 2 * bad.len() + 3, "each record is answered or a dead letter");
    for prefix in ["a", "b"] {
        for (offset, (value, code)) in bad.iter().enumerate() {
            let key = format!("{prefix}{offset}");
            let answer = answers.iter().find(|answer| answer["key"] == key).unwrap();
            let value = String::from_utf8_lossy(value);
            assert_eq!(answer["value"]["error"]["code"], *code, "{value}: {answer}");
        }
    }
    let letters = answers.iter().filter(|answer| answer["topic"] == "agent.data.dead-letter");
    assert_eq!(letters.count(), 3);
}

/// Lambda's form of a header.
fn header(name: &str, value: &[u8]) -> Value {
    json!({ name: value })
}

#[tokio::test]
async fn a_bad_record_costs_none_of_its_neighbours() {
    let bad: [(&str, Value, &str); 13] = [
        ("headers", json!([header("a2a-last", b"true")]), "INVALID_REQUEST"),
        ("headers", json!([header("A2A-Event-Id", b"1-0")]), "INVALID_REQUEST"),
        ("headers", json!([header("a2a-error-reason", b"x")]), "INVALID_REQUEST"),
        ("headers", json!([header("a2a-version", b"2.0")]), "VERSION_NOT_SUPPORTED"),
        ("headers", json!([header("content-type", b"image/png")]), "CONTENT_TYPE_NOT_SUPPORTED"),
        ("headers", json!([header("a2a-reply-to", b"clients.requests")]), "PERMISSION_DENIED"),
        ("headers", json!([header("a2a-deadline", b"1767225600000")]), "DEADLINE_EXCEEDED"),
        ("headers", json!([header("a2a-deadline", b"late")]), "INVALID_PARAMS"),
        ("headers", json!([header("traceparent", &[b'a'; 8193])]), "INVALID_REQUEST"),
        ("key", STANDARD.encode([b'b'; 1025]).into(), "INVALID_REQUEST"),
        ("value", Value::Null, "INVALID_REQUEST"),
        ("value", STANDARD.encode(vec![b' '; 5 << 20]).into(), "TOO_LARGE"),
        ("value", STANDARD.encode(b"\xff").into(), "PARSE_ERROR"),
    ];
    let (agent, mut records) = (Counting::default(), Vec::new());
    for (index, (member, value, _)) in bad.iter().enumerate() {
        records.push(record(2 * index, &format!("a{index}"), &say("good")));
        let mut bad = record(2 * index + 1, &format!("b{index}"), &say("bad"));
        bad[*member] = value.clone();
        records.push(bad);
    }
    let mut keyless = record(records.len(), "b", &say("bad"));
    keyless["key"] = "".into();
    records.push(keyless);
    let function = Function::new(agent.clone());
    let batch = json!({ "topic-0": records });
    assert_eq!(function.handle(event(&batch)).await, BatchResponse::default());
    assert_eq!(agent.runs(), bad.len(), "the good ones");
    let answers = function.produced.values();
    assert_eq!(answers.len(), records.len());
    // Lanes go in parallel, and what does no work is answered first.
    let is_good = |it: &&Value| it["key"].as_str().is_some_and(|key| key.starts_with('a'));
    let (good, answers): (Vec<_>, Vec<_>) = answers.iter().partition(is_good);
    for ((good, (member, value, reason)), index) in good.into_iter().zip(&bad).zip(0..) {
        assert_eq!(good["key"], format!("a{index}"));
        // A key that is too long is cut.
        let key = if *member == "key" { "b".repeat(1024) } else { format!("b{index}") };
        let answer = answers.iter().find(|it| it["key"] == *key).unwrap();
        assert_eq!(good["value"]["status"]["state"], "TASK_STATE_COMPLETED");
        let told = &answer["value"]["error"]["data"][0]["reason"];
        assert_eq!(told, reason, "{member} {}", value.to_string().get(..40).unwrap_or_default());
        assert_eq!(answer["topic"], "agent.data.responses");
    }
    let letter = answers.iter().find(|it| it["topic"] == "agent.data.dead-letter").unwrap();
    assert_eq!(
        (&letter["topic"], &letter["value"]),
        (&json!("agent.data.dead-letter"), &say("bad"))
    );
    assert_eq!(letter["headers"]["a2a-error-reason"], "INVALID_REQUEST");
}

#[tokio::test]
async fn while_the_broker_is_unavailable_everything_is_redelivered_and_nothing_is_executed_twice() {
    let agent = Counting::default();
    let function = Function::new(agent.clone());
    let mut records = batch();
    // A record without a key, and what is no record, must not be lost either.
    let mut no_key = record(2, "a2", &say("a2"));
    no_key["key"] = Value::Null;
    records["topic-0"].as_array_mut().unwrap().push(no_key);
    records["topic-1"].as_array_mut().unwrap().push(json!({ "offset": 2, "key": 5 }));
    function.produced.fail(&["a0", "a1", "", "b0", "b1"]);
    let mut all = all_of_batch();
    all.batch_item_failures.insert(2, failed(&[("topic-0", 2)]).batch_item_failures.remove(0));
    all.batch_item_failures.append(&mut failed(&[("topic-1", 2)]).batch_item_failures);
    for _ in 0..2 {
        assert_eq!(function.handle(event(&records)).await, all);
    }
    let tried = function.produced.values();
    assert_eq!((tried.len(), agent.runs()), (12, 4));
    function.produced.fail(&[]);
    assert_eq!(function.handle(event(&records)).await, BatchResponse::default());
    assert_eq!(agent.runs(), 4, "what was executed is answered, not executed twice");
    let sorted = |mut answers: Vec<Value>| {
        answers.sort_by_key(Value::to_string);
        answers
    };
    let answered = function.produced.values().split_off(12);
    assert_eq!(sorted(answered), sorted(tried[..6].to_vec()), "the same answers");
}

/// A producer whose broker does not answer for keys that begin with `a`, as long as it is said so.
#[derive(Default)]
struct Silent {
    is_silent: AtomicBool,
    sent: AtomicUsize,
}

impl Producer for Silent {
    fn send(&self, record: Outgoing) -> Acknowledgement {
        self.sent.fetch_add(1, Ordering::SeqCst);
        let key = record.key.unwrap_or_default();
        match self.is_silent.load(Ordering::SeqCst) && key.starts_with(b"a") {
            true => Box::pin(std::future::pending()),
            false => Box::pin(async { Ok(()) }),
        }
    }
}

/// A function that needs so much time before its deadline to record an outcome.
fn function(agent: &Counting, margin: Duration) -> (KafkaFunction, Arc<Silent>) {
    let mut limits = Limits::default();
    limits.deadline_margin = margin;
    let (agent, store) = (Arc::new(agent.clone()), Arc::<MemoryStore>::default());
    let handler = DefaultRequestHandler::new(a2a_agent::card(), agent, store).with_limits(limits);
    let producer = Arc::<Silent>::default();
    let endpoint = KafkaEndpoint::new(handler, "data", "cluster");
    let records = RecordHandler::new(endpoint, Arc::clone(&producer) as _);
    (KafkaFunction::new(records), producer)
}

#[tokio::test]
async fn without_time_at_the_start_nothing_is_begun() {
    let agent = Counting::default();
    let (function, producer) = function(&agent, Duration::from_secs(60));
    for left in [0, 30] {
        let deadline = Instant::now() + Duration::from_secs(left);
        assert_eq!(function.handle(event(&batch()), Some(deadline)).await, all_of_batch());
    }
    assert_eq!((agent.runs(), producer.sent.load(Ordering::SeqCst)), (0, 0));
    let deadline = Instant::now() + Duration::from_secs(900);
    let response = function.handle(event(&batch()), Some(deadline)).await;
    assert_eq!((response, agent.runs()), (BatchResponse::default(), 4));
}

#[tokio::test]
async fn an_acknowledgement_that_never_comes_is_not_waited_for() {
    let agent = Counting::default();
    let (function, producer) = function(&agent, Duration::ZERO);
    producer.is_silent.store(true, Ordering::SeqCst);
    // It tells Lambda half a second before; a real one is minutes off.
    let deadline = Instant::now() + Duration::from_millis(700);
    let handled = function.handle(event(&batch()), Some(deadline));
    let response = tokio::time::timeout(Duration::from_secs(60), handled).await;
    let response = response.expect("Lambda would learn of nothing");
    assert_eq!(response, failed(&[("topic-0", 0), ("topic-0", 1)]), "the other partition is done");
    producer.is_silent.store(false, Ordering::SeqCst);
    let redelivered = json!({ "topic-0": batch()["topic-0"] });
    assert_eq!(function.handle(event(&redelivered), None).await, BatchResponse::default());
    assert_eq!((agent.runs(), producer.sent.load(Ordering::SeqCst)), (4, 6));
}

/// Says that it is at work, for so long.
struct Slow(Duration);

#[async_trait]
impl AgentExecutor for Slow {
    async fn execute(&self, _: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        queue.working(()).await?;
        tokio::time::sleep(self.0).await;
        Ok(queue.complete(()).await?)
    }
}

#[tokio::test]
async fn a_record_that_would_be_cut_off_is_left_for_the_next_invocation() {
    let function = Function::new(Slow(Duration::from_millis(600)));
    let talk = |key: &str| json!({ "message": { "text": key, "contextId": "talk" } });
    let records = json!({ "topic-0": partition(&["a0", "a1", "a2"], talk) });
    // What is begun has nearly the whole invocation before it.
    let response = function.handle_within(event(&records), Duration::from_secs(3)).await;
    assert_eq!(response, failed(&[("topic-0", 1), ("topic-0", 2)]));
    let [answer] = &*function.produced.values() else { panic!("one is answered") };
    assert!(answer.to_string().contains("COMPLETED"), "{answer}");
}

fn rpc(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

#[tokio::test]
async fn a_stream_of_somebody_elses_work_ends_with_the_invocation() {
    let function = Arc::new(Function::new(Slow(Duration::from_secs(3600))));
    let message = json!({ "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": "go" }] });
    let mut begin = json!({ "message": message });
    begin["configuration"] = json!({ "returnImmediately": true });
    let begin = json!({ "topic-0": [record(0, "a", &rpc("SendMessage", begin))] });
    let elsewhere = Arc::clone(&function);
    let elsewhere = tokio::spawn(async move { elsewhere.handle(event(&begin)).await });
    let task = loop {
        if let [answer] = &*function.produced.values() {
            break answer["value"]["result"]["task"]["id"].clone();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let watch = rpc("SubscribeToTask", json!({ "id": task }));
    let watch = json!({ "topic-1": [record(0, "b", &watch)] });
    let handled = function.handle_within(event(&watch), Duration::from_millis(2_600));
    let response = tokio::time::timeout(Duration::from_secs(60), handled).await;
    assert_eq!(response.expect("Lambda would kill it"), failed(&[("topic-1", 0)]));
    elsewhere.abort();
}
