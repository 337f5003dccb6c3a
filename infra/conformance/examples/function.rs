//! The HTTP function with the kit's agent.

use std::process::ExitCode;

fn main() -> ExitCode {
    a2a_http::main([a2a_conformance::agent()])
}
