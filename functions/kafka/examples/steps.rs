//! The Kafka function with an agent that is longer than an invocation: it does as many steps as it
//! is told, each of so many milliseconds, and writes down each time that it does one. The tests start
//! it.

use std::{env, fs::OpenOptions, io::Write, process::ExitCode, time::Duration};

use a2a_core::{
    Agent, AgentCard, AgentError, AgentExecutor, EventQueue, RequestContext, async_trait,
};

/// The file in which each step that is done is a line.
const DONE: &str = "STEPS_DONE";

struct Steps;

#[async_trait]
impl AgentExecutor for Steps {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let text = context.text();
        let (count, each) =
            text.split_once(" of ").ok_or_else(|| AgentError::new("COUNT of MS"))?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| AgentError::new("no number"));
        let (count, each) = (number(count)?, Duration::from_millis(number(each)?));
        let mut said = Vec::new();
        for step in 1..=count {
            let done = context.step("step", async {
                tokio::time::sleep(each).await;
                write(&format!("{text}: {step}"))?;
                Ok::<_, AgentError>(step)
            });
            said.push(done.await?.to_string());
        }
        Ok(queue.complete(said.join(" ")).await?)
    }
}

fn write(line: &str) -> Result<(), AgentError> {
    let path = env::var_os(DONE).unwrap_or_default();
    let file = OpenOptions::new().create(true).append(true).open(path);
    let written = file.and_then(|mut file| writeln!(file, "{line}"));
    written.map_err(|error| AgentError::new("The file cannot be written.").with_source(error))
}

fn main() -> ExitCode {
    let card = AgentCard { name: "steps".to_owned(), ..AgentCard::default() };
    a2a_kafka::main([Agent::new(card, Steps)])
}
