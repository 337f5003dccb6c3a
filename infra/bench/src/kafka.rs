//! Requests a second over Kafka: a raw consume-and-produce echo beside our path, first on the
//! in-process broker of librdkafka, then on the real one.

pub(crate) mod broker;
pub(crate) mod echo;
mod link;
pub(crate) mod settings;

use crate::child::Server;
use crate::cli::{Options, Route, Subject};
use crate::report::{Aim, Row};
use crate::requests;
use crate::subjects::Ask;
use broker::Broker;
use link::Link;

/// What we want of the raw echo's rate.
const SHARE: f64 = 0.60;
/// Round trips of a sample without any other request beside them.
const ALONE: usize = 200;
/// Records before the first sample, at most.
const WARM_UP: usize = 5_000;

/// A running server and the driver's way to it.
struct Ready {
    link: Link,
    _server: Server,
}

/// Measures every broker there is.
pub(crate) async fn rows(options: &Options) -> Result<Vec<Row>, String> {
    let mut rows = on(options, &Broker::in_process()?).await?;
    match &options.kafka {
        Some(address) => rows.extend(on(options, &Broker::real(address)).await?),
        None => eprintln!("a2a-bench: no real broker: A2A_BENCH_KAFKA is not set"),
    }
    Ok(rows)
}

async fn on(options: &Options, broker: &Broker) -> Result<Vec<Row>, String> {
    let warm_up = options.records.min(WARM_UP);
    let limit = start(broker, "echo", Subject::KafkaEcho, requests::ECHOED, warm_up).await?;
    let ours = match options.limits_only {
        true => None,
        false => {
            let expected = requests::expected(Ask::Message);
            Some(start(broker, "agent", Subject::KafkaAgent, expected, warm_up).await?)
        }
    };
    let name = broker.name();
    let window = options.window;
    let mut many =
        Row::new(format!("Kafka, {name}, {window} in flight"), "req/s", Aim::ShareOfLimit(SHARE));
    let mut alone = Row::new(format!("Kafka, {name}, one at a time"), "req/s", Aim::None);
    for _ in 0..options.samples {
        many.limit.push(limit.link.run(options.records, window).await?);
        if let Some(ours) = &ours {
            many.ours.push(ours.link.run(options.records, window).await?);
        }
    }
    for _ in 0..options.samples {
        alone.limit.push(limit.link.run(ALONE, 1).await?);
        if let Some(ours) = &ours {
            alone.ours.push(ours.link.run(ALONE, 1).await?);
        }
    }
    Ok(vec![many, alone])
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
    let link = Link::open(&route, requests::record(Ask::Message), expected)?;
    let server = Server::start(&subject(route))?;
    // The first answers take seconds, while the group settles; then the brokers' code gets warm.
    link.run(1, 1).await?;
    link.run(warm_up, 256).await?;
    Ok(Ready { link, _server: server })
}

/// Topics and a group that are new in each run: a broker may outlive one.
fn route(broker: &Broker, name: &str) -> Route {
    let unique = format!("bench-{name}-{}", std::process::id());
    Route {
        brokers: broker.address(),
        requests: format!("{unique}-requests"),
        replies: format!("{unique}-replies"),
        group: unique,
        fetch_wait_ms: broker.fetch_wait_ms(),
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
        let link = Link::open(&route, requests::record(Ask::Message), expected)?;
        tokio::select! {
            ended = echo::serve(&route, || ()) => Err(format!("the echo ended: {ended:?}")),
            sample = link.run(50, 8) => sample,
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
