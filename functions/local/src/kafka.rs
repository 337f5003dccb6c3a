//! The consumer: what Lambda's event source mapping does, on this machine.
//!
//! Owns: making batches of records, handing them to the function as Lambda's event JSON, and moving offsets as far as
//! its answer allows. Must never know: what a record says.

use std::{collections::BTreeMap, time::Duration};

use a2a_core::wire::kafka::Record;
use a2a_kafka::{BatchResponse, KafkaEvent, KafkaFunction, event};
use bytes::Bytes;
use futures_util::FutureExt;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
    util::Timeout,
};
use tokio_util::sync::CancellationToken;

/// How records are consumed.
#[derive(Clone, Debug)]
pub struct Source {
    /// The brokers, `HOST:PORT`, comma-separated.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// The consumer group; none takes all partitions without one, for the embedded broker.
    pub group: Option<String>,
    /// How many records a batch holds at most.
    pub batch_size: usize,
    /// How long a batch waits to fill.
    pub window: Duration,
    /// How long the broker may hold a fetch back until there is a record. A real broker answers as soon as there is
    /// one; the embedded one always waits that long.
    pub fetch_wait: Duration,
}

/// The shortest and the longest pause before records are delivered again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Consumes until `stop`; then the batch in hand is finished and its offsets are committed.
///
/// # Errors
/// One sentence for the user when consuming cannot begin or cannot go on.
pub async fn consume(
    source: Source,
    function: KafkaFunction,
    stop: CancellationToken,
) -> Result<(), String> {
    let consumer = subscribe(&source).map_err(|error| {
        format!("The topic {} cannot be consumed from {}: {error}.", source.topic, source.brokers)
    })?;
    let mut pause = PAUSE.0;
    loop {
        let batch = tokio::select! {
            batch = next_batch(&consumer, &source) => batch,
            () = stop.cancelled() => break,
        };
        let response = deliver(&source, &function, &batch).await;
        let failed = settle(&consumer, &source, &batch, &response);
        if !failed {
            pause = PAUSE.0;
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE.1),
            () = stop.cancelled() => break,
        }
    }
    match consumer.commit_consumer_state(CommitMode::Sync) {
        Ok(()) | Err(KafkaError::ConsumerCommit(rdkafka::types::RDKafkaErrorCode::NoOffset)) => Ok(()),
        Err(error) => Err(format!("The last offsets were not committed: {error}.")),
    }
}

fn subscribe(source: &Source) -> Result<StreamConsumer, KafkaError> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &source.brokers)
        .set("group.id", source.group.as_deref().unwrap_or("a2a-embedded"))
        .set("auto.offset.reset", "earliest")
        // An offset is stored once its record is answered, and what is stored is committed soon after.
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "200")
        .set("fetch.wait.max.ms", source.fetch_wait.as_millis().to_string())
        .set("log.connection.close", "false");
    let consumer: StreamConsumer = config.create()?;
    if source.group.is_some() {
        consumer.subscribe(&[&source.topic])?;
        return Ok(consumer);
    }
    let timeout = Timeout::After(Duration::from_secs(5));
    let metadata = consumer.fetch_metadata(Some(&source.topic), timeout)?;
    let mut all = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        all.add_partition_offset(&source.topic, partition.id(), Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    Ok(consumer)
}

type Batch = BTreeMap<String, Vec<Record>>;

/// Waits for a record, then takes those that are there or come within the window.
async fn next_batch(consumer: &StreamConsumer, source: &Source) -> Batch {
    let mut batch = Batch::new();
    let mut until = None;
    for taken in 0..source.batch_size {
        let received = match until {
            None => consumer.recv().await,
            Some(_) if source.window.is_zero() => match consumer.recv().now_or_never() {
                Some(received) => received,
                None => break,
            },
            Some(until) => match tokio::time::timeout_at(until, consumer.recv()).await {
                Ok(received) => received,
                Err(_) => break,
            },
        };
        match received {
            Ok(message) => {
                let record = record(&message);
                batch.entry(name(&record.topic, record.partition)).or_default().push(record);
            }
            Err(error) => {
                tracing::warn!(%error, "Kafka could not be read; it is tried again");
                tokio::time::sleep(PAUSE.0).await;
            }
        }
        if taken == 0 {
            until = Some(tokio::time::Instant::now() + source.window);
        }
    }
    batch
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Record {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or_default(),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers: headers
            .map(|header| {
                let value = header.value.map(Bytes::copy_from_slice).unwrap_or_default();
                (header.key.to_owned(), value)
            })
            .collect(),
    }
}

/// As Lambda names a partition in its events.
fn name(topic: &str, partition: i32) -> String {
    format!("{topic}-{partition}")
}

/// Hands the batch over as Lambda does: as JSON. What cannot even be handed over is to come again.
async fn deliver(source: &Source, function: &KafkaFunction, batch: &Batch) -> Option<BatchResponse> {
    let event = event::write(&source.brokers, batch)
        .and_then(|json| serde_json::from_slice::<KafkaEvent>(&json));
    match event {
        Ok(event) => Some(function.handle(event, None).await),
        Err(error) => {
            tracing::error!(%error, "a batch could not be written as an event");
            None
        }
    }
}

/// Stores each partition's offset up to its first failure and goes back there. Answers whether there was one.
fn settle(
    consumer: &StreamConsumer,
    source: &Source,
    batch: &Batch,
    response: &Option<BatchResponse>,
) -> bool {
    let failures = response.as_ref().map(BatchResponse::first_failures);
    let mut any = false;
    for (partition, records) in batch {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { continue };
        let failed = match &failures {
            Some(failures) => failures.get(&**partition).copied(),
            None => Some(first.offset),
        };
        let next = failed.unwrap_or(last.offset + 1);
        let mut done = TopicPartitionList::new();
        // A partition that was taken away meanwhile belongs to another runner now, which sees the same records.
        let moved = done
            .add_partition_offset(&source.topic, last.partition, Offset::Offset(next))
            .and_then(|()| consumer.store_offsets(&done))
            .and_then(|()| match failed {
                Some(offset) => consumer.seek(
                    &source.topic,
                    last.partition,
                    Offset::Offset(offset),
                    Duration::from_secs(5),
                ),
                None => Ok(()),
            });
        if let Err(error) = moved {
            tracing::warn!(partition, %error, "an offset was not moved; another runner has the partition");
        }
        any |= failed.is_some();
    }
    any
}
