//! Where logs go: to standard error, coloured for a person, JSON for a machine.
//!
//! Owns: the subscriber. Must never know: what is logged.

use std::{
    env,
    io::{IsTerminal, stderr},
};

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// Starts logging. `RUST_LOG` chooses what is logged, as `info` or `warn,a2a_core=debug`, or
/// `AWS_LAMBDA_LOG_LEVEL`, which is how Lambda's own setting arrives.
pub fn init() {
    // Not an `EnvFilter`: its regular expressions are a tenth of a function's size.
    let chosen =
        ["RUST_LOG", "AWS_LAMBDA_LOG_LEVEL"].into_iter().filter_map(|it| env::var(it).ok());
    let targets = chosen.filter(|text| !text.is_empty()).find_map(|text| text.parse().ok());
    // Without a choice, what a user wants to know.
    let targets = targets.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    let logs = tracing_subscriber::registry().with(targets);
    // A second call would be a mistake of the program's; the first one stands.
    let _ = if stderr().is_terminal() {
        logs.with(lines.compact().with_target(false)).try_init()
    } else {
        logs.with(lines.json().flatten_event(true)).try_init()
    };
}
