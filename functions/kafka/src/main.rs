//! What Lambda starts for Kafka.

use std::process::ExitCode;

fn main() -> ExitCode {
    a2a_kafka::main(a2a_agent::agents())
}
