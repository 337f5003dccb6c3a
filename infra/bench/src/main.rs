//! Our servers beside the limit of this machine, in one run: `cargo xtask bench`.
//!
//! The driver starts every server as a child process of its own ([`child`]), so that each one's
//! memory is its own and the load generator's work is not counted as a server's. It then measures
//! the limit and ours in turn, A B A B, and prints medians ([`report`]). What "ours" is stands in
//! one file ([`subjects`]); the rest knows only addresses, topics and bytes.
//!
//! The stores are measured by a command of their own, `cargo xtask bench stores` ([`stores`]).

mod accept;
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
mod sse;
mod stats;
mod stores;
mod subjects;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command, Options, Section};
use report::Row;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Some(Command::Serve { subject }) => serve::run(subject),
        Some(Command::Stores(options)) => stores::run(&options),
        Some(Command::Follow(crowd)) => stores::follow(&crowd),
        None => drive(&cli.options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("a2a-bench: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the chosen sections one after another on one thread, so that the load generator takes one
/// core at most, and prints each one's rows as soon as they are known.
fn drive(options: &Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    let mut all = Vec::new();
    for section in options.sections() {
        eprintln!("a2a-bench: {section}");
        let rows = runtime.block_on(measure(section, options))?;
        all.extend(rows);
    }
    print!("{}", report::table(&all));
    Ok(())
}

async fn measure(section: Section, options: &Options) -> Result<Vec<Row>, String> {
    match section {
        Section::Http => http::rows(options).await,
        Section::Sse => sse::rows(options).await,
        Section::Kafka => kafka::rows(options).await,
        Section::Memory => memory::rows(options).await,
        Section::Lambda => lambda::rows(options).await,
    }
}
