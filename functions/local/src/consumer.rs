//! rdkafka's consumer, set up.
//!
//! Owns: its settings, when revoked partitions are released, and what is kept of a message. Must
//! never know: lanes, batches.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use a2a_core::wire::kafka::{Record, header};
use bytes::Bytes;
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, Timestamp, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, StreamConsumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
    types::RDKafkaRespErr,
    util::Timeout,
};
use tokio::sync::Notify;

/// How records are consumed.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The brokers, `HOST:PORT`, comma-separated.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// The consumer group; none takes all partitions without one, for the embedded broker.
    pub group: Option<String>,
    /// How long the broker may hold a fetch back until there is a record. A real broker answers as
    /// soon as there is one; the embedded one always waits that long.
    pub fetch_wait: Duration,
}

/// The consumer of one topic.
pub type Consumer = StreamConsumer<Rebalance>;

/// What a rebalance does to this consumer's partitions.
///
/// Another member is assigned a revoked partition once this one releases it. A record that is being
/// worked on is finished before that: else two members would work on it.
#[derive(Debug, Default)]
pub struct Rebalance {
    state: Mutex<State>,
    revoked: Notify,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing is consumed: revoked partitions are released at once.
    #[default]
    Idle,
    /// Records may be worked on: revoked partitions are kept until they are released.
    Consuming,
    /// The partitions are revoked and not released.
    Revoked(Revocation),
}

/// How partitions are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The group waits until they are released.
    Requested,
    /// The group took this consumer for dead: they are assigned to others already.
    Lost,
}

impl Rebalance {
    /// Resolves when the partitions are revoked.
    pub async fn revoked(&self) {
        self.revoked.notified().await;
    }

    /// How they are revoked, while they are not released.
    pub fn revocation(&self) -> Option<Revocation> {
        match *self.state() {
            State::Revoked(revocation) => Some(revocation),
            State::Idle | State::Consuming => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Defers the release of revoked partitions, if their records may be worked on.
    fn defer(&self, revocation: Revocation) -> bool {
        let mut state = self.state();
        let defers = *state != State::Idle;
        if defers {
            *state = State::Revoked(revocation);
            self.revoked.notify_one();
        }
        defers
    }
}

/// A consumer whose revoked partitions are kept until [`release_revoked`]. Dropping it releases all of
/// them, and waits until the group knows.
pub struct Subscription(Consumer);

impl Subscription {
    /// From now on.
    fn new(consumer: Consumer) -> Self {
        *consumer.context().state() = State::Consuming;
        Self(consumer)
    }

    /// The consumer.
    pub fn consumer(&self) -> &Consumer {
        &self.0
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        release_revoked(&self.0);
        *self.0.context().state() = State::Idle;
    }
}

/// Releases the revoked partitions; the next revocation is deferred again.
pub fn release_revoked(consumer: &Consumer) {
    let before = std::mem::replace(&mut *consumer.context().state(), State::Consuming);
    if before == State::Revoked(Revocation::Requested) {
        log(consumer.unassign());
    }
}

fn log(outcome: Result<(), KafkaError>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "the group's partitions could not be assigned or released");
    }
}

impl ClientContext for Rebalance {}

impl ConsumerContext for Rebalance {
    /// librdkafka waits until it is told that the partitions are released, however long after this.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let is_lost = consumer.assignment_lost();
        let revocation = if is_lost { Revocation::Lost } else { Revocation::Requested };
        log(match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => consumer.assign(partitions),
            _ if self.defer(revocation) && !is_lost => return,
            _ => consumer.unassign(),
        });
    }
}

/// Begins to consume.
///
/// # Errors
/// One sentence for the user when librdkafka refuses the settings or, without a group, the broker does
/// not answer within 5 seconds.
pub async fn open(source: &Source) -> Result<Subscription, String> {
    let to_subscribe = source.clone();
    let subscribed = tokio::task::spawn_blocking(move || subscribe(&to_subscribe)).await;
    let why = match subscribed {
        Ok(Ok(consumer)) => return Ok(Subscription::new(consumer)),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    Err(format!("The topic {} cannot be consumed from {}: {why}.", source.topic, source.brokers))
}

/// Waits until that time; for ever, where there is none.
pub async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn subscribe(source: &Source) -> Result<Consumer, KafkaError> {
    let consumer: Consumer = settings(source).create_with_context(Rebalance::default())?;
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

pub(crate) fn settings(source: &Source) -> ClientConfig {
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
        // A batch that cannot be decoded is fetched again and again.
        .set("fetch.error.backoff.ms", "50")
        .set("fetch.wait.max.ms", source.fetch_wait.as_millis().to_string())
        // A runner that died holds its partitions no longer than this: the least a broker allows by
        // default.
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "2000")
        // What waits in this process, in kilobytes; the partitions' queues bound the rest.
        .set("queued.max.messages.kbytes", "16384")
        .set("log.connection.close", "false");
    config
}

/// A message as a record. Of more headers than a request may have only so many are kept as show it.
pub fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Record {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or_default(),
        broker_time: matches!(message.timestamp(), Timestamp::LogAppendTime(_)),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        headers: header::bounded(headers.map(|it| (it.key, it.value.unwrap_or_default()))),
    }
}
