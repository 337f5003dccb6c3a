//! The function on whole events: exactly what it produces and what it tells Lambda.
//!
//! The golden files of `events/` are compared as they are: the clock stands still and ids are
//! counted. The other tests prove the batch's promises: order within a partition, partitions in
//! parallel, and after a failure the first record that is not done and every later one of its
//! partition, and no other, are redelivered.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use a2a_core::{AgentError, AgentExecutor, EventQueue, RequestContext, async_trait};
use a2a_kafka::{BatchResponse, KafkaEvent};
use serde_json::{Value, json};

use crate::support::{Function, data, failed, partition, record, unavailable::Outage};

fn event(records: Value) -> KafkaEvent {
    serde_json::from_value(json!({ "eventSource": "aws:kafka", "records": records })).unwrap()
}

/// What a good record's message is answered with by [`Echo`].
fn echoed(text: &str) -> Value {
    json!({ "message": { "text": text } })
}

/// Completes with the message's text; `wait 20 …` after so many milliseconds.
struct Echo;

#[async_trait]
impl AgentExecutor for Echo {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let text = context.text();
        if let Some(millis) = text.split(' ').nth(1).filter(|_| text.starts_with("wait ")) {
            tokio::time::sleep(Duration::from_millis(millis.parse().unwrap())).await;
        }
        Ok(queue.complete(text).await?)
    }
}

/// One function is given these events, one after the other.
async fn golden(names: &[&str]) {
    let function = Function::at_noon(data());
    let mut before = 0;
    for name in names {
        before += exactly(&function, name, before).await;
    }
}

