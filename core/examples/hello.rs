//! The smallest agent: `cargo run -p a2a-core --example hello -- Ada`
use std::sync::Arc;

use a2a_core::{
    AgentCard, AgentError, AgentExecutor, Call, Caller, DefaultRequestHandler, EventQueue,
    MemoryStore, Message, Part, Reply, RequestContext, SendMessageRequest, async_trait,
};

struct Hello;

#[async_trait]
impl AgentExecutor for Hello {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        queue.working("Thinking of a greeting...").await?;
        queue.complete(format!("Hello, {}!", context.text())).await?;
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let card = AgentCard { name: "hello".to_owned(), ..AgentCard::default() };
    let store = Arc::new(MemoryStore::default());
    let handler = DefaultRequestHandler::new(card, Arc::new(Hello), store);

    let name = std::env::args().nth(1).unwrap_or_else(|| "world".to_owned());
    let message = Message::user("message-1", vec![Part::text(name)]);
    let call = Call::SendMessage(SendMessageRequest { message, ..Default::default() });
    if let Reply::Sent(answer) = handler.call(Caller::default(), call).await? {
        println!("{}", serde_json::to_string_pretty(&answer)?);
    }
    Ok(())
}
