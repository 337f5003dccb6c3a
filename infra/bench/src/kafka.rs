//! The Kafka path beside a raw consume-and-produce echo with the same settings: requests a second
//! and one round trip, first on the in-process broker of librdkafka, then on the real one; and on
//! the real one streams, whose order is checked, and the memory of a long load.

pub(crate) mod echo;
pub(crate) mod link;
pub(crate) mod settings;

use std::process;

use crate::child::{Server, Subject, Topic};
use crate::cli::Options;
use crate::report::{Aim, Row};
use crate::requests;
use crate::stats::Sample;
use crate::subjects::{self, Ask};
use anyhow::Result;
use link::{Link, Requests};
use settings::PARTITIONS;

/// What we want of the raw echo's rate.
const SHARE: f64 = 0.60;
/// What we want where that share is more than this.
const LEAST: f64 = 10_000.0;
/// Milliseconds that our round trip may take beside the echo's.
const BESIDE_MS: f64 = 1.5;
/// Chunks of a stream, streams of a sample, and how many there are at a time.
const CHUNKS: usize = 200;
const STREAMS: usize = 60;
const STREAMS_WINDOW: usize = 16;
/// Records of a sample, and how many are without an answer at any moment.
const RECORDS: usize = 20_000;
const WINDOW: usize = 256;
/// How often the memory of a long load is read.
const READINGS: usize = 5;
/// What the last reading may be of the middle one.
const FLAT: f64 = 1.1;
/// Round trips of a sample without any other request beside them.
const ALONE: usize = 200;
/// Records before the first sample.
const WARM_UP: usize = 5_000;

/// A running server and the driver's way to it.
struct Ready {
    link: Link,
    server: Server,
    /// What its answers hold.
    expected: &'static str,
}

impl Ready {
    /// Starts the raw echo.
    async fn echo(brokers: Option<&str>) -> Result<Self> {
        let name = unique("echo");
        let topic = Topic { brokers: brokers.map(str::to_owned), name: name.clone() };
        let subject = Subject::KafkaEcho(topic);
        Self::start(&subject, &name, brokers.is_some(), requests::ECHOED).await
    }

    /// Starts ours.
    async fn runner(brokers: Option<&str>, what: &str) -> Result<Self> {
        let (name, partitions) = (unique(what), PARTITIONS.to_string());
        let kafka = brokers.map(|address| ["--kafka", address]);
        let options = ["--name", &name, "--partitions", &partitions];
        let options: Vec<&str> = options.into_iter().chain(kafka.into_iter().flatten()).collect();
        let expected = requests::expected(Ask::Message);
        Self::start(&subjects::runner(&options), &name, brokers.is_some(), expected).await
    }

    async fn start(
        subject: &Subject,
        name: &str,
        is_real: bool,
        expected: &'static str,
    ) -> Result<Self> {
        let server = Server::start(subject)?;
        let link = Link::open(server.address(), name, is_real)?;
        let ready = Self { link, server, expected };
        // The first answers take seconds, while the group settles.
        ready.run(1, 1).await?;
        Ok(ready)
    }

    async fn run(&self, count: usize, window: usize) -> Result<Sample> {
        self.link.run(Requests { ask: Ask::Message, count, window }, self.expected).await
    }
}

/// Names topics and a group that are new in each run: a broker may outlive one.
fn unique(what: &str) -> String {
    format!("bench-{what}-{}", process::id())
}

/// Measures every broker there is.
pub(crate) async fn rows(options: &Options) -> Result<Vec<Row>> {
    let mut rows = on(options, "in-process broker", None).await?;
    match options.kafka.as_deref() {
        Some(brokers) => {
            rows.extend(on(options, "real broker", Some(brokers)).await?);
            rows.push(streams(options, brokers).await?);
            rows.extend(memory(options, brokers).await?);
        }
        None => eprintln!("a2a-bench: no real broker: A2A_BENCH_KAFKA is not set"),
    }
    Ok(rows)
}

