//! What both Lambda functions need before their first invocation, and of each.
//!
//! | module | owns |
//! |---|---|
//! | [`environment`] | reading environment variables |
//! | [`setup`] | the handler that they describe: agent, store, peers, authentication |
//! | [`credentials`] | how callers are authenticated, by three settings |
//! | `peers` | which agents its agent calls (feature `peers`) |
//! | [`deadline`](mod@deadline) | when an invocation ends |
//! | [`logs`] | where logs go |
//!
//! Flow: [`main`] starts the logs, has `setup` build the handler from the `environment`, and runs the
//! function with it.

pub mod credentials;
pub mod deadline;
pub mod environment;
pub mod logs;
#[cfg(feature = "peers")]
pub mod peers;
pub mod setup;

use std::process::ExitCode;

use a2a_core::{Agent, DefaultRequestHandler};

pub use deadline::deadline;
pub use environment::Environment;

/// A whole function: logs, then the handler of one of these agents, then `run` until the process
/// ends. What goes wrong before the first invocation is one sentence on standard error, where
/// Lambda's log has it.
pub fn main(
    agents: impl Into<Vec<Agent>>,
    run: impl AsyncFnOnce(Environment, DefaultRequestHandler) -> Result<(), String>,
) -> ExitCode {
    logs::init();
    match start(agents.into(), run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn start(
    agents: Vec<Agent>,
    run: impl AsyncFnOnce(Environment, DefaultRequestHandler) -> Result<(), String>,
) -> Result<(), String> {
    let environment = Environment::process();
    environment.check_lambda()?;
    let handler = environment.handler(agents).await?;
    run(environment, handler).await
}
