//! The Lambda functions beside empty ones, on a Runtime API of our own: sizes, cold starts, what a
//! warm answer costs, and a batch from Kafka.
//!
//! `cargo xtask bench lambda` builds all four the same way, as `cargo lambda build --release` does,
//! and says where they are.

pub(crate) mod batch;
pub(crate) mod function;

use std::path::Path;
use std::time::Duration;

use a2a_emulator::Function;
use anyhow::{Context, Result, ensure};

use function::{INVOKE_LIMIT, STORE, median, start};

use crate::cli::Options;
use crate::report::{Aim, Row};

/// Cold starts of one sample; its median counts, since a start now and then meets a busy machine.
const STARTS: usize = 10;
/// Warm answers of one sample.
const ANSWERS: usize = 400;

/// Measures both functions.
pub(crate) async fn rows(options: &Options) -> Result<Vec<Row>> {
    let Some(folder) = &options.lambda_dir else {
        eprintln!("a2a-bench: the functions are measured by `cargo xtask bench lambda`");
        return Ok(Vec::new());
    };
    let bootstrap = |name: &str| folder.join(name).join("bootstrap");
    let (ours, empty) = (bootstrap("a2a-http"), bootstrap("empty"));
    let mut rows = vec![
        size("Lambda HTTP, bootstrap", &ours, &empty, 8.0)?,
        size("Lambda Kafka with TLS, bootstrap", &bootstrap("a2a-kafka"), &empty, 12.0)?,
    ];
    rows.push(cold_start(options, &ours, &empty).await?);
    rows.extend(warm(options, &ours, &empty).await?);
    match &options.kafka {
        Some(brokers) => {
            // An echo makes nothing of a record, so the agent is held to a share of it that says
            // back what it hears. A task is recorded twice and told whole; `data` also computes.
            for (agent, program, aim) in [
                ("message", "reply", Aim::ShareOfLimit(0.60)),
                ("task", "reply", Aim::None),
                ("data", "a2a-kafka", Aim::None),
            ] {
                let ours = (agent, &*bootstrap(program));
                rows.push(batch::row(options, brokers, ours, &bootstrap("echo"), aim).await?);
            }
        }
        None => eprintln!("a2a-bench: no real broker: A2A_BENCH_KAFKA is not set"),
    }
    Ok(rows)
}

fn size(name: &str, ours: &Path, empty: &Path, limit: f64) -> Result<Row> {
    let mut row = Row::new(name, "MB", Aim::Below(limit));
    for (series, file) in [(&mut row.ours, ours), (&mut row.limit, empty)] {
        let data =
            std::fs::metadata(file).with_context(|| format!("there is no {}", file.display()))?;
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        series.push(data.len() as f64 / f64::from(1 << 20));
    }
    Ok(row)
}

/// From the process's start to its first question for an event.
async fn cold_start(options: &Options, ours: &Path, empty: &Path) -> Result<Row> {
    let row = Row::new("Lambda HTTP, init", "ms", Aim::TimesOther(1.3));
    let sample = async |program: &Path| {
        let mut times = Vec::with_capacity(STARTS);
        for _ in 0..STARTS {
            times.push(start(program, &[STORE]).await?.init_time());
        }
        Ok(median(&times) * 1e3)
    };
    row.sampled(options.samples, (empty, ours), sample).await
}

/// What our answer takes longer than an empty one, with the same event.
async fn warm(options: &Options, ours: &Path, empty: &Path) -> Result<Vec<Row>> {
    let (ours, empty) = (start(ours, &[STORE]).await?, start(empty, &[]).await?);
    let card: &[u8] = include_bytes!("../../../events/function-url-card.json");
    let send: &[u8] = include_bytes!("../../../events/function-url-send.json");
    let mut rows = Vec::new();
    for (name, event, holds) in
        [("the card", card, "supportedInterfaces"), ("a task", send, "TASK_STATE_COMPLETED")]
    {
        let mut took = Row::new(format!("Lambda HTTP, warm, {name}"), "us", Aim::None);
        let mut more =
            Row::new(format!("Lambda HTTP, overhead of {name}"), "us", Aim::Below(200.0));
        for _ in 0..options.samples {
            // In turn, answer by answer: what the machine does meanwhile meets both alike.
            let (mut mine, mut limit) = (Vec::new(), Vec::new());
            for _ in 0..ANSWERS {
                limit.push(answer(&empty, event, "ok").await?);
                mine.push(answer(&ours, event, holds).await?);
            }
            let (mine, limit) = (median(&mine) * 1e6, median(&limit) * 1e6);
            took.ours.push(mine);
            took.limit.push(limit);
            more.ours.push(mine - limit);
        }
        rows.extend([took, more]);
    }
    Ok(rows)
}

async fn answer(function: &Function, event: &[u8], holds: &str) -> Result<Duration> {
    let answer = function.invoke(event.to_vec(), INVOKE_LIMIT).await?;
    let text = answer.text();
    ensure!(text.contains(holds), "no {holds:?} in {text}");
    Ok(answer.took)
}