async fn on(options: &Options, name: &str, brokers: Option<&str>) -> Result<Vec<Row>> {
    let (limit, ours) = (Ready::echo(brokers).await?, Ready::runner(brokers, "agent").await?);
    for server in [&limit, &ours] {
        server.run(WARM_UP, WINDOW).await?;
    }
    let subjects = (&limit, &ours);
    let many = format!("Kafka, {name}, {WINDOW} in flight");
    let many = Row::new(many, "req/s", Aim::ShareOfLimit(SHARE));
    let sample = async |it: &Ready| it.run(RECORDS, WINDOW).await;
    let many = many.sampled(options.samples, subjects, sample).await?;
    let alone = Row::new(format!("Kafka, {name}, one at a time"), "ms p50", Aim::Beside(BESIDE_MS));
    let sample = async |it: &Ready| Ok(it.run(ALONE, 1).await?.in_millis());
    let alone = alone.sampled(options.samples, subjects, sample).await?;
    let mut rows = vec![many];
    rows.extend(least(&rows[0], name));
    rows.push(alone);
    Ok(rows)
}

/// The same figure against the rate that we want of a machine whose echo allows it.
fn least(many: &Row, name: &str) -> Option<Row> {
    many.limit.median().filter(|echo| echo * SHARE >= LEAST)?;
    let mut least = Row::new(format!("Kafka, {name}, at least"), "req/s", Aim::AtLeast(LEAST));
    least.ours = many.ours.clone();
    Some(least)
}

/// Events a second of streams. One that is not whole or not in order ends the run.
async fn streams(options: &Options, brokers: &str) -> Result<Row> {
    let ours = Ready::runner(Some(brokers), "streams").await?;
    let name = format!("Kafka, {STREAMS} streams of {CHUNKS} x 64 B, each in order");
    let mut row = Row::new(name, "event/s", Aim::None);
    let run = async |count| {
        let requests = Requests { ask: Ask::Stream(CHUNKS), count, window: STREAMS_WINDOW };
        ours.link.streams(requests, CHUNKS).await
    };
    run(STREAMS_WINDOW).await?;
    for _ in 0..options.samples {
        row.ours.push(run(STREAMS).await?);
    }
    Ok(row)
}

/// The resident memory of a fresh server while it answers `options.requests` requests.
async fn memory(options: &Options, brokers: &str) -> Result<Vec<Row>> {
    let ours = Ready::runner(Some(brokers), "memory").await?;
    let mut readings = Vec::with_capacity(READINGS);
    for _ in 0..READINGS {
        ours.run((options.requests / READINGS).max(1), WINDOW).await?;
        readings.push(ours.server.resident_mb()?);
    }
    let rows = readings.iter().enumerate().map(|(index, resident)| {
        let is_last = index + 1 == READINGS;
        let aim = if is_last { Aim::AtMost(readings[READINGS / 2] * FLAT) } else { Aim::None };
        let requests = options.requests / READINGS * (index + 1);
        Row::of(format!("Kafka, resident after {requests} requests"), "MB", aim, [*resident])
    });
    Ok(rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The echo with its in-process broker and the driver's link, all in this process.
    async fn echo(expected: &'static str) -> Result<Sample> {
        let topic = Topic { brokers: None, name: "test".to_owned() };
        let (started, address) = tokio::sync::oneshot::channel();
        let exchange = async {
            let address: String = address.await?;
            let link = Link::open(&address, "test", false)?;
            link.run(Requests { ask: Ask::Message, count: 50, window: 8 }, expected).await
        };
        let ready = |address: &str| drop(started.send(address.to_owned()));
        tokio::select! {
            ended = echo::serve(&topic, ready) => Err(anyhow::anyhow!("the echo ended: {ended:?}")),
            sample = exchange => sample,
        }
    }

    #[tokio::test]
    async fn every_request_is_answered_once() {
        let sample = echo(requests::ECHOED).await.expect("all answered");
        assert!(sample.value > 0.0 && sample.p50 <= sample.p99, "{sample:?}");
    }

    #[tokio::test]
    async fn a_wrong_reply_ends_the_run() {
        let reason = echo(requests::expected(Ask::Message)).await.expect_err("an echo only");
        assert!(reason.to_string().contains("ROLE_AGENT"), "{reason}");
    }
}
