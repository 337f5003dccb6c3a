//! rdkafka's consumer, set up.
//!
//! Owns: its settings, and when partitions that are taken away are let go of. Must never know:
//! batches.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, StreamConsumer},
    error::KafkaError,
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
    /// How many records a batch holds at most.
    pub batch_size: usize,
    /// How long a batch waits to fill.
    pub window: Duration,
    /// How long the broker may hold a fetch back until there is a record. A real broker answers as
    /// soon as there is one; the embedded one always waits that long.
    pub fetch_wait: Duration,
}

/// The consumer of one topic.
pub type Consumer = StreamConsumer<Assignment>;

/// What becomes of the partitions when the group's members change.
///
/// Another member gets a partition once this one lets go of it. Whoever is at work on its records
/// takes the time to finish first: else two would be at work on the same record.
#[derive(Debug, Default)]
pub struct Assignment {
    state: Mutex<State>,
    taken: Notify,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nobody is at work: what is taken away is let go of at once.
    #[default]
    Idle,
    /// Somebody may be at work.
    AtWork,
    /// What this consumer had is taken away.
    Taken(Taken),
}

/// How partitions are taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The group waits until they are let go of.
    Asked,
    /// The group took this consumer for dead: others have them already.
    Lost,
}

impl Assignment {
    /// Resolves when the partitions are taken away.
    pub async fn taken(&self) {
        self.taken.notified().await;
    }

    /// Whether they are taken away and not let go of.
    pub fn is_taken(&self) -> Option<Taken> {
        match *self.state() {
            State::Taken(taken) => Some(taken),
            State::Idle | State::AtWork => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what is taken away, if somebody may be at work on it.
    fn keep(&self, taken: Taken) -> bool {
        let mut state = self.state();
        let keeps = *state != State::Idle;
        if keeps {
            *state = State::Taken(taken);
            self.taken.notify_one();
        }
        keeps
    }
}

/// From now on partitions that are taken away are kept until [`let_go`].
pub fn hold(consumer: &Consumer) {
    *consumer.context().state() = State::AtWork;
}

/// Lets go of the partitions that are taken away; what comes next is kept again.
pub fn let_go(consumer: &Consumer) {
    let before = std::mem::replace(&mut *consumer.context().state(), State::AtWork);
    if before == State::Taken(Taken::Asked) {
        log(consumer.unassign());
    }
}

/// From now on nobody is at work: the consumer can be dropped, which lets go of everything.
pub fn release(consumer: &Consumer) {
    let_go(consumer);
    *consumer.context().state() = State::Idle;
}

fn log(outcome: Result<(), KafkaError>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "the group's partitions could not be taken or let go of");
    }
}

impl ClientContext for Assignment {}

impl ConsumerContext for Assignment {
    /// librdkafka waits until it is told that the partitions are let go of, however long after this.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let is_lost = consumer.assignment_lost();
        let taken = if is_lost { Taken::Lost } else { Taken::Asked };
        log(match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => consumer.assign(partitions),
            _ if self.keep(taken) && !is_lost => return,
            _ => consumer.unassign(),
        });
    }
}

/// Begins to consume.
///
/// # Errors
/// When librdkafka refuses the settings or, without a group, the broker does not answer within 5
/// seconds.
pub fn subscribe(source: &Source) -> Result<Consumer, KafkaError> {
    let consumer: Consumer = settings(source).create_with_context(Assignment::default())?;
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
