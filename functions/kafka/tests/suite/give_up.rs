//! What is given up: records that are redelivered during an outage, and topics that
//! take no answers. The waiter is told, the record is a dead letter for a person to look at, and the
//! record behind it has its turn.

use std::{sync::Arc, time::Duration};

use a2a_core::{AgentError, AgentExecutor, EventQueue, RequestContext, async_trait};
use a2a_kafka::{BatchResponse, GiveUp, KafkaEvent};
use serde_json::{Value, json};

use crate::support::{Function, failed, partition, record, unavailable::Outage};

/// Completes with what it was told.
struct Echo;

#[async_trait]
impl AgentExecutor for Echo {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        queue.working(()).await?;
        Ok(queue.complete(context.text()).await?)
    }
}

fn say(text: &str) -> Value {
    json!({ "message": { "text": text } })
}

fn event(records: &Value) -> KafkaEvent {
    serde_json::from_value(json!({ "records": records })).unwrap()
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn after_so_many_attempts_a_record_is_given_up() {
    let store = Arc::new(Outage::after(0));
    let give_up = GiveUp { attempts: Some(3), age: None };
    let function = Function::giving_up(Echo, Arc::clone(&store) as _, give_up);
    let records = json!({ "topic-0": partition(&["a", "b"], say) });
    for _ in 0..2 {
        let response = function.handle(event(&records)).await;
        assert_eq!(response, failed(&[("topic-0", 0), ("topic-0", 1)]));
    }
    assert!(function.produced.values().is_empty());
    let late = json!({ "topic-0": partition(&["a", "b", "c"], say) });
    assert_eq!(function.handle(event(&late)).await, failed(&[("topic-0", 2)]), "its first attempt");
    let all = function.produced.values();
    let of = |key: &str| Vec::from_iter(all.iter().filter(|it| it["key"] == key));
    let (a, b) = (of("a"), of("b"));
    let ([letter, answer], [_, _]) = (&*a, &*b) else { panic!("two of each record: {all:?}") };
    assert_eq!(letter["topic"], "agent.data.dead-letter");
    assert_eq!(letter["value"], say("a"));
    let headers = &letter["headers"];
    let told = |name: &str| headers[format!("a2a-error{name}")].clone();
    assert_eq!((told("-reason"), told("-attempts")), (json!("UNAVAILABLE"), json!("3")));
    assert_eq!((told("-topic"), told("-offset")), (json!("a"), json!("0")));
    assert!(told("").as_str().is_some_and(|sentence| sentence.ends_with('.')), "{letter}");
    assert_eq!(answer["topic"], "agent.data.responses");
    assert_eq!(answer["value"]["error"]["data"][0]["reason"], "UNAVAILABLE");
    store.recover();
    let rest = json!({ "topic-0": [late["topic-0"][2]] });
    assert_eq!(function.handle(event(&rest)).await, BatchResponse::default());
    assert_eq!(function.produced.values()[4]["value"]["status"]["state"], "TASK_STATE_COMPLETED");
}

#[tokio::test]
async fn age_counts_from_the_first_attempt_and_never_gives_up_at_the_first() {
    let give_up = GiveUp { attempts: None, age: Some(Duration::ZERO) };
    let records = json!({ "topic-0": partition(&["a"], say) });
    // The record is thirty days old: a backlog is not given up.
    let function = Function::giving_up(Echo, Arc::new(Outage::after(0)), give_up);
    assert_eq!(function.handle(event(&records)).await, failed(&[("topic-0", 0)]));
    assert!(function.produced.values().is_empty());
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(function.handle(event(&records)).await, BatchResponse::default());
    assert_eq!(function.produced.keys(), ["a", "a"]);

    let patient = GiveUp { attempts: None, age: Some(DAY) };
    let function = Function::giving_up(Echo, Arc::new(Outage::after(0)), patient);
    for _ in 0..3 {
        assert_eq!(function.handle(event(&records)).await, failed(&[("topic-0", 0)]));
    }
}

#[tokio::test]
async fn without_a_dead_letter_nothing_is_given_up() {
    let give_up = GiveUp { attempts: Some(1), age: None };
    let function = Function::giving_up(Echo, Arc::new(Outage::after(0)), give_up);
    function.produced.fail(&["a"]);
    let records = json!({ "topic-0": partition(&["a"], say) });
    let response = function.handle(event(&records)).await;
    assert_eq!(response, failed(&[("topic-0", 0)]), "the broker has neither letter nor answer");
}

/// A streaming request that wants its answers there.
fn stream(offset: usize, key: &str, topic: &str) -> Value {
    let message = json!({ "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": key }] });
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage",
        "params": { "message": message } });
    let mut record = record(offset, key, &request);
    record["headers"] = json!([{ "a2a-reply-to": topic.as_bytes() }]);
    record
}

#[tokio::test]
async fn a_topic_that_a_client_named_and_that_takes_nothing_holds_up_no_record() {
    let function = Function::new(Echo);
    function.produced.close(&["clients.gone"]);
    let records = json!({ "topic-0":
        [stream(0, "a", "clients.gone"), stream(1, "b", "clients.there")] });
    let response = function.handle(event(&records)).await;
    assert_eq!(response, BatchResponse::default());
    let answers = function.produced.values();
    let (there, own): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer["topic"] == "clients.there");
    assert_eq!(there.len(), 3);
    let [told] = &*own else { panic!("once for all events: {own:?}") };
    assert_eq!((&told["topic"], &told["key"]), (&json!("agent.data.responses"), &json!("a")));
    assert_eq!(told["value"]["error"]["data"][0]["reason"], "PERMISSION_DENIED");
    assert_eq!(told["headers"]["a2a-last"], "true");
}

#[tokio::test]
async fn while_the_agents_own_topic_takes_nothing_records_are_redelivered() {
    let function = Function::new(Echo);
    function.produced.close(&["agent.data.responses"]);
    let records = json!({ "topic-0": partition(&["a"], say) });
    assert_eq!(function.handle(event(&records)).await, failed(&[("topic-0", 0)]));
    function.produced.close(&[]);
    assert_eq!(function.handle(event(&records)).await, BatchResponse::default());
}
