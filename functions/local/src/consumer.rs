//! rdkafka's consumer, set up.
//!
//! Owns: its settings, and noticing which partitions were taken away. Must never know: batches.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance, StreamConsumer},
    error::KafkaError,
    util::Timeout,
};

/// How records are consumed.
#[derive(Clone, Debug, Default)]
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
    /// How long the broker may hold a fetch back until there is a record. A real broker answers as
    /// soon as there is one; the embedded one always waits that long.
    pub fetch_wait: Duration,
}

/// The consumer of one topic.
pub type Consumer = StreamConsumer<Revoked>;

/// Which partitions were taken away since this was last asked.
#[derive(Debug, Default)]
pub struct Revoked(Mutex<Vec<i32>>);

impl Revoked {
    /// Those partitions.
    pub fn take_revoked(&self) -> Vec<i32> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Revoked {}

impl ConsumerContext for Revoked {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            let taken =
                partitions.elements().iter().map(|element| element.partition()).collect::<Vec<_>>();
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(taken);
        }
    }
}

/// Begins to consume.
///
/// # Errors
/// When librdkafka refuses the settings or, without a group, the broker does not answer within 5
/// seconds.
pub fn subscribe(source: &Source) -> Result<Consumer, KafkaError> {
    let consumer: Consumer = settings(source).create_with_context(Revoked::default())?;
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

fn settings(source: &Source) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &source.brokers)
        .set("group.id", source.group.as_deref().unwrap_or("a2a-embedded"))
        .set("auto.offset.reset", "earliest")
        // An offset is stored once its record is answered, and what is stored is committed soon
        // after.
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "200")
        .set("fetch.wait.max.ms", source.fetch_wait.as_millis().to_string())
        // A runner that died holds its partitions no longer than this: the least a broker allows by
        // default.
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "2000")
        // What waits in this process, in kilobytes; the lanes bound the rest.
        .set("queued.max.messages.kbytes", "16384")
        .set("log.connection.close", "false");
    config
}
