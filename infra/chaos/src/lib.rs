//! Runners and the broker are killed under load; then every reply, execution and journal is looked
//! at: `cargo xtask chaos`, and in a small size a test.
//!
//! | module | owns |
//! |---|---|
//! | `plan`, `random` | which requests, which faults and when, by a seed |
//! | `request` | one request's records |
//! | `client`, `drive` | the exchange |
//! | `faults`, `runners`, `broker` | what is killed, and how |
//! | `inspect` | what must hold afterwards |
//! | [`agent`] | what the runners serve |
//! | `report` | what is shown |
//!
//! What must hold: every request has its reply; all replies to one request are the same, byte for
//! byte; no request is executed once its outcome is recorded or told; no task is left without an
//! end; no journal has entries of two attempts side by side.

pub mod agent;
mod broker;
mod client;
mod drive;
mod faults;
mod inspect;
mod plan;
mod random;
mod report;
mod request;
mod runners;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use a2a_core::store;
use tokio::sync::watch;

use broker::Broker;
use client::Client;
use inspect::{executions, journals, replies};
use plan::Plan;
use runners::{Recipe, Runners};

pub use report::Report;

/// The variable that tells a runner where it logs its executions.
pub const EXECUTIONS: &str = "A2A_CHAOS_EXECUTIONS";

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// DynamoDB's API, by dynoxide.
    DynamoDb,
    /// PostgreSQL.
    Postgres,
}

impl Store {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::DynamoDb, Self::Postgres];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::Postgres => "postgres",
        }
    }

    /// One that nobody has used.
    fn url(self) -> Result<String, String> {
        let unique = uuid::Uuid::new_v4().simple();
        Ok(match self {
            Self::DynamoDb => {
                let address = engine("A2A_TEST_DYNAMODB")?;
                format!("dynamodb://chaos{unique}?endpoint={address}&region=eu-central-1")
            }
            Self::Postgres => format!("{}?schema=chaos{unique}", engine("A2A_TEST_POSTGRES")?),
        })
    }
}

fn engine(variable: &str) -> Result<String, String> {
    std::env::var(variable)
        .map_err(|_| format!("{variable} is not set: `cargo xtask` starts the engines"))
}

/// Makes one run. Whatever it started has ended when it returns.
///
/// # Errors
/// When there was no run, in words. What was found is in the report.
pub async fn run(options: &Options) -> Result<Report, String> {
    let began = Instant::now();
    let folder = tempfile::tempdir().map_err(|error| format!("no folder: {error}"))?;
    let plan = Plan::new(options.seed, options.requests, PARTITIONS);
    let mut stage = Stage::set(options, folder.path()).await?;
    let (progress, answered) = watch::channel(0);
    let (mut broker, seed) = (Some(stage.broker), options.seed);
    let exchanged = Instant::now();
    let (mut exchange, done) = tokio::try_join!(
        drive::drive(&plan, &mut stage.client, WINDOW, progress),
        faults::run(&plan.faults, seed, &mut stage.runners, &mut broker, answered),
    )?;
    let exchanged = exchanged.elapsed();
    while stage.runners.count() > 0 {
        stage.runners.end(0).await?;
    }
    for reply in stage.client.drain().await? {
        exchange.replies[reply.number].push(reply);
    }

    let mut found = Vec::new();
    let replies = replies::inspect(&plan, &exchange, &mut found);
    let requests = &stage.client.topics().requests;
    let journals =
        journals::inspect(&plan, &exchange, &stage.name, requests, &stage.store, &mut found)
            .await?;
    let executed = executions::read(&stage.runners.executions())?;
    executions::inspect(&executed, &plan, &exchange, &journals, &mut found);
    let figures = vec![
        ("requests", plan.steps.len()),
        ("answered as they should be", replies.answered),
        ("records of answers", replies.records),
        ("of these again, and the same", replies.again),
        ("journals with one attempt at a time", journals.count),
        ("executions", executed.len()),
        ("attempts after the first", journals.repeated),
        ("runners killed and started again", done.kills),
        ("runners joined", done.joins),
        ("runners left", done.leaves),
        ("brokers killed and started again", done.broker_restarts),
    ];
    let (store, took) = (options.store.name(), (exchanged, began.elapsed()));
    // The next run of the seed may not find it.
    let logs = (!found.is_empty()).then(|| folder.keep());
    Ok(Report { store, seed: options.seed, figures, took, faults: found, logs })
}

/// All that a run needs, ready.
struct Stage {
    name: String,
    store: std::sync::Arc<dyn a2a_core::TaskStore>,
    runners: Runners,
    client: Client,
    // Ends last: the others would wait for it.
    broker: Broker,
}

impl Stage {
    async fn set(options: &Options, folder: &Path) -> Result<Self, String> {
        let desk = engine("A2A_TEST_BROKERS")?;
        let broker = tokio::task::spawn_blocking(move || Broker::start(&desk)).await;
        let broker = broker.map_err(|error| format!("no broker: {error}"))??;
        let (name, url) = ("chaos".to_owned(), options.store.url()?);
        store::prepare(&url).await?;
        let store = store::open(&url).await?;
        let store = std::sync::Arc::new(store::AgentStore::new(store, &name));
        let topics = a2a_core::kafka::Topics::of(&name);
        a2a_local::broker::create_topics(broker.address(), &topics, PARTITIONS).await?;
        let client = Client::connect(broker.address(), &name, PARTITIONS)?;
        let mut runners = Runners::new(Recipe {
            program: options.runner.clone(),
            broker: broker.address().to_owned(),
            name: name.clone(),
            store: url,
            folder: folder.to_owned(),
        });
        runners.start()?;
        Ok(Self { name, store, runners, client, broker })
    }
}
