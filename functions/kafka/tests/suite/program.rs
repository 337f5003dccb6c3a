//! The real program under a Runtime API that stops it (SIGSTOP) with the last byte of each answer.
//!
//! Owns: its start, one event delivered to it, and a question with its answer. Must never know: what a
//! test does to it.

use std::time::Duration;

use a2a_emulator::{Deadline, Function};
use a2a_kafka::BatchResponse;
use serde_json::{Value, json};

use crate::topic::Agent;

/// Long enough for anything.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Starts it for these brokers, which it logs in to as these variables say.
pub(crate) async fn start(agent: &Agent, brokers: &str, login: &[(&str, &str)]) -> Function {
    let mut variables =
        vec![("A2A_NAME", &*agent.name), ("A2A_STORE", "memory:"), ("A2A_KAFKA", brokers)];
    variables.extend_from_slice(login);
    let started = Function::start(env!("CARGO_BIN_EXE_a2a-kafka"), &variables).await;
    started.unwrap_or_else(|failure| panic!("{failure}"))
}

pub(crate) async fn hand(
    function: &Function,
    event: Vec<u8>,
    deadline: impl Into<Deadline>,
) -> BatchResponse {
    let answer = function.invoke(event, deadline).await;
    let answer = answer.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(function.is_frozen());
    serde_json::from_slice(&answer.bytes()).unwrap()
}

/// Hands the same event over until all of it is done, as Lambda does.
pub(crate) async fn hand_until_done(function: &Function, event: Vec<u8>) {
    for _ in 0..5 {
        if hand(function, event.clone(), LONG).await == BatchResponse::default() {
            return;
        }
    }
    panic!("it is redelivered for ever: {:?}", function.log());
}

pub(crate) fn question() -> Value {
    json!({ "message": { "text": "Terran win rate" } })
}

/// Whether this task answers the [`question`].
pub(crate) fn is_terran(task: &Value) -> bool {
    task["status"]["state"] == "TASK_STATE_COMPLETED"
        && task["artifacts"][1]["parts"][0]["text"] == "Terran win rate 58% (58 of 100)"
}
