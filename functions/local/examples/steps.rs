//! The runner with an agent that takes its time: `9` is nine steps of a tenth of a second, `silent
//! 9` nine seconds without a word, `ask` a question back.
//!
//! What runs across instances is shown and tested with it: an agent that is done at once has
//! nothing to follow, to cancel or to take over. Each execution leaves lines on standard output.

use std::{process::ExitCode, time::Duration};

use a2a_core::{
    Agent, AgentCard, AgentError, AgentExecutor, EventQueue, RequestContext, async_trait,
};

struct Steps;

/// Prints how an execution came to its end, however it does: dropped is one way.
struct Told(String, &'static str);

impl Drop for Told {
    fn drop(&mut self) {
        println!("{} {}", self.0, self.1);
    }
}

#[async_trait]
impl AgentExecutor for Steps {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let (id, attempt) = (context.task_id(), context.attempt());
        println!("{id} begins, attempt {attempt}");
        let mut told = Told(id.to_owned(), "is dropped");
        let text = context.text();
        match text.split_once(' ') {
            Some(("silent", seconds)) => {
                queue.working("I am thinking.").await?;
                let seconds = seconds.trim().parse().unwrap_or(1);
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
            _ if text.trim() == "ask" => {
                told.1 = "asks";
                return Ok(queue.require_input("How many?").await?);
            }
            _ => {
                for step in 1..=text.trim().parse().unwrap_or(1) {
                    queue.append("steps", format!("{step};")).await?;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        queue.complete("done").await?;
        told.1 = "is done";
        Ok(())
    }
}

fn main() -> ExitCode {
    let mut card = AgentCard { name: "steps".to_owned(), ..AgentCard::default() };
    card.capabilities.streaming = Some(true);
    a2a_local::main([Agent::new(card, Steps)])
}
