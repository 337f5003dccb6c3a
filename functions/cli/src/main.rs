//! `a2a`: any agent from the command line.
//!
//! | module | owns |
//! |---|---|
//! | [`options`] | the command line and its environment variables |
//! | [`message`] | the message that words, files and data make |
//! | [`run`] | one command, one call |
//! | [`output`] | what is printed, and where: objects for programs, words for people |
//! | [`words`] | a card, a task and an event in words |
//! | [`verdict`] | what the exit code tells |

mod message;
mod options;
mod output;
mod run;
mod verdict;
mod words;

use std::process::ExitCode;

use clap::Parser;

use crate::{options::Options, output::Output, verdict::Verdict};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    let mut output = Output::new(options.json);
    let verdict = match run::run(&options, &mut output).await {
        Ok(verdict) => verdict,
        // Whoever read the output has left.
        Err(run::Failure::Output(_)) => Verdict::Failed,
        Err(run::Failure::Call(error)) => {
            output.error(&error);
            Verdict::of_error(&error)
        }
    };
    verdict.into()
}
