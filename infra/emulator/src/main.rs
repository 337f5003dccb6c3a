//! An event source mapping for a developer's machine: pours a topic's records into a Kafka function,
//! wherever it is served, and re-drives them by its answer.

use std::{process::ExitCode, time::Duration};

use a2a_core::kafka::Topics;
use a2a_emulator::{
    destination::Destination,
    event_source::LambdaFunction,
    invoke::{Endpoint, PAYLOAD},
    mapping,
    partition::Delivery,
    start::Start,
};
use a2a_local::{broker, consumer::Source};
use clap::{ArgAction, Parser};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long the batches in hand may take to end when the program is to.
const GRACE: Duration = Duration::from_secs(5);

/// How many partitions a new topic has: as many as the local runner gives it.
const PARTITIONS: i32 = 3;

/// How often records are retried that are to be for ever, where there is a topic for them: Lambda's
/// number.
const RETRIES_WITH_DESTINATION: u32 = 10;

/// Does what a Kafka event source mapping of Lambda's does: takes the records of
/// agent.NAME.requests, hands them to the function in batches of at most 6 MB, and delivers again
/// what it says is not done.
///
/// Left out: filters (FilterCriteria), schema registries, provisioned pollers (here one invocation
/// at a time serves a partition, partitions go in parallel), logins to the brokers, and destinations
/// that are no Kafka topic.
#[derive(Debug, Parser)]
#[command(name = "a2a-event-source", version)]
struct Options {
    /// The brokers: HOST:PORT, or several with commas
    #[arg(long, env = "A2A_KAFKA", value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    kafka: String,
    /// The agent's name, which names its topics; those that are missing are created
    #[arg(long, env = "A2A_NAME", default_value = "data")]
    name: String,
    /// The function's name
    #[arg(long, default_value = "a2a-kafka")]
    function: String,
    /// Where `cargo lambda watch` listens, or another that serves functions by their names
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9000")]
    invoke_address: String,
    /// Instead, the whole URL that invokes the function, as of AWS's container emulator:
    /// http://HOST:PORT/2015-03-31/functions/function/invocations
    #[arg(long, value_name = "URL", conflicts_with = "invoke_address")]
    endpoint: Option<String>,
    /// How long an invocation may take, in seconds, with the function's build where that is due
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// Where the first delivery begins: trim-horizon, latest, or at a time such as
    /// 2026-01-31T12:00:00Z. Later ones go on where it was
    #[arg(long, value_name = "POSITION", default_value = "trim-horizon")]
    start: Start,
    /// How many records a batch holds at most, of all its partitions (1 to 10000)
    #[arg(long, env = "A2A_BATCH_SIZE", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch_size: u16,
    /// How long a batch waits to fill, in milliseconds; 0 takes what is there
    #[arg(long, env = "A2A_BATCH_WINDOW_MS", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=300_000))]
    window_ms: u64,
    /// How often records are retried before they are passed over; -1 is for ever, as is Lambda's
    /// default, but ten times where there is an on-failure topic
    #[arg(long, default_value_t = 5, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i32).range(-1..=10_000))]
    retries: i32,
    /// How old a record may be, in seconds (60 to 604800), before it is passed over; -1 is for
    /// ever, as is Lambda's default
    #[arg(long, value_name = "SECONDS", default_value_t = -1, allow_negative_numbers = true)]
    #[arg(value_parser = age)]
    max_age: i32,
    /// Whether the records of an invocation that failed are redelivered in halves
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    bisect: bool,
    /// Whether the function's answer says what is to be redelivered (ReportBatchItemFailures)
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    report_failures: bool,
    /// The topic for records that are passed over; it is created if it is missing. Without one they
    /// are only printed
    #[arg(long, value_name = "TOPIC")]
    on_failure: Option<String>,
}

