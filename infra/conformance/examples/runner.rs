//! The local runner with the kit's agent.

use std::process::ExitCode;

fn main() -> ExitCode {
    a2a_local::main([a2a_conformance::agent()])
}
