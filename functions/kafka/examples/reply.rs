//! The Kafka function with an agent that only says back what it hears, without a task: what is left
//! is the function itself. `cargo xtask bench lambda` measures it beside a raw echo.

use std::{convert::Infallible, process::ExitCode, sync::Arc};

use a2a_core::{AgentCard, AgentError, AgentExecutor, EventQueue, RequestContext, async_trait};

struct Reply;

#[async_trait]
impl AgentExecutor for Reply {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        Ok(queue.reply(context.text()).await?)
    }
}

fn main() -> ExitCode {
    a2a_kafka::main(AgentCard::default(), || Ok::<_, Infallible>(Arc::new(Reply) as _))
}
