//! Agents that take their time, on a real broker: `cargo xtask bench slow`. Nothing stands beside
//! these figures but what is wanted of them, and the run fails where one is missed.

use std::process;
use std::time::{Duration, Instant};

use a2a_local::broker::create_missing;
use anyhow::{Context, Error, Result, anyhow, ensure};
use clap::Args;
use rdkafka::Message;
use serde_json::json;
use tokio::time::{interval, sleep};

use crate::child::Server;
use crate::kafka::link::{Link, Requests};
use crate::kafka::settings::{self, PARTITIONS};
use crate::lambda::{batch::Batches, function};
use crate::report::{Aim, Row};
use crate::requests::{self, expected};
use crate::stats::Sample;
use crate::subjects::{self, Ask};

/// Requests at once to an agent of a second that has [`PLACES`]: three waves, and a little more.
const WAVES: usize = 600;
const PLACES: usize = 256;
/// Requests in hand at the same time, and how many milliseconds each takes.
const CROWD: usize = 10_000;
const CROWD_MS: u64 = 10_000;
/// By then all of them are in hand, and none is done.
const CROWD_IS_THERE: Duration = Duration::from_secs(6);
/// Requests of the mix, one every so often; of a hundred, one is slow.
const MIX: usize = 10_000;
const MIX_EVERY: Duration = Duration::from_millis(2);
const QUICK_MS: u64 = 1;
const SLOW_MS: u64 = 5_000;
/// How long a function may take: were its records worked on one after another, it would need it.
const FUNCTION_LIMIT: Duration = Duration::from_secs(300);

/// Where it is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Bootstrap address of a real broker
    #[arg(long, env = "A2A_BENCH_KAFKA")]
    kafka: String,
}

/// Measures all of it.
pub(crate) async fn rows(Options { kafka }: &Options) -> Result<Vec<Row>> {
    let mut rows = vec![waves(kafka).await?];
    rows.extend(crowd(kafka).await?);
    rows.push(mix(kafka).await?);
    rows.push(batch(kafka).await?);
    Ok(rows)
}

/// A runner with so many places, and how many links to it are wanted.
async fn runner<const N: usize>(
    brokers: &str,
    what: &str,
    places: usize,
) -> Result<(Server, [Link; N])> {
    eprintln!("a2a-bench: slow, {what}");
    let (name, partitions) = (format!("slow-{what}-{}", process::id()), PARTITIONS.to_string());
    let options = ["--kafka", brokers, "--name", &name, "--partitions", &partitions];
    let concurrency = ("A2A_KAFKA_CONCURRENCY", &*places.to_string());
    let server = Server::start_with(&subjects::runner(&options), &[concurrency])?;
    let open = |_| Link::open(brokers, &name, true);
    let links = (0..N).map(open).collect::<Result<Vec<_>, _>>()?;
    if let Some(link) = links.first() {
        // The first answers take seconds, while the group settles.
        link.run(wait(0, 50), expected(Ask::Wait(0))).await?;
    }
    Ok((server, links.try_into().map_err(|_| anyhow!("there are as many links as were opened"))?))
}

/// So many requests at once, to an agent that takes so long.
fn wait(milliseconds: u64, count: usize) -> Requests {
    Requests { ask: Ask::Wait(milliseconds), count, window: count }
}

/// Seconds until so many requests are answered.
async fn seconds(link: &Link, requests: Requests) -> Result<f64> {
    let (expected, count) = (expected(requests.ask), requests.count as f64);
    Ok(count / link.run(requests, expected).await?.value)
}

async fn waves(brokers: &str) -> Result<Row> {
    let (_server, [link]) = runner(brokers, "waves", PLACES).await?;
    let took = seconds(&link, wait(1_000, WAVES)).await?;
    let name = format!("{WAVES} requests to an agent of 1 s, concurrency {PLACES}");
    Ok(Row::of(name, "s", Aim::AtMost(3.6), [took]))
}

