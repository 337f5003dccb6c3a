//! The real program under a Runtime API that stops it (SIGSTOP) with the last byte of each answer,
//! on a real broker, behind a proxy that loses connections.
//!
//! What is read from the topic while the program stands still was acknowledged before it answered.

use std::time::Duration;

use a2a_emulator::{Deadline, Function};
use a2a_kafka::BatchResponse;
use serde_json::json;

use crate::{
    program::{LONG, hand, hand_until_done, is_terran, question, start},
    support::{failed, proxy::Proxy},
    topic::{Agent, brokers},
};

/// In the clear, so that the proxy can tell what passes it.
const LOGIN: &[(&str, &str)] = &[("A2A_KAFKA_AUTH", "none")];

#[tokio::test]
async fn every_answer_is_there_while_the_program_stands_still() {
    let agent = Agent::new().await;
    let function = start(&agent, &brokers(), LOGIN).await;
    let turn = |text: &str| json!({ "message": { "text": text }, "context_id": "chat" });
    let stream = json!({ "jsonrpc": "2.0", "id": 7, "method": "SendStreamingMessage", "params": {
        "message": { "messageId": "1", "role": "ROLE_USER", "parts": [{ "text": "Zerg win rate" }] },
    } });
    let requests = [("corr-1", turn("win rate")), ("corr-2", turn("Terran")), ("corr-3", stream)];
    let event = agent.event(0, &requests);
    assert_eq!(hand(&function, event, LONG).await, BatchResponse::default());
    // The conversation in its order; the stream is another lane.
    let (mut turns, mut streamed) = (Vec::new(), false);
    while turns.len() < 2 || !streamed {
        let answer = agent.answer().await;
        match &*answer.key {
            "corr-3" => streamed |= answer.is_last,
            _ => turns.push(answer),
        }
    }
    let asked = &turns[0].value["status"]["state"];
    assert_eq!((&*turns[0].key, asked), ("corr-1", &json!("TASK_STATE_INPUT_REQUIRED")));
    assert!(turns[1].key == "corr-2" && is_terran(&turns[1].value), "{turns:?}");
    assert!(function.is_frozen(), "all of it was read while it stood still");
}

#[tokio::test]
async fn no_batch_fails_because_of_the_pauses_before() {
    let agent = Agent::new().await;
    let function = start(&agent, &brokers(), LOGIN).await;
    for round in 0..30 {
        let key = format!("corr-{round}");
        let event = agent.event(round, &[(&key, question())]);
        // `cargo lambda watch` has no real deadline: that must not count as one that has passed.
        let deadline = if round % 2 == 0 { LONG.into() } else { Deadline::CargoLambda };
        assert_eq!(hand(&function, event, deadline).await, BatchResponse::default());
        let answer = agent.answer().await;
        assert!(answer.key == key && is_terran(&answer.value), "{answer:?}");
    }
}

/// A broker ends a connection that was idle for ten minutes; the network between forgets one
/// sooner, and says nothing until it is used. The program learns of neither while it is frozen.
#[tokio::test]
async fn connections_that_died_meanwhile_fail_no_batch() {
    let losses: [fn(&Proxy); 2] = [Proxy::cut, Proxy::forget];
    for lose in losses {
        let (agent, proxy, function) = warm().await;
        lose(&proxy);
        let event = agent.event(1, &[("next", question())]);
        assert_eq!(hand(&function, event, LONG).await, BatchResponse::default());
        let answer = agent.answer().await;
        assert!(answer.key == "next" && is_terran(&answer.value), "{answer:?}");
        assert_eq!(agent.answers(), 2);
    }
}

/// Worse: what is sent over the old connections vanishes, without an error.
#[tokio::test]
async fn connections_that_swallow_everything_lose_nothing() {
    let (agent, proxy, function) = warm().await;
    proxy.swallow();
    let event = agent.event(1, &[("next", question())]);
    hand_until_done(&function, event).await;
    let answer = agent.answer().await;
    assert!(answer.key == "next" && is_terran(&answer.value), "{answer:?}");
}

/// A frozen program that has answered once, through the proxy.
async fn warm() -> (Agent, Proxy, Function) {
    let agent = Agent::new().await;
    let proxy = Proxy::start(&brokers()).await.unwrap();
    let function = start(&agent, proxy.address(), LOGIN).await;
    let event = agent.event(0, &[("warm", question())]);
    assert_eq!(hand(&function, event, LONG).await, BatchResponse::default());
    assert_eq!(agent.answer().await.key, "warm");
    assert!(proxy.is_used(), "its way to the broker leads through the proxy");
    (agent, proxy, function)
}

/// The broker is unavailable while the batch is answered. The function says in time which records are to
/// be redelivered, and they are answered then.
#[tokio::test]
async fn a_batch_that_met_no_broker_is_redelivered_and_answered() {
    let (agent, proxy, function) = warm().await;
    proxy.leave();
    let event = agent.event(1, &[("a", question()), ("b", question())]);
    let response = hand(&function, event.clone(), Duration::from_secs(4)).await;
    let partition = agent.partition();
    assert_eq!(response, failed(&[(&partition, 1), (&partition, 2)]));
    assert_eq!(agent.answers(), 1);

    proxy.come_back();
    hand_until_done(&function, event).await;
    // The first delivery's answers may come too, late: a record's task is the same at each.
    let mut tasks = std::collections::BTreeMap::new();
    while tasks.len() < 2 {
        let answer = agent.answer().await;
        assert!(is_terran(&answer.value), "{answer:?}");
        tasks.insert(answer.key, answer.value["id"].clone());
    }
    assert_eq!(tasks.keys().collect::<Vec<_>>(), ["a", "b"]);
    assert!(function.is_frozen());
}

/// The same before there was ever a connection: a first batch, and no broker.
#[tokio::test]
async fn a_program_that_began_without_a_broker_answers_once_there_is_one() {
    let agent = Agent::new().await;
    let proxy = Proxy::start(&brokers()).await.unwrap();
    proxy.leave();
    let function = start(&agent, proxy.address(), LOGIN).await;
    let event = agent.event(0, &[("a", question())]);
    let response = hand(&function, event.clone(), Duration::from_secs(4)).await;
    assert_eq!(response, failed(&[(&agent.partition(), 0)]));
    proxy.come_back();
    hand_until_done(&function, event).await;
    assert!(is_terran(&agent.answer().await.value));
}
