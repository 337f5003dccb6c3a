//! Where logs go: to standard error, coloured for a person, JSON for a machine.
//!
//! Owns: the subscriber. Must never know: what is logged.

use std::{
    env,
    io::{IsTerminal, stderr},
};

use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// What a user wants to know. librdkafka's own lines are not news: what fails is logged where it
/// matters.
const USUAL: &str = "info,librdkafka=error,rdkafka=error";

/// Starts logging. `RUST_LOG` chooses what is logged, as `info` or `warn,a2a_core=debug`, or
/// `AWS_LAMBDA_LOG_LEVEL`, which is how Lambda's own setting arrives.
pub fn init() {
    // Not an `EnvFilter`: its regular expressions are a fifth of a function's size.
    let chosen =
        ["RUST_LOG", "AWS_LAMBDA_LOG_LEVEL"].into_iter().filter_map(|it| env::var(it).ok());
    let targets = chosen.filter(|text| !text.is_empty()).find_map(|text| text.parse().ok());
    let targets: Targets = targets.unwrap_or_else(|| USUAL.parse().unwrap_or_default());
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    let logs = tracing_subscriber::registry().with(targets);
    // A second call would be a mistake of the program's; the first one stands.
    let _ = if stderr().is_terminal() {
        logs.with(lines.compact().with_target(false)).try_init()
    } else {
        logs.with(lines.json().flatten_event(true)).try_init()
    };
}
