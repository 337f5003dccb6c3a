//! The Kafka function with agents that only say back what they hear, one in a message, one in a
//! task that it completes: what is left is the function itself, and what a task adds to it. `cargo
//! xtask bench lambda` measures both beside a raw echo.

use std::process::ExitCode;

use a2a_core::{
    Agent, AgentCard, AgentError, AgentExecutor, EventQueue, RequestContext, async_trait,
};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How what was heard is said back.
enum Reply {
    Message,
    Task,
}

#[async_trait]
impl AgentExecutor for Reply {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        match self {
            Self::Message => queue.reply(context.text()).await?,
            Self::Task => queue.complete(context.text()).await?,
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let agent = |name: &str, reply| {
        Agent::new(AgentCard { name: name.to_owned(), ..AgentCard::default() }, reply)
    };
    a2a_kafka::main([agent("message", Reply::Message), agent("task", Reply::Task)])
}
