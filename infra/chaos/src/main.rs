//! `cargo xtask chaos`: runs one after another until the time is over, or one that a seed names.

use std::{
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use a2a_chaos::{Options, Store};
use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

/// Kills runners and brokers under load, and looks whether anything was lost or done twice.
#[derive(Debug, Parser)]
#[command(name = "a2a-chaos")]
struct Cli {
    /// Runs are begun for so long; one is always made over each store
    #[arg(long, default_value_t = 0)]
    minutes: u64,
    /// Requests of one run
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
    /// Which plan the first run has; without it any
    #[arg(long)]
    seed: Option<u64>,
    /// Only over these stores
    #[arg(long, value_delimiter = ',')]
    only: Vec<Store>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let good = run(&Cli::parse()).await.unwrap_or_else(|reason| {
        eprintln!("a2a-chaos: {reason:#}");
        false
    });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes the runs. Answers whether nothing was found.
async fn run(cli: &Cli) -> Result<bool> {
    let program = std::env::current_exe().context("where am I")?;
    let runner = program.with_file_name("a2a-chaos-runner");
    let seconds = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let first = cli.seed.unwrap_or_else(seconds);
    let stores = if cli.only.is_empty() { Store::value_variants() } else { &cli.only };
    let (began, mut good) = (Instant::now(), true);
    for seed in first.. {
        for store in stores {
            let (store, requests, runner) = (*store, cli.requests, runner.clone());
            let report = a2a_chaos::run(&Options { store, requests, seed, runner }).await?;
            print!("{report}");
            good &= report.faults.is_empty();
        }
        if began.elapsed() >= Duration::from_secs(cli.minutes * 60) {
            break;
        }
    }
    Ok(good)
}
