//! The runner as a program: its options, its logs, the words it starts with, and its end.
//!
//! Owns: what a person meets at the terminal. Must never know: which agent it serves.

use std::{fmt::Display, process::ExitCode, sync::Arc};

use a2a_core::{AgentCard, AgentExecutor};
use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    config::{Brokers, Config},
    run::{self, Runner},
};

/// Reads the command line and serves this agent until a signal; a whole program.
///
/// The executor is made once logs are there, so that what is said while it is made is seen.
pub fn main<E: Display>(
    card: AgentCard,
    executor: impl FnOnce() -> Result<Arc<dyn AgentExecutor>, E>,
) -> ExitCode {
    let config = Config::parse();
    a2a_lambda::logs::init();
    if config.prepare {
        return end(prepare(&config));
    }
    let executor = executor().map_err(|error| error.to_string());
    end(executor.and_then(|executor| serve(&config, card, executor)))
}

fn end(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
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
async fn serve(
    config: &Config,
    card: AgentCard,
    executor: Arc<dyn AgentExecutor>,
) -> Result<(), String> {
    let mut signals = Signals::new()?;
    let mut runner = Runner::start(config, card, executor).await?;
    print_tour(config, &runner);
    tokio::select! {
        () = signals.next() => {}
        sentence = runner.failure() => return Err(sentence),
    }
    eprintln!("Finishing what is in flight; press Ctrl-C again to stop now.");
    tokio::select! {
        stopped = runner.stop() => stopped,
        () = signals.next() => {
            eprintln!("Stopped with work in flight.");
            // Not by returning: the runtime would wait for threads that an agent holds.
            std::process::exit(130)
        }
    }
}

/// Ctrl-C and SIGTERM, listened for from the start, so that none is missed.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, String> {
        let listen = |kind| {
            signal(kind).map_err(|error| format!("Signals cannot be listened for: {error}."))
        };
        let (interrupt, terminate) =
            (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Lines to paste, so that a newcomer sees an answer within a minute.
fn print_tour(config: &Config, runner: &Runner) {
    let mut tour = include_str!("tour.txt").to_owned();
    if let Some(brokers) = &runner.brokers {
        let embedded = match config.brokers() {
            Ok(Brokers::Embedded) => {
                " (a broker inside this process: it keeps nothing; --kafka HOST:PORT uses a real one)"
            }
            _ => "",
        };
        let kafka = include_str!("tour-kafka.txt");
        tour += &kafka.replace("{embedded}", embedded).replace("{brokers}", brokers);
    }
    let address = runner.address.to_string();
    println!("{}", tour.replace("{name}", &config.name).replace("{address}", &address));
}
