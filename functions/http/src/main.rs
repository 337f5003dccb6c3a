//! What Lambda starts for HTTP.

use std::process::ExitCode;

fn main() -> ExitCode {
    a2a_http::main(a2a_agent::agents())
}
