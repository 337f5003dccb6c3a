//! `a2a`: any agent from the command line.
//!
//! | module | owns |
//! |---|---|
//! | [`options`] | the command line and its environment variables |
//! | [`message`] | the message that words, files and data make |
//! | [`run`] | one command, one call |
//! | [`registry`] | the agents of a Kafka cluster |
//! | [`check`] | what the Kafka binding asks of a server, asked of one |
//! | [`output`] | what is printed, and where: objects for programs, words for people |
//! | [`words`] | a card, a task and an event in words |
//! | [`verdict`] | how a command ended: its exit code, or its failure |
//!
//! Flow: [`options`] are parsed, [`run`] makes one call of them, [`output`] prints the answer, and
//! the [`verdict`] becomes the exit code.

mod check;
mod message;
mod options;
mod output;
mod registry;
mod run;
mod verdict;
mod words;

use std::{io, process::ExitCode};

use a2a_core::{Error, ErrorKind};
use clap::Parser;

use crate::{
    options::Options,
    output::Output,
    verdict::{Failure, Verdict},
};

fn main() -> ExitCode {
    let options = Options::parse();
    let mut output = Output::new(options.json);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let verdict = match runtime {
        Ok(runtime) => {
            let verdict = runtime.block_on(carried_out(&options, &mut output));
            // Not by waiting: a thread may still ask a broker that does not answer.
            runtime.shutdown_background();
            verdict
        }
        Err(error) => told(Failure::Call(Error::internal(error)), &mut output),
    };
    verdict.into()
}

/// Carries out a command until it is done or Ctrl-C is pressed.
async fn carried_out(options: &Options, output: &mut Output) -> Verdict {
    let ended = tokio::select! {
        // In this order: as long as standard input is read, Ctrl-C is the system's.
        biased;
        ended = run::run(options, output) => Some(ended),
        Ok(()) = tokio::signal::ctrl_c() => None,
    };
    match ended {
        Some(Ok(verdict)) => verdict,
        Some(Err(failure)) => told(failure, output),
        None => {
            output.interrupted();
            Verdict::Interrupted
        }
    }
}

fn told(failure: Failure, output: &mut Output) -> Verdict {
    match failure {
        // The reader closed the pipe.
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Verdict::Done,
        Failure::Output(error) => {
            let sentence = format!("The output cannot be written: {error}.");
            output.error(&Error::new(ErrorKind::Internal, sentence));
            Verdict::Failed
        }
        Failure::Usage(error) => {
            output.error(&error);
            Verdict::Usage
        }
        Failure::Call(error) => {
            output.error(&error);
            Verdict::of_error(&error)
        }
    }
}
