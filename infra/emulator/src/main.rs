//! An event source mapping for a developer's machine: pours a topic's records into the Kafka
//! function that `cargo lambda watch` serves, and re-drives them by its answer.

use std::{process::ExitCode, time::Duration};

use a2a_core::kafka::Topics;
use a2a_emulator::event_source::WatchedFunction;
use a2a_local::{broker, consumer::Source, kafka, lane::Delivery};
use clap::{ArgAction, Parser};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long the batches in hand may take to end when the program is to.
const GRACE: Duration = Duration::from_secs(5);

/// Does what a Kafka event source mapping of Lambda's does: takes the records of
/// agent.NAME.requests, hands them to the function in batches, and delivers again what it says is
/// not done.
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
    /// Where `cargo lambda watch` listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9000")]
    invoke_address: String,
    /// How long an invocation may take, in seconds, with the function's build where that is due
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// How many records a batch holds at most, of all its partitions (1 to 10000)
    #[arg(long, env = "A2A_BATCH_SIZE", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    batch_size: u16,
    /// How long a batch waits to fill, in milliseconds; 0 takes what is there
    #[arg(long, env = "A2A_BATCH_WINDOW_MS", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=300_000))]
    window_ms: u64,
    /// How often records come again before they are passed over; -1 is for ever, as is Lambda's
    /// default
    #[arg(long, default_value_t = 5, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i32).range(-1..=10_000))]
    retries: i32,
    /// Whether the records of an invocation that failed come again in halves
    #[arg(long, default_value_t = true, action = ArgAction::Set, value_name = "BOOL")]
    bisect: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    a2a_lambda::logs::init();
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Delivers until a signal. Then the batches in hand are finished, if that does not take long.
async fn run(options: Options) -> Result<(), String> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let topics = Topics::of(&options.name);
    // Three partitions, as the local runner makes them.
    broker::create_topics(&options.kafka, &topics, 3).await?;
    let limit = Duration::from_secs(options.timeout);
    let function = WatchedFunction::new(&options.invoke_address, &options.function, limit);
    let stop = CancellationToken::new();
    let (source, delivery) = (source(&options, topics.requests), delivery(&options));
    println!(
        "Records of {} go to {} at {}.",
        source.topic, options.function, options.invoke_address
    );
    let mut delivering = tokio::spawn(kafka::deliver(source, delivery, function, stop.clone()));
    tokio::select! {
        ended = &mut delivering => return ended.map_err(|error| error.to_string())?,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stop.cancel();
    match tokio::time::timeout(GRACE, delivering).await {
        Ok(ended) => ended.map_err(|error| error.to_string())?,
        // What was not finished comes again at the next start. Not by returning: librdkafka would
        // be waited for, and the broker may be gone.
        Err(_) => std::process::exit(130),
    }
}

fn source(options: &Options, topic: String) -> Source {
    Source {
        brokers: options.kafka.clone(),
        topic,
        // Not the local runner's: both may serve the same broker, and each sees every record.
        group: Some(format!("lambda.{}", options.name)),
        batch_size: usize::from(options.batch_size),
        window: Duration::from_millis(options.window_ms),
        fetch_wait: Duration::from_millis(500),
    }
}

fn delivery(options: &Options) -> Delivery {
    let retries = u32::try_from(options.retries).ok();
    Delivery { together: true, bisect: options.bisect, retries }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn retries_without_end_are_none() {
        Options::command().debug_assert();
        let of = |arguments: &[&str]| {
            let all = std::iter::once(&"a2a-event-source").chain(arguments);
            delivery(&Options::try_parse_from(all).unwrap())
        };
        assert_eq!((of(&[]).retries, of(&[]).bisect), (Some(5), true));
        assert_eq!(of(&["--retries", "-1"]).retries, None);
        assert!(!of(&["--bisect", "false"]).bisect);
    }
}
