//! What Lambda starts for Kafka.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A batch is thousands of small pieces on two threads, most of them soon let go of.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    a2a_kafka::main(a2a_agent::agents())
}
