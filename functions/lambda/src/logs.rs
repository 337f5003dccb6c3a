//! Where logs go: to standard error, coloured for a person, JSON for a machine.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// Starts logging. `RUST_LOG` chooses what is logged; without it, what a user wants to know.
pub fn init() {
    let filter = EnvFilter::try_from_default_env()
        // librdkafka's own lines are not news: what fails is logged where it matters.
        .unwrap_or_else(|_| EnvFilter::new("info,librdkafka=error,rdkafka=error"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    // A second call would be a mistake of the program's; the first one stands.
    let _ = if stderr().is_terminal() {
        logs.compact().with_target(false).try_init()
    } else {
        logs.json().flatten_event(true).try_init()
    };
}
