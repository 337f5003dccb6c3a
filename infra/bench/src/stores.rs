//! The stores, each on its engine, in one run: `cargo xtask bench stores`.
//!
//! Owns: which stores, in which order, and what is said of one that cannot be measured. Each part
//! of the measuring has a file of its own; all of them use a store by its contract alone, opened by
//! its URL, so nothing here knows an engine.

mod agent;
mod appends;
mod crowd;
mod lists;
mod loads;
mod options;
mod streams;
mod tails;
mod units;
mod writer;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use a2a_core::store;
use clap::ValueEnum;
use tokio::runtime::Runtime;

use crate::report::{self, Row};
use options::{Engine, Size};
use writer::Store;

pub(crate) use crowd::Crowd;
pub(crate) use options::Options;

/// Worker threads, as the servers have: the machine the figures are stated for has two cores.
const WORKERS: usize = 2;
/// As long as anything that must come may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store, open twice: what one handle does the other sees as another instance would, on
/// connections of its own.
struct Subject {
    engine: Engine,
    url: String,
    ours: Store,
    other: Store,
    size: Size,
}

/// Measures the chosen stores one after another, and prints each one's table as soon as it is
/// known. What could not be measured is told at the end, after everything else was.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let runtime = runtime()?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = format!("bench{}", since.as_millis());
    let mut faults = Vec::new();
    for engine in Engine::value_variants().iter().copied().filter(|it| options.wants(*it)) {
        let Some(url) = options.url(engine, &name) else {
            faults.push(format!("{}: nothing says where it is", engine.name()));
            continue;
        };
        let begin = Instant::now();
        let rows = runtime.block_on(async {
            match Subject::open(engine, url, options.size()).await {
                Ok(subject) => subject.measure(&mut faults).await,
                Err(reason) => {
                    faults.push(format!("{}: {reason}", engine.name()));
                    Vec::new()
                }
            }
        });
        if !rows.is_empty() {
            let (seconds, load) = (begin.elapsed().as_secs(), load());
            println!("{} ({seconds} s, load {load})", engine.name());
            println!("{}", report::table_alone(&rows));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\na2a-bench: ")) }
}

/// How busy the machine was in the last minute: what the figures are to be read with.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// The child's side of [`crowd`].
pub(crate) fn follow(crowd: &Crowd) -> Result<(), String> {
    runtime()?.block_on(crowd.follow())
}

fn runtime() -> Result<Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(WORKERS).enable_all().build();
    runtime.map_err(|error| format!("no runtime: {error}"))
}

/// Two handles of one store. A store in memory is in one handle only.
async fn open_twice(url: &str) -> Result<(Store, Store), String> {
    store::prepare(url).await?;
    let ours = store::open(url).await?;
    let other =
        if url.starts_with("memory:") { Arc::clone(&ours) } else { store::open(url).await? };
    Ok((ours, other))
}

type Measured<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, String>> + 'a>>;

impl Subject {
    async fn open(engine: Engine, url: String, size: Size) -> Result<Self, String> {
        let (ours, other) = open_twice(&url).await?;
        Ok(Self { engine, url, ours, other, size })
    }

    /// All parts, one after another; a part that fails does not keep the next ones from being
    /// measured. The lists are last: the other figures are of a store that is nearly empty.
    async fn measure(&self, faults: &mut Vec<String>) -> Vec<Row> {
        let mut parts: Vec<(&str, Measured)> = vec![
            ("followers", Box::pin(crowd::rows(self))),
            ("appends", Box::pin(appends::rows(self))),
            ("streams", Box::pin(streams::rows(self))),
            ("tails", Box::pin(tails::rows(self))),
            ("loads", Box::pin(loads::rows(self))),
            ("lists", Box::pin(lists::rows(self))),
        ];
        if self.engine == Engine::Dynamodb {
            parts.push(("units", Box::pin(units::rows(self))));
        }
        let mut all = Vec::new();
        for (part, rows) in parts {
            eprintln!("a2a-bench: {}, {part}", self.engine.name());
            match rows.await {
                Ok(rows) => all.extend(rows),
                Err(reason) => faults.push(format!("{}, {part}: {reason}", self.engine.name())),
            }
        }
        all
    }

    /// Whether word of an append is expected to travel by itself, in place of being asked for.
    fn tells(&self) -> bool {
        matches!(self.engine, Engine::Redis | Engine::Postgres)
    }
}

/// Waits for what must come, and soon.
async fn soon<F: Future>(what: &str, future: F) -> Result<F::Output, String> {
    let come = tokio::time::timeout(PATIENCE, future).await;
    come.map_err(|_| format!("{what} did not come within {} s", PATIENCE.as_secs()))
}

/// For a series of latencies.
fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn per_second(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}
