//! What both Lambda functions need before their first invocation, and of each.
//!
//! | module | owns |
//! |---|---|
//! | [`environment`] | the variables a function is set up with |
//! | [`deadline`](mod@deadline) | when an invocation ends |
//! | [`logs`] | where logs go |
//!
//! [`main`] puts them together.

pub mod deadline;
pub mod environment;
pub mod logs;

use std::{fmt::Display, process::ExitCode, sync::Arc};

use a2a_core::AgentExecutor;

pub use deadline::deadline;
pub use environment::Environment;

/// A whole function: logs, then the agent, then `run` until the process ends. What goes wrong
/// before the first invocation is one sentence on standard error, where Lambda's log has it.
///
/// The executor is made once logs are there, so that what is said while it is made is seen.
pub fn main<E: Display>(
    executor: impl FnOnce() -> Result<Arc<dyn AgentExecutor>, E>,
    run: impl AsyncFnOnce(Environment, Arc<dyn AgentExecutor>) -> Result<(), String>,
) -> ExitCode {
    logs::init();
    match start(executor, run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn start<E: Display>(
    executor: impl FnOnce() -> Result<Arc<dyn AgentExecutor>, E>,
    run: impl AsyncFnOnce(Environment, Arc<dyn AgentExecutor>) -> Result<(), String>,
) -> Result<(), String> {
    let environment = Environment::process();
    environment.check_lambda()?;
    let executor = executor().map_err(|error| error.to_string())?;
    run(environment, executor).await
}
