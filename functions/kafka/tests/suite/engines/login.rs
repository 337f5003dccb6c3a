//! The real program logs in to a real broker, over TLS: as who it is told to be, to whom it is told
//! to trust, and to no other broker.
//!
//! The broker is the one of the other tests, at two more addresses that `cargo xtask test` names.

use std::time::Duration;

use a2a_emulator::Function;
use a2a_kafka::BatchResponse;

use crate::{
    program::{LONG, hand, hand_until_done, is_terran, question, start},
    support::failed,
    topic::{Agent, broker_says},
};

/// Time for many a refusal, and little to wait for the answer that says so.
const SHORT: Duration = Duration::from_secs(4);

const TLS: (&str, &str) = ("A2A_KAFKA_AUTH", "tls");
const SCRAM: (&str, &str) = ("A2A_KAFKA_AUTH", "scram");
const WRONG: &str = "not-the-pa55word";

fn tls() -> String {
    broker_says("A2A_TEST_KAFKA_TLS")
}

fn scram() -> String {
    broker_says("A2A_TEST_KAFKA_SCRAM")
}

/// The file of the authority that vouches for the broker.
fn authority() -> String {
    broker_says("A2A_TEST_KAFKA_CA")
}

fn username() -> String {
    broker_says("A2A_TEST_KAFKA_USERNAME")
}

fn password() -> String {
    broker_says("A2A_TEST_KAFKA_PASSWORD")
}

/// Two invocations, with a freeze between them, are answered.
async fn is_answered(brokers: &str, login: &[(&str, &str)]) {
    let agent = Agent::new().await;
    let function = start(&agent, brokers, login).await;
    for (offset, key) in [(0, "first"), (1, "second")] {
        let event = agent.event(offset, &[(key, question())]);
        let response = hand(&function, event, LONG).await;
        assert_eq!(response, BatchResponse::default(), "{:#?}", function.log());
        let answer = agent.answer().await;
        assert!(answer.key == key && is_terran(&answer.value), "{answer:?}");
    }
    assert_eq!(agent.answers(), 2);
    assert_silent(&function);
}

/// The batch is to be redelivered and no answer has gone out; handed to a program with the right login
/// it is answered. What the first program logged is told.
async fn is_refused(brokers: &str, wrong: &[(&str, &str)], right: &[(&str, &str)]) -> String {
    let agent = Agent::new().await;
    let function = start(&agent, brokers, wrong).await;
    let event = agent.event(0, &[("a", question()), ("b", question())]);
    let response = hand(&function, event.clone(), SHORT).await;
    let partition = agent.partition();
    assert_eq!(response, failed(&[(&partition, 0), (&partition, 1)]));
    assert_eq!(agent.answers(), 0);
    assert_silent(&function);

    let repaired = start(&agent, brokers, right).await;
    hand_until_done(&repaired, event).await;
    let mut answered = Vec::new();
    for _ in 0..2 {
        let answer = agent.answer().await;
        assert!(is_terran(&answer.value), "{answer:?}");
        answered.push(answer.key);
    }
    // Two conversations: in whatever order.
    answered.sort();
    assert_eq!(answered, ["a", "b"]);
    function.log().join("\n")
}

/// No log holds a password, the right one or the wrong one.
fn assert_silent(function: &Function) {
    for line in function.log() {
        for secret in [&*password(), WRONG] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

#[tokio::test]
async fn over_tls_with_the_authority_in_a_file_it_is_answered() {
    is_answered(&tls(), &[TLS, ("A2A_KAFKA_CA", &authority())]).await;
}

#[tokio::test]
async fn logged_in_by_scram_with_the_authority_as_text_it_is_answered() {
    let pem = std::fs::read_to_string(authority()).unwrap();
    let (username, password) = (username(), password());
    let who = [("A2A_KAFKA_USERNAME", &*username), ("A2A_KAFKA_PASSWORD", &password)];
    is_answered(&scram(), &[SCRAM, who[0], who[1], ("A2A_KAFKA_CA", &pem)]).await;
}

#[tokio::test]
async fn a_wrong_password_loses_nothing_and_is_in_the_log_only_as_refused() {
    let (authority, username, password) = (authority(), username(), password());
    let with = |password| {
        let who = [("A2A_KAFKA_USERNAME", &*username), ("A2A_KAFKA_PASSWORD", password)];
        [SCRAM, ("A2A_KAFKA_CA", &*authority), who[0], who[1]]
    };
    let log = is_refused(&scram(), &with(WRONG), &with(&password)).await;
    assert!(log.contains("SASL authentication error"), "{log}");
    assert!(log.contains("invalid credentials with SASL mechanism SCRAM-SHA-512"), "{log}");
}

#[tokio::test]
async fn a_client_without_tls_or_a_login_loses_nothing_and_learns_of_it() {
    let (authority, username, password) = (authority(), username(), password());
    let ca = ("A2A_KAFKA_CA", &*authority);
    let who = [("A2A_KAFKA_USERNAME", &*username), ("A2A_KAFKA_PASSWORD", &*password)];
    let (tls, scram) = (tls(), scram());
    let (trusted, logged_in) = ([TLS, ca], [SCRAM, ca, who[0], who[1]]);
    let (in_the_clear, without_a_login) =
        tokio::join!(is_refused(&tls, &[], &trusted), is_refused(&scram, &trusted, &logged_in),);
    // The broker only hangs up. How soon it does is told by the state.
    assert!(in_the_clear.contains("Disconnected: "), "{in_the_clear}");
    assert!(in_the_clear.contains("in state APIVERSION_QUERY"), "{in_the_clear}");
    assert!(without_a_login.contains("Disconnected: "), "{without_a_login}");
}

#[tokio::test]
async fn a_broker_without_a_trusted_certificate_gets_nothing() {
    let authority = authority();
    let log = is_refused(&tls(), &[TLS], &[TLS, ("A2A_KAFKA_CA", &authority)]).await;
    assert!(log.contains("certificate verify failed"), "{log}");
}
