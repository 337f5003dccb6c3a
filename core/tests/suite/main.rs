//! What the core promises, held against it from outside: one test binary, one module per promise.
//!
//! Nearly every test runs under a paused clock: a waiter without an end is found out at once, and
//! nothing takes real time.

#![allow(clippy::unwrap_used, reason = "all of it is tests; the helpers' unwraps are assertions")]

mod arrows;
mod bearer;
mod bounds;
mod builds;
mod chaos_store;
mod client;
mod clients;
mod clocks;
mod cuts;
mod delivery;
mod faulty;
mod fold;
mod handler;
mod held;
mod http;
mod http_streams;
mod idempotency;
mod joins;
mod kafka;
mod kafka_parameters;
mod kafka_redelivery;
mod listing;
mod memory;
mod memory_weight;
mod misbehave;
mod orphans;
mod polite;
mod properties;
mod readers;
mod reading;
mod refusal;
mod scripted;
mod simulation;
mod source;
mod steps;
mod streams;
mod sweeps;
mod tidy;
mod types;
mod verdict;
mod world;

/// Few cases, unless `PROPTEST_CASES` asks for more, and no files: these properties run at every
/// build.
fn config() -> proptest::test_runner::Config {
    let default = proptest::test_runner::Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { 64 };
    proptest::test_runner::Config { cases, failure_persistence: None, ..default }
}