/// Answers how many records the event has brought.
async fn exactly(function: &Function, name: &str, before: usize) -> usize {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../events"));
    let event = std::fs::read(folder.join(format!("{name}.json"))).unwrap();
    let response = function.handle(serde_json::from_slice(&event).unwrap()).await;
    let mut records = function.produced.values().split_off(before);
    // Lanes go in parallel; under one key the order is certain.
    records
        .sort_by_key(|record| (record["key"].to_string(), record["value"]["offset"].to_string()));
    let actual = json!({ "records": records, "response": response });
    let file = folder.join(format!("{name}.expected.json"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, format!("{actual:#}\n")).unwrap();
    }
    let expected: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(actual, expected, "{name}: {actual:#}");
    actual["records"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn an_msk_event_is_answered_exactly_so() {
    golden(&["kafka-msk", "kafka-msk-get"]).await;
}

#[tokio::test]
async fn a_self_managed_event_is_answered_exactly_so() {
    golden(&["kafka-self-managed"]).await;
}

#[test]
fn the_response_is_written_as_lambda_reads_it() {
    assert_eq!(
        serde_json::to_string(&BatchResponse::default()).unwrap(),
        r#"{"batchItemFailures":[]}"#
    );
    assert_eq!(
        serde_json::to_string(&failed(&[("topic-0", 7), ("topic-0", 8)])).unwrap(),
        concat!(
            r#"{"batchItemFailures":["#,
            r#"{"itemIdentifier":{"partition":"topic-0","offset":7}},"#,
            r#"{"itemIdentifier":{"partition":"topic-0","offset":8}}]}"#
        )
    );
}

#[tokio::test]
async fn an_event_without_records_is_done() {
    for event in [r#"{"eventSource":"aws:kafka","records":{}}"#, r#"{"records":{"t-0":[]}}"#] {
        let function = Function::new(Echo);
        let response = function.handle(serde_json::from_str(event).unwrap()).await;
        assert_eq!(response, BatchResponse::default(), "{event}");
        assert!(function.produced.values().is_empty(), "{event}");
    }
    // Another source's event, or a wrong test event: an error, and not a success without work.
    serde_json::from_str::<KafkaEvent>("{}").unwrap_err();
}

#[tokio::test]
async fn a_conversation_is_answered_in_the_order_of_its_records() {
    let function = Function::new(Echo);
    // The later, the quicker.
    let texts = ["wait 30 a", "wait 10 b", "wait 1 c", "d"];
    let records = texts.iter().enumerate().map(|(at, text)| {
        let said = json!({ "message": { "text": text, "contextId": "talk" } });
        record(at, text, &said)
    });
    let response = function.handle(event(json!({ "topic-0": Vec::from_iter(records) }))).await;
    assert_eq!(response, BatchResponse::default());
    assert_eq!(function.produced.keys(), texts);
}

/// Completes once that many are at work at the same time.
struct Together(tokio::sync::Barrier);

#[async_trait]
impl AgentExecutor for Together {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        self.0.wait().await;
        Ok(queue.complete(context.text()).await?)
    }
}

#[tokio::test]
async fn partitions_go_in_parallel() {
    let function = Function::new(Together(tokio::sync::Barrier::new(3)));
    let one = |key| json!([record(0, key, &echoed(key))]);
    let records = json!({ "topic-0": one("a"), "topic-1": one("b"), "topic-2": one("c") });
    let handled = function.handle(event(records));
    let response = tokio::time::timeout(Duration::from_secs(10), handled).await;
    let response = response.expect("each waits for the record of another partition");
    assert_eq!(response, BatchResponse::default());
    assert_eq!(function.produced.values().len(), 3);
}

/// Four records each in two partitions; those keys' answers are not acknowledged.
async fn with_unacknowledged(keys: &[&str]) -> BatchResponse {
    let function = Function::new(Echo);
    function.produced.fail(keys);
    let records = json!({
        "topic-0": partition(&["a0", "a1", "a2", "a3"], echoed),
        "topic-1": partition(&["b0", "b1", "b2", "b3"], echoed),
    });
    function.handle(event(records)).await
}

#[tokio::test]
async fn what_is_not_acknowledged_is_redelivered_with_all_behind_it() {
    for (keys, expected) in [
        (&["a3"][..], failed(&[("topic-0", 3)])),
        (&["a1"], failed(&[("topic-0", 1), ("topic-0", 2), ("topic-0", 3)])),
        (&["a2", "a1"], failed(&[("topic-0", 1), ("topic-0", 2), ("topic-0", 3)])),
        (&["a3", "b2"], failed(&[("topic-0", 3), ("topic-1", 2), ("topic-1", 3)])),
    ] {
        assert_eq!(with_unacknowledged(keys).await, expected, "{keys:?}");
    }
}

async fn redelivered(function: Function) {
    let records = json!({ "topic-0": partition(&["a", "b", "c"], echoed) });
    function.produced.fail(&["b"]);
    let response = function.handle(event(records.clone())).await;
    assert_eq!(response, failed(&[("topic-0", 1), ("topic-0", 2)]));
    function.produced.fail(&[]);
    let rest = json!({ "topic-0": records["topic-0"].as_array().unwrap()[1..] });
    assert_eq!(function.handle(event(rest)).await, BatchResponse::default());
    let [_, b, c, b_again, c_again] = &function.produced.values()[..] else { panic!("5 answers") };
    assert_eq!((b, c), (b_again, c_again));
}

#[tokio::test]
async fn a_redelivered_record_is_answered_the_same() {
    redelivered(Function::new(Echo)).await;
}

#[tokio::test]
async fn a_record_redelivered_within_its_millisecond_is_answered_the_same() {
    redelivered(Function::at_noon(Echo)).await;
}

#[tokio::test]
async fn a_stream_half_acknowledged_is_redelivered_whole() {
    let function = Function::new(data());
    let ask = |text: &str| {
        let parts = json!([{ "text": text }]);
        json!({ "jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params":
            { "message": { "messageId": "m", "role": "ROLE_USER", "parts": parts } } })
    };
    let records = json!({ "topic-0": [
        record(0, "before", &ask("Zerg win rate")), record(1, "stream", &ask("Terran win rate")),
    ] });
    function.produced.fail_nth(8);
    let response = function.handle(event(records.clone())).await;
    assert_eq!(response, failed(&[("topic-0", 1)]));
    let first = function.produced.values();
    assert_eq!(function.handle(event(records)).await, BatchResponse::default());
    let again = function.produced.values().split_off(first.len());
    assert_eq!(again.len(), 10);
    assert_eq!(again[..first.len()], first[..], "from its first event on, the same");
}

/// Says five things, one after another.
struct Talkative;

#[async_trait]
impl AgentExecutor for Talkative {
    async fn execute(&self, _: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        for number in 0..4 {
            queue.working(number.to_string()).await?;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        Ok(queue.complete("4").await?)
    }
}

#[tokio::test]
async fn nothing_of_a_stream_follows_an_event_that_was_lost() {
    let function = Function::new(Talkative);
    let stream = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params":
        { "message": { "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": "talk" }] } } });
    let records = json!({ "topic-0": [record(0, "stream", &stream)] });
    const LOST: usize = 2;
    function.produced.fail_nth(LOST);
    let response = function.handle(event(records.clone())).await;
    assert_eq!(response, failed(&[("topic-0", 0)]));
    let first = function.produced.values();
    assert_eq!(first.len(), LOST + 1, "a reader would take the next for all there was");
    assert_eq!(function.handle(event(records)).await, BatchResponse::default());
    let again = function.produced.values().split_off(first.len());
    assert_eq!(again[..first.len()], first[..]);
    assert_eq!(again.last().unwrap()["headers"]["a2a-last"], "true");
}

