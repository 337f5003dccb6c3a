//! The local runner with the agent of [`a2a_chaos::agent`]: what is killed and started again.

use std::{env, io::Read, path::Path, process::ExitCode, sync::Arc, thread};

use a2a_chaos::agent::{Agent, EXECUTIONS};
use a2a_core::{AgentCard, AgentExecutor};

fn main() -> ExitCode {
    end_with_the_driver();
    let mut card = AgentCard { name: "chaos".to_owned(), ..AgentCard::default() };
    card.capabilities.streaming = Some(true);
    let agent = a2a_core::Agent::made(card, |_| {
        let log = env::var_os(EXECUTIONS);
        let log = log.ok_or_else(|| format!("{EXECUTIONS} is not set."))?;
        let agent = Agent::new(Path::new(&log));
        let agent = agent.map_err(|error| format!("{}: {error}", log.display()))?;
        Ok::<Arc<dyn AgentExecutor>, String>(Arc::new(agent))
    });
    a2a_local::main([agent])
}

/// The driver holds our standard input open and never writes to it.
fn end_with_the_driver() {
    thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(1);
    });
}