/// Very many requests in hand at once: how long, at what cost in memory, and whether a cancel that
/// stands behind them waits for them.
async fn crowd(brokers: &str) -> Result<[Row; 3]> {
    let (server, [link, other]) = runner(brokers, "crowd", CROWD).await?;
    let before = server.resident_mb()?;
    let begin = requests::params(Ask::Wait(10 * CROWD_MS));
    let begin = requests::immediate(begin);
    let begun = other.ask("SendMessage", begin).await?.0;
    let task = begun["result"]["task"]["id"].as_str().map(str::to_owned);
    let task = task.with_context(|| format!("no task was begun: {begun}"))?;
    let behind = async {
        sleep(CROWD_IS_THERE).await;
        let each = (server.resident_mb()? - before) * 1e3 / CROWD as f64;
        let (answer, took) = other.ask("CancelTask", json!({ "id": task })).await?;
        let canceled = answer["result"]["status"]["state"] == "TASK_STATE_CANCELED";
        ensure!(canceled, "the cancel was answered by {answer}");
        anyhow::Ok((each, took))
    };
    // The one that is canceled is in hand, too.
    let (took, behind) = tokio::join!(seconds(&link, wait(CROWD_MS, CROWD - 1)), behind);
    let (took, (each, cancel)) = (took?, behind?);
    let name = format!("{CROWD} requests in hand at once, agent of {} s", CROWD_MS / 1_000);
    Ok([
        Row::of(name, "s", Aim::AtMost(15.0), [took]),
        Row::of("resident for each of them", "KB", Aim::AtMost(40.0), [each]),
        Row::of(
            "a cancel sent behind them",
            "ms",
            Aim::AtMost(200.0),
            [cancel.as_secs_f64() * 1e3],
        ),
    ])
}

/// The 99th percentile of quick requests among slow ones, each counted from when it was due.
async fn mix(brokers: &str) -> Result<Row> {
    let (_server, [link]) = runner(brokers, "mix", PLACES).await?;
    let (mut quick, mut sent, mut answered) = (Vec::with_capacity(MIX), 0, 0);
    let (begin, mut ticks) = (Instant::now(), interval(MIX_EVERY));
    let is_slow = |number: usize| number % 100 == 50;
    while answered < MIX {
        tokio::select! {
            _ = ticks.tick(), if sent < MIX => {
                let milliseconds = if is_slow(sent) { SLOW_MS } else { QUICK_MS };
                let value = requests::record(Ask::Wait(milliseconds));
                link.send(&format!("mix-{sent}"), &value)?;
                sent += 1;
            }
            message = link.next() => {
                let Some(message) = message? else { continue };
                let key = message.key().and_then(|key| str::from_utf8(key).ok());
                let number = key.and_then(|key| key.strip_prefix("mix-")?.parse::<usize>().ok());
                let Some(number) = number else { continue };
                answered += 1;
                if !is_slow(number) {
                    let due = begin + MIX_EVERY * u32::try_from(number).unwrap_or(u32::MAX);
                    let took = Instant::now().saturating_duration_since(due).as_micros();
                    quick.push(u32::try_from(took).unwrap_or(u32::MAX));
                }
            }
        }
    }
    let sample = Sample::rate(0.0, &mut quick);
    let value = sample.p99.unwrap_or(f64::NAN) / 1e3;
    let name = "1 % of 5 s among messages of 1 ms, 500 req/s: p99 of the quick";
    Ok(Row::of(name, "ms", Aim::AtMost(50.0), [Sample { value, ..sample }]))
}

/// One invocation of the function with records of one partition.
async fn batch(brokers: &str) -> Result<Row> {
    eprintln!("a2a-bench: slow, function");
    let unique = format!("slow-function-{}", process::id());
    let (requests, responses) = (format!("{unique}-requests"), format!("{unique}-responses"));
    let topics = [&*requests, &*responses];
    create_missing(brokers, &topics, PARTITIONS).await.map_err(Error::msg)?;
    let program = std::env::current_exe()?;
    let variables = [function::STORE, ("A2A_KAFKA", brokers), ("A2A_KAFKA_RESPONSES", &responses)];
    let function = function::start(&program, &variables).await?;
    let producer = settings::producer(brokers).create()?;
    let mut batches = Batches::new(function, &producer, &requests);
    batches.limit = FUNCTION_LIMIT;
    let mut took = Vec::new();
    for milliseconds in [0, 2_000] {
        batches.value = requests::record(Ask::Wait(milliseconds)).into();
        batches.partition = Some(0);
        took = vec![batches.next().await?.as_secs_f64()];
    }
    let name = "the function: 100 records of one partition, agent of 2 s";
    Ok(Row::of(name, "s", Aim::AtMost(2.5), took))
}
