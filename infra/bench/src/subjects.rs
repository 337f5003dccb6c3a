//! Ours: the seam between the benchmark and the project.
//!
//! It owns what the driver cannot know by itself: that ours is the local runner, and by which words
//! the agent behind it is told what to answer. It must answer [`prompt`]'s text with what [`Ask`]
//! says, out of a memory store.

use std::time::Duration;

use a2a_core::{
    Agent, AgentCapabilities, AgentCard, AgentError, AgentExecutor, Artifact, EventQueue, Part,
    RequestContext, async_trait,
};
use a2a_local::{config::Config, run::Runner};
use anyhow::{Error, Result};
use clap::Parser;

use crate::child::Subject;
use crate::text::{KILOBYTE, text};

/// What the agent is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ask {
    /// One message, no task.
    Message,
    /// A completed task with one artifact.
    Task,
    /// The same after so many milliseconds.
    Wait(u64),
    /// A completed task with one artifact that comes in this many chunks, [`chunk`] by [`chunk`].
    Stream(usize),
    /// The same in chunks of a kilobyte that no store can compress, [`text`] by [`text`].
    Kilobytes(usize),
}

/// The text of the user's message that asks for it.
pub(crate) fn prompt(ask: Ask) -> String {
    match ask {
        Ask::Message => "message".to_owned(),
        Ask::Task => "task".to_owned(),
        Ask::Wait(milliseconds) => format!("wait {milliseconds}"),
        Ask::Stream(chunks) => format!("stream {chunks}"),
        Ask::Kilobytes(chunks) => format!("kilobytes {chunks}"),
    }
}

/// The text of a stream's chunk: 64 bytes that hold its number, so that order can be checked.
pub(crate) fn chunk(number: usize) -> String {
    format!("{CHUNK_MARK}{number:06} {:.<51}", "")
}

/// What stands before a chunk's six digits.
pub(crate) const CHUNK_MARK: &str = "chunk-";

/// The local runner with these options: of its agent's name, and of the broker.
pub(crate) fn runner(options: &[&str]) -> Subject {
    Subject::Runner(options.iter().copied().map(str::to_owned).collect())
}

/// Runs the local runner with our agent until the process is killed. Calls `ready` once it serves,
/// with its broker's address or, without Kafka, its own.
pub(crate) async fn serve(options: &[String], ready: impl FnOnce(&str)) -> Result<()> {
    // As in the runner's own program: the cost of logging is part of what is measured.
    a2a_lambda::logs::init();
    let fixed = ["a2a-bench", "--port", "0"].map(str::to_owned);
    let config = Config::try_parse_from(fixed.iter().chain(options))?;
    let mut runner = Runner::start(&config, [agent()]).await.map_err(Error::msg)?;
    let address = runner.agents.first().map(|agent| agent.address.to_string());
    ready(runner.brokers().unwrap_or(&address.unwrap_or_default()));
    Err(Error::msg(runner.failure().await))
}

/// Our agent, as its programs want it.
pub(crate) fn agent() -> Agent {
    let capabilities = AgentCapabilities { streaming: Some(true), ..AgentCapabilities::default() };
    let card = AgentCard { name: "bench".to_owned(), capabilities, ..AgentCard::default() };
    Agent::new(card, Bench)
}

/// Answers as [`Ask`] says.
pub(crate) struct Bench;

#[async_trait]
impl AgentExecutor for Bench {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let asked = context.text();
        let (word, number) = asked.split_once(' ').unwrap_or((&asked, "1"));
        let mut count: usize = number.parse().unwrap_or(1);
        if word == "wait" {
            tokio::time::sleep(Duration::from_millis(count as u64)).await;
            count = 1;
        }
        let say: fn(usize) -> String = match word {
            "message" => return Ok(queue.reply("the answer").await?),
            "stream" => chunk,
            "kilobytes" => |number| text(number as u64 + 1, KILOBYTE),
            _ => |_| "the answer".to_owned(),
        };
        queue.artifact(Artifact::new("answer", vec![Part::text(say(0))])).await?;
        for number in 1..count {
            queue.append("answer", say(number)).await?;
        }
        Ok(queue.complete(()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_64_bytes_and_holds_its_number() {
        for number in [0, 199, 9_999] {
            let text = chunk(number);
            assert_eq!(text.len(), 64);
            assert!(text.starts_with(&format!("chunk-{number:06}")), "{text}");
        }
    }
}
