//! The stores, each on its engine, in one run: `cargo xtask bench stores`.
//!
//! Owns: which stores, in which order, and what is said of one that cannot be measured. Each part
//! of the measuring has a file of its own; all of them use a store by its contract alone, opened by
//! its URL, so nothing here knows an engine:
//!
//! | file | measures |
//! |---|---|
//! | [`crowd`] | memory with very many followers, in a process of its own |
//! | [`journals`] | appends, loads of 1 MB, the delay to another's tail |
//! | [`streams`] | 400 chunks one by one, and from an [`agent`] |
//! | [`lists`] | pages among very many tasks |
//! | [`units`] | what DynamoDB's requests consume, summed by [`capacity`]; [`sweeps`] too |

mod agent;
mod capacity;
mod crowd;
mod journals;
mod lists;
mod options;
mod streams;
mod subject;
mod sweeps;
mod units;
mod writer;

use std::future::Future;
use std::pin::Pin;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::report::{self, Row};
use crate::runtime::runtime;
use options::Engine;
use subject::Subject;

pub(crate) use crowd::follow;
pub(crate) use options::Options;

/// Measures the chosen stores one after another, and prints each one's table as soon as it is
/// known. What could not be measured is told at the end, after everything else was.
pub(crate) fn run(options: &Options) -> Result<()> {
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
            let opened = Subject::open(engine, url, options.size()).await;
            let fault = |reason| faults.push(format!("{}: {reason:#}", engine.name()));
            match opened.map_err(fault) {
                Ok(subject) => measure(&subject, &mut faults).await,
                Err(()) => Vec::new(),
            }
        });
        if !rows.is_empty() {
            let (seconds, load) = (begin.elapsed().as_secs(), load());
            println!("{} ({seconds} s, load {load})", engine.name());
            println!("{}", report::table_alone(&rows));
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\na2a-bench: "));
    Ok(())
}

/// How busy the machine was in the last minute: what the figures are to be read with.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

type Measured<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>>> + 'a>>;

/// All parts, one after another; a part that fails does not keep the next ones from being measured.
/// The lists are last: the other figures are of a store that is nearly empty.
async fn measure(subject: &Subject, faults: &mut Vec<String>) -> Vec<Row> {
    let mut parts: Vec<(&str, Measured)> = vec![
        ("followers", Box::pin(crowd::rows(subject))),
        ("appends", Box::pin(journals::appends(subject))),
        ("streams", Box::pin(streams::rows(subject))),
        ("tails", Box::pin(journals::tails(subject))),
        ("loads", Box::pin(journals::loads(subject))),
        ("lists", Box::pin(lists::rows(subject))),
    ];
    if subject.engine == Engine::Dynamodb {
        parts.push(("units", Box::pin(units::rows(subject))));
    }
    let mut all = Vec::new();
    for (part, rows) in parts {
        eprintln!("a2a-bench: {}, {part}", subject.engine.name());
        match rows.await {
            Ok(rows) => all.extend(rows),
            Err(reason) => faults.push(format!("{}, {part}: {reason:#}", subject.engine.name())),
        }
    }
    all
}