fn age(text: &str) -> Result<i32, String> {
    let age = text.parse().ok().filter(|age| *age == -1 || (60..=604_800).contains(age));
    age.ok_or_else(|| "write 60 to 604800 seconds, or -1".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    a2a_lambda::logs::init();
    let Err(sentence) = run(options).await else { return ExitCode::SUCCESS };
    eprintln!("{sentence}");
    ExitCode::FAILURE
}

/// Delivers until a signal. Then the batches in hand are finished, if that does not take long.
async fn run(options: Options) -> Result<(), String> {
    let listen = |kind| signal(kind).map_err(|error| error.to_string());
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let topics = Topics::of(&options.name);
    broker::create_topics(&options.kafka, &topics, PARTITIONS).await?;
    let (source, delivery) = (source(&options, topics.requests), delivery(&options));
    let function = function(&options, &source).await?;
    options.start.prepare(&source.brokers, &source.topic, &group(&options)).await?;
    let stop = CancellationToken::new();
    let whereto = options.endpoint.as_ref().unwrap_or(&options.invoke_address);
    println!("Records of {} go to {} at {whereto}.", source.topic, options.function);
    let mut delivering = tokio::spawn(mapping::deliver(source, delivery, function, stop.clone()));
    tokio::select! {
        ended = &mut delivering => return ended.map_err(|error| error.to_string())?,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stop.cancel();
    match tokio::time::timeout(GRACE, delivering).await {
        Ok(ended) => ended.map_err(|error| error.to_string())?,
        // What was not finished is redelivered at the next start. Not by returning: librdkafka would
        // be waited for, and the broker may be gone.
        Err(_) => std::process::exit(130),
    }
}

/// Not the local runner's: both may serve the same broker, and each sees every record.
fn group(options: &Options) -> String {
    format!("lambda.{}", options.name)
}

fn source(options: &Options, topic: String) -> Source {
    Source {
        brokers: options.kafka.clone(),
        topic,
        group: Some(group(options)),
        fetch_wait: Duration::from_millis(500),
    }
}

fn delivery(options: &Options) -> Delivery {
    let endless = options.on_failure.as_ref().map(|_| RETRIES_WITH_DESTINATION);
    Delivery {
        batch_size: usize::from(options.batch_size),
        window: Duration::from_millis(options.window_ms),
        together: true,
        bisect: options.bisect,
        retries: u32::try_from(options.retries).ok().or(endless),
        age: u64::try_from(options.max_age).ok().map(Duration::from_secs),
        payload: Some(PAYLOAD),
    }
}

async fn function(options: &Options, source: &Source) -> Result<LambdaFunction, String> {
    let limit = Duration::from_secs(options.timeout);
    let endpoint = match &options.endpoint {
        Some(url) => Endpoint::at(url, limit)?,
        None => Endpoint::of(&options.invoke_address, &options.function, limit)?,
    };
    let destination = match &options.on_failure {
        Some(topic) => Some(Destination::open(source, topic, PARTITIONS).await?),
        None => None,
    };
    let (name, reports) = (options.function.as_str().into(), options.report_failures);
    Ok(LambdaFunction { name, endpoint, reports, destination })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn options_mean_what_they_mean_on_lambda() {
        Options::command().debug_assert();
        let parsed = |arguments: &[&str]| {
            let all = std::iter::once(&"a2a-event-source").chain(arguments);
            Options::try_parse_from(all)
        };
        let of = |arguments: &[&str]| delivery(&parsed(arguments).unwrap());
        let plain = of(&[]);
        assert_eq!((plain.retries, plain.age, plain.bisect), (Some(5), None, true));
        assert_eq!(of(&["--retries", "-1"]).retries, None);
        assert_eq!(of(&["--retries", "-1", "--on-failure", "t"]).retries, Some(10));
        assert_eq!(of(&["--max-age", "60"]).age, Some(Duration::from_secs(60)));
        assert!(!of(&["--bisect", "false"]).bisect);
        for wrong in [["--max-age", "59"], ["--start", "soon"], ["--retries", "-2"]] {
            assert!(parsed(&wrong).is_err(), "{wrong:?}");
        }
    }
}
