//! What `cargo run` starts.

use std::process::ExitCode;

fn main() -> ExitCode {
    a2a_local::main(a2a_agent::agents())
}
