//! The Kafka path beside a raw consume-and-produce echo with the same settings: requests a second
//! and one round trip, first on the in-process broker of librdkafka, then on the real one; and on
//! the real one streams, whose order is checked, and the memory of a long load.

pub(crate) mod broker;
pub(crate) mod echo;
mod link;
pub(crate) mod settings;

use crate::child::{Route, Server, Subject};
use crate::cli::Options;
use crate::report::{Aim, Row};
use crate::requests;
use crate::stats::Sample;
use crate::subjects::Ask;
use broker::Broker;
use link::{Link, Requests};

/// What our answers hold.
const MESSAGE: &str = requests::expected(Ask::Message);
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
/// How often the memory of a long load is read.
const READINGS: usize = 5;
/// What the last reading may be of the middle one.
const FLAT: f64 = 1.1;
/// Round trips of a sample without any other request beside them.
const ALONE: usize = 200;
/// Records before the first sample, at most.
const WARM_UP: usize = 5_000;

/// A running server and the driver's way to it.
struct Ready {
    link: Link,
    server: Server,
}

impl Ready {
    async fn run(&self, count: usize, window: usize) -> Result<Sample, String> {
        let payload = &requests::record(Ask::Message);
        self.link.run(Requests { payload, count, window }).await
    }
}

/// Measures every broker there is.
pub(crate) async fn rows(options: &Options) -> Result<Vec<Row>, String> {
    let mut rows = on(options, &Broker::in_process()?).await?;
    match &options.kafka {
        Some(address) => {
            let broker = Broker::real(address);
            rows.extend(on(options, &broker).await?);
            if !options.limits_only {
                rows.push(streams(options, &broker).await?);
                rows.extend(memory(options, &broker).await?);
            }
        }
        None => eprintln!("a2a-bench: no real broker: A2A_BENCH_KAFKA is not set"),
    }
    Ok(rows)
}

async fn on(options: &Options, broker: &Broker) -> Result<Vec<Row>, String> {
    let warm_up = options.records.min(WARM_UP);
    let limit = start(broker, "echo", Subject::KafkaEcho, requests::ECHOED, warm_up).await?;
    let ours = match options.limits_only {
        true => None,
        false => Some(start(broker, "agent", Subject::KafkaAgent, MESSAGE, warm_up).await?),
    };
    let subjects = (&limit, ours.as_ref());
    let (name, window) = (broker.name, options.window);
    let many = format!("Kafka, {name}, {window} in flight");
    let many = Row::new(many, "req/s", Aim::ShareOfLimit(SHARE));
    let sample = async |it: &Ready| it.run(options.records, window).await;
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
async fn streams(options: &Options, broker: &Broker) -> Result<Row, String> {
    let ours = start(broker, "streams", Subject::KafkaAgent, MESSAGE, 1).await?;
    let request = requests::record(Ask::Stream(CHUNKS));
    let name = format!("Kafka, {STREAMS} streams of {CHUNKS} x 64 B, each in order");
    let mut row = Row::new(name, "event/s", Aim::None);
    let run = async |count| {
        let requests = Requests { payload: &request, count, window: STREAMS_WINDOW };
        ours.link.streams(requests, CHUNKS).await
    };
    run(STREAMS_WINDOW).await?;
    for _ in 0..options.samples {
        row.ours.push(run(STREAMS).await?);
    }
    Ok(row)
}

/// The resident memory of a fresh server while it answers `options.requests` requests.
async fn memory(options: &Options, broker: &Broker) -> Result<Vec<Row>, String> {
    let ours = start(broker, "memory", Subject::KafkaAgent, MESSAGE, 1).await?;
    let mut readings = Vec::with_capacity(READINGS);
    for _ in 0..READINGS {
        ours.run((options.requests / READINGS).max(1), options.window).await?;
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

/// Starts a server on topics of its own and waits until it answers.
async fn start(
    broker: &Broker,
    name: &str,
    subject: fn(Route) -> Subject,
    expected: &'static str,
    warm_up: usize,
) -> Result<Ready, String> {
    let route = route(broker, name);
    broker.create_topics([&route.requests, &route.replies]).await?;
    let link = Link::open(&route, expected)?;
    let server = Server::start(&subject(route))?;
    // The first answers take seconds, while the group settles; then the brokers' code gets warm.
    let ready = Ready { link, server };
    ready.run(1, 1).await?;
    ready.run(warm_up, 256).await?;
    Ok(ready)
}

/// Topics and a group that are new in each run: a broker may outlive one.
fn route(broker: &Broker, name: &str) -> Route {
    let unique = format!("bench-{name}-{}", std::process::id());
    Route {
        brokers: broker.address.clone(),
        requests: format!("{unique}-requests"),
        replies: format!("{unique}-replies"),
        group: unique,
        fetch_wait_ms: broker.fetch_wait_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The echo, the driver's link and the in-process broker, all in this process.
    async fn echo(expected: &'static str) -> Result<crate::stats::Sample, String> {
        let broker = Broker::in_process()?;
        let route = route(&broker, "test");
        broker.create_topics([&route.requests, &route.replies]).await?;
        let link = Link::open(&route, expected)?;
        let payload = &requests::record(Ask::Message);
        tokio::select! {
            ended = echo::serve(&route, || ()) => Err(format!("the echo ended: {ended:?}")),
            sample = link.run(Requests { payload, count: 50, window: 8 }) => sample,
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
        assert!(reason.contains("ROLE_AGENT"), "{reason}");
    }
}
