//! An agent that is longer than an invocation: the end of one is no failure, and what it has done is
//! not done again, whichever environment goes on with it. With the real program, a real broker, and a
//! store that its environments share.

use std::time::Duration;

use a2a_emulator::{Function, example};
use a2a_kafka::BatchResponse;
use serde_json::json;

use crate::{
    program::hand,
    support::failed,
    topic::{Agent, broker_says, brokers},
};

/// How long an invocation may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Six steps of two seconds.
const SIX: &str = "6 of 2000";

/// An environment of the function: each a process of its own, on one store.
async fn environment(agent: &Agent, store: &str, done: &str) -> Function {
    let variables = [
        ("A2A_NAME", &*agent.name),
        ("A2A_STORE", store),
        ("A2A_KAFKA", &brokers()),
        ("STEPS_DONE", done),
        ("RUST_LOG", "warn"),
    ];
    let started = Function::start(example("steps"), &variables).await;
    started.unwrap_or_else(|failure| panic!("{failure}"))
}

/// Hands the event to one environment after another, until it is done. Answers how many it took.
async fn hand_in_turn(environments: &[Function], agent: &Agent, event: &[u8]) -> usize {
    for (number, function) in environments.iter().cycle().take(12).enumerate() {
        let response = hand(function, event.to_vec(), LIMIT).await;
        if response == BatchResponse::default() {
            return number + 1;
        }
        assert_eq!(response, failed(&[(&agent.partition(), 0)]));
    }
    panic!("it never ends: {:?}", environments[0].log());
}

#[tokio::test]
async fn an_agent_longer_than_an_invocation_ends_and_no_step_is_done_twice() {
    let store = broker_says("A2A_TEST_DYNAMODB");
    let table = format!("steps-{}", uuid::Uuid::new_v4().simple());
    let store = format!("dynamodb://{table}?region=eu-central-1&endpoint={store}");
    a2a_core::store::prepare(&store).await.unwrap();
    let done = std::env::temp_dir().join(&table);
    let agent = Agent::new().await;
    let file = done.to_str().unwrap();
    let environments =
        [environment(&agent, &store, file).await, environment(&agent, &store, file).await];
    let event = agent.event(0, &[("corr-1", json!({ "message": { "text": SIX } }))]);
    let invocations = hand_in_turn(&environments, &agent, &event).await;
    // One step fits beside an invocation's margins, at most two.
    assert!((3..=7).contains(&invocations), "{invocations}");
    let answer = agent.answer().await;
    assert_eq!((&*answer.key, agent.answers()), ("corr-1", 1));
    let status = &answer.value["status"];
    assert_eq!(status["state"], "TASK_STATE_COMPLETED", "{status}");
    assert_eq!(status["message"]["parts"][0]["text"], "1 2 3 4 5 6");
    let lines = std::fs::read_to_string(&done).unwrap();
    std::fs::remove_file(&done).unwrap();
    let expected: Vec<_> = (1..=6).map(|step| format!("{SIX}: {step}")).collect();
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    let log = environments[0].log().join("\n");
    let told = "The function's timeout (5 s) is shorter than the agent's run time (600 s)";
    assert_eq!(log.matches(told).count(), 1, "said once, at the first invocation: {log}");
}
