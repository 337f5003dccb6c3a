//! The HTTP function with an agent that takes its time: `9` is nine steps of a tenth of a second.
//!
//! The freeze tests start it: with an agent that is done at once, a pause breaks nothing.

use std::{process::ExitCode, time::Duration};

use a2a_core::{
    Agent, AgentCard, AgentError, AgentExecutor, EventQueue, RequestContext, async_trait,
};

/// Says each step, then that it is done.
struct Slow;

#[async_trait]
impl AgentExecutor for Slow {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let steps: u32 = context.text().trim().parse().unwrap_or(1);
        for step in 1..=steps {
            queue.working(format!("step {step}")).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(queue.complete("done").await?)
    }
}

fn main() -> ExitCode {
    let mut card = AgentCard { name: "slow".to_owned(), ..AgentCard::default() };
    card.capabilities.streaming = Some(true);
    a2a_http::main([Agent::new(card, Slow)])
}
