//! The runner as a program: its options, its logs, and its end.
//!
//! Owns: what a person meets at the terminal. Must never know: which agents it serves.

use std::process::ExitCode;

use a2a_core::{Agent, wire::shown};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    config::Config,
    run::{self, Runner},
    tour::tour,
};

/// Reads the command line and serves those of these agents that it names, until a signal; a whole
/// program. An agent stands behind those it calls; the first is served where none is named.
pub fn main(agents: impl Into<Vec<Agent>>) -> ExitCode {
    let config = Config::parse();
    a2a_lambda::logs::init();
    if config.prepare {
        return end(prepare(&config));
    }
    end(serve(&config, agents.into()))
}

fn end(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{}", shown::line(&sentence));
            ExitCode::FAILURE
        }
    }
}

/// Makes what the store needs and says so.
#[tokio::main(flavor = "current_thread")]
async fn prepare(config: &Config) -> Result<(), String> {
    run::prepare(config).await?;
    println!("The store is ready.");
    Ok(())
}

/// Serves until the first signal, then finishes what is in flight; a second signal ends it at once.
#[tokio::main]
async fn serve(config: &Config, agents: Vec<Agent>) -> Result<(), String> {
    // Ctrl-C and SIGTERM, listened for from the start, so that none is missed.
    let listen =
        |kind| signal(kind).map_err(|error| format!("Signals cannot be listened for: {error}."));
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let mut signalled = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let mut runner = Runner::start(config, agents).await?;
    println!("{}", tour(config, &runner));
    tokio::select! {
        () = signalled() => {}
        sentence = runner.failure() => return Err(sentence),
    }
    eprintln!("Finishing what is in flight; press Ctrl-C again to stop now.");
    tokio::select! {
        stopped = runner.stop() => stopped,
        () = signalled() => {
            eprintln!("Stopped with work in flight.");
            // Not by returning: the runtime would wait for threads that an agent holds.
            std::process::exit(130)
        }
    }
}
