//! The agent that the runners serve: it does what its message says, and keeps a log of every
//! execution that a killed process leaves behind.
//!
//! Owns: the words of messages ([`Words`]) and of the log ([`Execution`]). Must never know: what is
//! asked for when, or checked.
//!
//! Everything it says names the request and the attempt, so that a reader of a journal knows which
//! execution an entry is from.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    time::Duration,
};

use a2a_core::{AgentError, AgentExecutor, Env, EventQueue, RequestContext, async_trait};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The variable that tells a runner where it logs its executions.
pub const EXECUTIONS: &str = "A2A_CHAOS_EXECUTIONS";
/// The variable that tells a runner its number.
pub const RUNNER: &str = "A2A_CHAOS_RUNNER";

/// What a message asks for. Its text begins with the request's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Words {
    /// A task with an artifact of so many pieces, and before each a step of so many milliseconds,
    /// where that is not none.
    Work(usize, u64),
    /// A message without a task.
    Reply,
    /// A question back.
    Ask,
    /// A task that says it is at work, and is done after so many milliseconds.
    Hold(u64),
}

impl Words {
    /// The text of the message of the request of that name.
    pub fn text(self, name: &str) -> String {
        format!("{name} {}", json!(self))
    }

    /// The request's name, and what it asks for.
    pub fn read(text: &str) -> Option<(&str, Self)> {
        let (name, words) = text.split_once(' ')?;
        Some((name, serde_json::from_str(words).ok()?))
    }
}

/// Who says something: the request, and the attempt at it.
pub fn signature(name: &str, attempt: u32) -> String {
    format!("{name}/{attempt}/")
}

/// The name and the attempt in a signed text.
pub fn signed(text: &str) -> Option<(&str, u32)> {
    let (name, rest) = text.split_once('/')?;
    let (attempt, _) = rest.split_once('/')?;
    Some((name, attempt.parse().ok()?))
}

/// The text of a piece, from 0.
pub fn piece(name: &str, attempt: u32, number: usize) -> String {
    format!("{}{number};", signature(name, attempt))
}

/// The name of the step before a piece, from 0.
pub fn step(number: usize) -> String {
    format!("piece-{number}")
}

/// An execution that began, or a step of one: a line of the log, in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// The request's name.
    pub name: String,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// When it began: milliseconds since 1970.
    pub at: i64,
    /// The number of the runner that did it.
    pub runner: usize,
    /// The step's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// The agent.
#[derive(Debug)]
pub struct Agent {
    executions: File,
    runner: usize,
}

impl Agent {
    /// The agent of the runner of that number. It adds its executions to this file, as others may
    /// at the same time.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn new(executions: &Path, runner: usize) -> io::Result<Self> {
        let executions = OpenOptions::new().create(true).append(true).open(executions)?;
        Ok(Self { executions, runner })
    }

    /// One write, which the system keeps even if this process is killed right after it.
    fn log(&self, name: &str, attempt: u32, step: Option<String>) -> Result<(), AgentError> {
        let (name, at) = (name.to_owned(), Env::system().now().as_millis());
        let execution = Execution { name, attempt, at, runner: self.runner, step };
        let written = (&self.executions).write_all(format!("{}\n", json!(execution)).as_bytes());
        let failed = |error| AgentError::new("The execution was not logged.").with_source(error);
        written.map_err(failed)
    }
}

#[async_trait]
impl AgentExecutor for Agent {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let (text, attempt) = (context.text(), context.attempt());
        let Some((name, asked)) = Words::read(&text) else {
            return Err(AgentError::new("The message is none of this agent's words."));
        };
        self.log(name, attempt, None)?;
        let signature = signature(name, attempt);
        match asked {
            Words::Work(pieces, pause) => {
                for number in 0..pieces {
                    if pause > 0 {
                        let done = context.step(&step(number), async {
                            self.log(name, attempt, Some(step(number)))?;
                            sleep(pause).await;
                            Ok::<_, AgentError>(())
                        });
                        done.await?;
                    }
                    queue.append("pieces", piece(name, attempt, number)).await?;
                }
            }
            Words::Reply => return Ok(queue.reply(signature).await?),
            Words::Ask => return Ok(queue.require_input(signature).await?),
            Words::Hold(time) => {
                queue.working(signature.clone()).await?;
                sleep(time).await;
            }
        }
        Ok(queue.complete(signature).await?)
    }
}

async fn sleep(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for words in [Words::Work(3, 20), Words::Reply, Words::Ask, Words::Hold(5)] {
            assert_eq!(Words::read(&words.text("r7")), Some(("r7", words)));
        }
        assert_eq!(Words::read("r7 sing"), None);
        assert_eq!(Words::read(""), None);
    }

    #[test]
    fn what_is_said_names_the_request_and_the_attempt() {
        assert_eq!(signed(&piece("r7", 2, 4)), Some(("r7", 2)));
        assert_eq!(signed(&signature("r7", 1)), Some(("r7", 1)));
        assert_eq!(signed("The agent ran out of time."), None);
    }

    #[test]
    fn an_execution_is_read_as_it_is_logged_and_half_a_line_is_none() {
        let (name, step) = ("r7".to_owned(), Some(step(0)));
        let execution = Execution { name, attempt: 2, at: 1_000, runner: 3, step };
        let line = json!(execution).to_string();
        let read = |line: &str| serde_json::from_str::<Execution>(line).ok();
        assert_eq!(read(&line), Some(execution));
        assert_eq!(read(&line[..line.len() / 2]), None);
    }
}
