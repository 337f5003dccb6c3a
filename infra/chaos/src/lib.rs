//! Runners and the broker are killed under load; then every reply, execution and journal is looked
//! at: `cargo xtask chaos`, and in a small size a test.
//!
//! | module | owns |
//! |---|---|
//! | `plan` | which requests, which faults and when, by a seed |
//! | `request` | one request's records |
//! | `client`, `drive` | the exchange |
//! | `faults`, `runners` | what is killed, and how |
//! | `inspect` | what must hold afterwards |
//! | [`agent`] | what the runners serve |
//! | `report` | what is shown |
//!
//! What must hold: every request has its reply; all replies to one request are the same, byte for
//! byte; no request is executed once its outcome is recorded or told, nor anew unless its runner was
//! killed; no step is done again once it is recorded; the messages of a conversation are worked on
//! one after another, in their order; no task is left without an end; no journal has entries of two
//! attempts side by side.

pub mod agent;
mod client;
mod drive;
mod faults;
mod inspect;
mod plan;
mod report;
mod request;
mod runners;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use a2a_core::{TaskStore, store};
use anyhow::{Context, Error, Result};
use tokio::{sync::watch, task::spawn_blocking};
use xtask::Kafka;

use client::Client;
use inspect::{executions, journals, replies};
use plan::{Fault, Plan};
use request::Step;
use runners::Runners;

pub use report::Report;

/// The agent's name.
const NAME: &str = "chaos";
/// Partitions of every topic.
const PARTITIONS: i32 = 6;
/// How many requests are without an answer at any moment.
const WINDOW: usize = 300;

/// How a run is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Over which store.
    pub store: Store,
    /// How many requests.
    pub requests: usize,
    /// What decides the rest.
    pub seed: u64,
    /// The program `a2a-chaos-runner`.
    pub runner: PathBuf,
}

/// The stores; `cargo xtask` starts their engines and names them in the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Store {
    /// DynamoDB's API, by dynoxide.
    #[value(name = "dynamodb")]
    DynamoDb,
    /// PostgreSQL.
    Postgres,
}

impl Store {
    /// Its name, and the URL of one that nobody has used.
    fn place(self) -> Result<(&'static str, String)> {
        let unique = uuid::Uuid::new_v4().simple();
        Ok(match self {
            Self::DynamoDb => {
                let address = engine("A2A_TEST_DYNAMODB")?;
                let url =
                    format!("dynamodb://chaos{unique}?endpoint={address}&region=eu-central-1");
                ("dynamodb", url)
            }
            Self::Postgres => {
                let address = engine("A2A_TEST_POSTGRES")?;
                ("postgres", format!("{address}?schema=chaos{unique}"))
            }
        })
    }
}

fn engine(variable: &str) -> Result<String> {
    let said = || format!("{variable} is not set: `cargo xtask` starts the engines");
    std::env::var(variable).with_context(said)
}

/// Makes one run. Whatever it started has ended when it returns.
///
/// # Errors
/// When there was no run, in words. What was found is in the report.
pub async fn run(options: &Options) -> Result<Report> {
    let began = Instant::now();
    let folder = tempfile::tempdir().context("no folder")?;
    let plan = Plan::new(options.seed, options.requests, PARTITIONS);
    let (store, url) = options.store.place()?;
    let kafka = spawn_blocking(Kafka::start).await?.map_err(Error::msg)?;
    let address = kafka.address();
    let mut client = Client::connect(&address, NAME, PARTITIONS).await?;
    store::prepare(&url).await.map_err(Error::msg)?;
    let tasks = store::open(&url).await.map_err(Error::msg)?;
    let tasks: Arc<dyn TaskStore> = Arc::new(store::AgentStore::new(tasks, NAME));
    let options_of_all = ["--kafka", &*address, "--name", NAME, "--store", &url];
    let mut runners = Runners::new(&options.runner, &options_of_all, folder.path());
    runners.start()?;

    let ((progress, answered), exchanged) = (watch::channel(0), Instant::now());
    let (mut exchange, (done, _kafka)) = tokio::try_join!(
        drive::drive(&plan, &mut client, WINDOW, progress),
        faults::run(&plan.faults, options.seed, (&mut runners, kafka), answered),
    )?;
    let exchanged = exchanged.elapsed();
    while runners.count() > 0 {
        runners.end(0).await?;
    }
    for reply in client.drain().await? {
        exchange.replies[reply.number].push(reply);
    }

    let mut found = Vec::new();
    let replies = replies::inspect(&plan, &exchange, &mut found);
    let keys = |step: &Step| journals::key(step, &exchange, NAME, &client.topics.requests);
    let journals = journals::inspect(&plan, keys, &tasks, &mut found).await?;
    let executed = executions::read(&runners.executions())?;
    let executions = executions::inspect(&executed, &runners.killed, &plan, &exchange, &journals);
    found.extend(executions);
    let lanes = plan.steps.iter().filter(|step| step.lane().is_some()).count();
    let transactions = plan.steps.iter().filter(|step| step.in_transaction()).count();
    let count = |fault| done.iter().filter(|done| **done == fault).count();
    let figures = [
        ("requests", plan.steps.len()),
        ("answered as they should be", replies.answered),
        ("records of answers", replies.records),
        ("of these again, and the same", replies.again),
        ("journals with one attempt at a time", journals.count),
        ("of these in conversations at once", lanes),
        ("records in transactions", transactions),
        ("executions", executed.iter().filter(|it| it.step.is_none()).count()),
        ("steps that were begun", executed.iter().filter(|it| it.step.is_some()).count()),
        ("attempts after the first", journals.repeated),
        ("runners killed and started again", count(Fault::Kill)),
        ("runners joined", count(Fault::Join)),
        ("runners left", count(Fault::Leave)),
        ("times that all runners were replaced", count(Fault::Roll)),
        ("brokers killed and started again", count(Fault::Broker)),
    ];
    let seconds = |took: Duration| format!("{:.1}", took.as_secs_f64());
    let mut figures: Vec<_> = figures.map(|(name, count)| (name, count.to_string())).into();
    figures.push(("seconds of the exchange", seconds(exchanged)));
    figures.push(("seconds in all", seconds(began.elapsed())));
    // The next run of the seed may not find it.
    let logs = (!found.is_empty()).then(|| folder.keep());
    Ok(Report { store, seed: options.seed, figures, faults: found, logs })
}
