//! Our servers beside the limit of this machine, in one run: `cargo xtask bench`.
//!
//! The driver starts every server as a child process of its own ([`child`]), so that each one's
//! memory is its own and the load generator's work is not counted as a server's. It then measures
//! the limit and ours in turn, A B A B, and prints medians ([`report`]). What "ours" is stands in
//! one file ([`subjects`]); the rest knows only addresses, topics and bytes.
//!
//! The stores are measured by a command of their own, `cargo xtask bench stores` ([`stores`]).

mod child;
mod cli;
mod http;
mod kafka;
mod lambda;
mod memory;
mod report;
mod requests;
mod runtime;
mod serve;
mod slow;
mod sse;
mod stats;
mod stores;
mod subjects;
mod text;

use std::env;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use cli::{Options, Section};

/// Measures our servers beside the limit of this machine.
#[derive(Debug, Parser)]
#[command(name = "a2a-bench", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What is measured beside that.
#[derive(Debug, Subcommand)]
enum Command {
    /// Measures the stores, each on its engine
    Stores(stores::Options),
    /// Measures agents that take their time, and fails where an aim is missed
    Slow(slow::Options),
}

fn main() -> ExitCode {
    // As a Lambda function: our agent behind Kafka.
    if env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        return a2a_kafka::main([subjects::agent()]);
    }
    let outcome = match env::var(child::SUBJECT) {
        Ok(file) => serve::run(&file),
        Err(_) => match Cli::parse() {
            Cli { command: Some(Command::Stores(options)), .. } => stores::run(&options),
            Cli { command: Some(Command::Slow(options)), .. } => slowly(&options),
            Cli { options, .. } => drive(&options),
        },
    };
    let Err(reason) = outcome else { return ExitCode::SUCCESS };
    eprintln!("a2a-bench: {reason:#}");
    ExitCode::FAILURE
}

/// Runs the chosen sections one after another.
fn drive(options: &Options) -> Result<()> {
    let runtime = driver()?;
    let mut all = Vec::new();
    for section in options.sections() {
        eprintln!("a2a-bench: {section:?}");
        all.extend(runtime.block_on(async {
            match section {
                Section::Http => http::rows(options).await,
                Section::Sse => sse::rows(options).await,
                Section::Kafka => kafka::rows(options).await,
                Section::Memory => memory::rows().await,
                Section::Lambda => lambda::rows(options).await,
            }
        })?);
    }
    print!("{}", report::table(&all));
    Ok(())
}

/// The figures of agents that take their time.
fn slowly(options: &slow::Options) -> Result<()> {
    let rows = driver()?.block_on(slow::rows(options))?;
    print!("{}", report::table_alone(&rows));
    let missed = rows.iter().filter(|row| row.met() == Some(false)).count();
    ensure!(missed == 0, "{missed} aims are missed");
    Ok(())
}

/// One thread, so that the load generator takes one core at most.
fn driver() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("no runtime")
}
