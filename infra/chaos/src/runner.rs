//! The local runner with the agent of [`a2a_chaos::agent`]: what is killed and started again.

use std::{env, path::Path, process::ExitCode, sync::Arc};

use a2a_chaos::agent::{Agent, EXECUTIONS, RUNNER};
use a2a_core::{AgentCard, AgentExecutor};

fn main() -> ExitCode {
    let mut card = AgentCard { name: "chaos".to_owned(), ..AgentCard::default() };
    card.capabilities.streaming = Some(true);
    let agent = a2a_core::Agent::made(card, |_| {
        let log = env::var_os(EXECUTIONS);
        let log = log.ok_or_else(|| format!("{EXECUTIONS} is not set."))?;
        let number = env::var(RUNNER).ok().and_then(|number| number.parse().ok());
        let number = number.ok_or_else(|| format!("{RUNNER} is no number."))?;
        let agent = Agent::new(Path::new(&log), number);
        let agent = agent.map_err(|error| format!("{}: {error}", log.display()))?;
        Ok::<Arc<dyn AgentExecutor>, String>(Arc::new(agent))
    });
    a2a_local::main([agent])
}