#[tokio::test]
async fn while_the_store_is_unavailable_records_are_redelivered() {
    // The first task can be recorded, the second not.
    let function = Function::with_store(Echo, Arc::new(Outage::after(2)));
    let records = json!({
        "topic-0": partition(&["a", "b", "c"], echoed),
        // Poison needs no store.
        "topic-1": [record(0, "poison", &json!([])), record(1, "tombstone", &Value::Null)],
    });
    let response = function.handle(event(records)).await;
    assert_eq!(response, failed(&[("topic-0", 1), ("topic-0", 2)]));
    let mut answers = function.produced.values();
    answers.sort_by_key(|it| it["key"].to_string());
    let told = |it: &Value| (it["key"].clone(), it["value"]["error"]["code"].clone());
    let expected = [("a", Value::Null), ("poison", json!(-32600)), ("tombstone", json!(-32600))];
    let expected = expected.map(|(key, code)| (json!(key), code));
    assert_eq!(Vec::from_iter(answers.iter().map(told)), expected);
}

#[tokio::test]
async fn an_undecodable_record_costs_itself_only() {
    for unreadable in [
        json!(5),
        json!(null),
        json!({ "topic": "topic", "partition": 0, "offset": "one" }),
        json!({ "partition": 0, "offset": 1, "key": 5 }),
        json!({ "partition": 0, "offset": 1, "headers": "none" }),
    ] {
        let function = Function::new(Echo);
        let records = json!({ "topic-0":
            [record(0, "a", &echoed("a")), unreadable, record(2, "c", &echoed("c"))] });
        let response = function.handle(event(records)).await;
        assert_eq!(response, BatchResponse::default(), "{unreadable}");
        let [letter, a, c] = &function.produced.values()[..] else { panic!("{unreadable}") };
        assert_eq!((&a["key"], &c["key"]), (&json!("a"), &json!("c")));
        // As it came, for a person to look at, with the reason.
        assert_eq!(
            (&letter["topic"], &letter["key"]),
            (&json!("agent.data.dead-letter"), &Value::Null)
        );
        assert_eq!(letter["value"], unreadable);
        assert!(letter["headers"]["a2a-error"].is_string(), "{letter}");
    }
}

#[tokio::test]
async fn an_undecodable_record_without_a_dead_letter_is_redelivered() {
    let function = Function::new(Echo);
    function.produced.fail_nth(0);
    let unreadable = json!({ "partition": 0, "offset": 1, "key": 5 });
    let records = json!({ "topic-0": [record(0, "a", &echoed("a")), unreadable] });
    let response = function.handle(event(records)).await;
    assert_eq!(
        response,
        failed(&[("topic-0", 1)]),
        "its offset can be read, so it must not be lost"
    );
}

#[tokio::test]
async fn an_answer_the_topic_never_takes_is_replaced_by_a_sentence() {
    let function = Function::new(Echo);
    function.produced.limit(2_000);
    let large = "x".repeat(2_000);
    let records = json!({ "topic-0":
        [record(0, "a", &echoed("a")), record(1, "b", &echoed(&large)), record(2, "c", &echoed("c"))] });
    let response = function.handle(event(records)).await;
    assert_eq!(response, BatchResponse::default(), "it must not be redelivered for ever");
    let b = function.produced.values().into_iter().find(|record| record["key"] == "b").unwrap();
    let message = b["value"].to_string();
    assert!(message.contains("The answer is larger than the topic takes."), "{message}");
    assert_eq!(function.produced.keys().len(), 3);
}

/// Remembers what it was asked, and panics at `boom`.
#[derive(Clone, Default)]
struct Fragile(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl AgentExecutor for Fragile {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let text = context.text();
        self.0.lock().unwrap().push(text.clone());
        assert_ne!(text, "boom");
        Ok(queue.complete(text).await?)
    }
}

#[tokio::test]
async fn an_agent_that_panics_fails_its_task_and_nothing_else() {
    let agent = Fragile::default();
    let function = Function::new(agent.clone());
    let records = json!({ "topic-0": partition(&["a", "boom", "c"], echoed) });
    assert_eq!(function.handle(event(records.clone())).await, BatchResponse::default());
    let states =
        function.produced.values().into_iter().map(|it| it["value"]["status"]["state"].clone());
    let expected = ["TASK_STATE_COMPLETED", "TASK_STATE_FAILED", "TASK_STATE_COMPLETED"];
    assert_eq!(Vec::from_iter(states), expected);
    // What has ended, also failed, is not executed again when Lambda redelivers the batch.
    assert_eq!(function.handle(event(records)).await, BatchResponse::default());
    assert_eq!(*agent.0.lock().unwrap(), ["a", "boom", "c"]);
    assert_eq!(function.produced.keys(), ["a", "boom", "c", "a", "boom", "c"]);
}
