//! The Kafka function with an agent that only says back what it hears, without a task: what is left
//! is the function itself. `cargo xtask bench lambda` measures it beside a raw echo.

use std::process::ExitCode;

use a2a_core::{
    Agent, AgentCard, AgentError, AgentExecutor, EventQueue, RequestContext, async_trait,
};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

struct Reply;

#[async_trait]
impl AgentExecutor for Reply {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        Ok(queue.reply(context.text()).await?)
    }
}

fn main() -> ExitCode {
    let card = AgentCard { name: "data".to_owned(), ..AgentCard::default() };
    a2a_kafka::main([Agent::new(card, Reply)])
}
