//! Batches of records that cannot be decoded: an unknown codec, a wrong checksum.
//!
//! Owns: finding the partition that such a batch holds up, and passing over it after a while, each
//! record a dead letter. Must never know: lanes, windows.
//!
//! rdkafka's error does not say which partition it is of. It is one whose position has stood still
//! since the first such error, although there is more to read. While its batch is passed over,
//! record by record, the other partitions are paused: so an error is of no other one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use a2a_core::wire::kafka::Origin;
use a2a_kafka::RecordHandler;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    types::RDKafkaErrorCode as Code,
};
use tokio::time::Instant;

use super::work::Work;
use crate::{
    consumer::{self, Consumer, Source},
    health::Health,
};

/// How long without an error shows that the batch is passed over.
const QUIET: Duration = Duration::from_secs(1);
/// How long the broker may take to say where a partition begins and ends.
const BROKER: Duration = Duration::from_secs(5);
const REASON: &str = "The record is in a batch that cannot be decoded.";

pub(super) struct Undecodable {
    source: Source,
    records: RecordHandler,
    health: Health,
    patience: Duration,
    failing: Option<Failing>,
}

/// Since the first error.
struct Failing {
    since: Instant,
    latest: Instant,
    /// Partitions of which a record was received meanwhile: it is none of them.
    alive: BTreeSet<i32>,
    /// The partition whose batch is passed over, and its next offset.
    passing: Option<(i32, i64)>,
}

impl Undecodable {
    pub(super) fn new(source: &Source, records: &RecordHandler, work: &Work) -> Self {
        let (source, records) = (source.clone(), records.clone());
        let (health, patience) = (work.health.clone(), work.undecodable);
        Self { source, records, health, patience, failing: None }
    }

    /// The consumer has failed. It is told once, and for `/health` as long as it lasts.
    pub(super) fn failed(&mut self, consumer: &Consumer, error: &KafkaError) {
        let Source { topic, brokers, .. } = &self.source;
        let sentence = format!("The topic {topic} cannot be read from {brokers}: {error}.");
        if self.health.trouble(topic, sentence) {
            tracing::error!(topic, %error, "Kafka cannot be read; it is retried");
        }
        if !is_of_one_batch(error) {
            return;
        }
        let now = Instant::now();
        let failing = self.failing.get_or_insert_with(|| Failing {
            since: now,
            latest: now,
            alive: BTreeSet::new(),
            passing: None,
        });
        failing.latest = now;
        if let Some((partition, offset)) = failing.passing {
            failing.passing = Some((partition, offset + 1));
            self.pass_over(consumer, partition, offset);
        }
    }

    /// A record of that partition was received. Answers whether every partition was resumed with it.
    pub(super) fn received(&mut self, consumer: &Consumer, partition: i32) -> bool {
        match &mut self.failing {
            None => _ = self.health.recovered(&self.source.topic),
            Some(failing) => _ = failing.alive.insert(partition),
        }
        let passing = self.failing.as_ref().and_then(|it| it.passing);
        passing.is_some_and(|(passed, _)| passed == partition) && self.end(consumer)
    }

    /// Begins to pass over a batch that has held its partition up for too long, and ends it. Answers
    /// whether every partition was resumed with it.
    pub(super) async fn tick(&mut self, consumer: &Consumer) -> bool {
        let Some(failing) = &self.failing else { return false };
        if failing.latest.elapsed() > QUIET {
            return self.end(consumer);
        }
        if failing.passing.is_some() || failing.since.elapsed() < self.patience {
            return false;
        }
        let Some((partition, offset)) = self.stuck(consumer).await else { return false };
        if let Some(failing) = &mut self.failing {
            failing.passing = Some((partition, offset + 1));
        }
        pause_others(consumer, partition, true);
        self.pass_over(consumer, partition, offset);
        false
    }

    /// A partition that stands still although there is more to read, and where.
    async fn stuck(&self, consumer: &Consumer) -> Option<(i32, i64)> {
        let alive = &self.failing.as_ref()?.alive;
        let positions = consumer.position().ok()?;
        let suspects = positions.elements().into_iter().map(|it| (it.partition(), it.offset()));
        let suspects = Vec::from_iter(suspects.filter(|(partition, _)| !alive.contains(partition)));
        let source = self.source.clone();
        let found = tokio::task::spawn_blocking(move || first_stuck(&source, suspects)).await;
        found.ok()?.inspect_err(|error| tracing::warn!(%error, "offsets are not known")).ok()?
    }

    /// Passes over one record: a dead letter says where it was.
    fn pass_over(&self, consumer: &Consumer, partition: i32, offset: i64) {
        let topic = self.source.topic.clone();
        let seek = consumer.seek(&topic, partition, Offset::Offset(offset + 1), Duration::ZERO);
        if let Err(error) = seek {
            tracing::warn!(partition, offset, %error, "a batch could not be passed over");
        }
        let records = self.records.clone();
        tokio::spawn(async move {
            let (topic, partition) = (Some(&*topic), Some(partition));
            let origin = Origin { topic, partition, offset: Some(offset), ..Origin::default() };
            if !records.put_raw(String::new(), REASON, &origin).await {
                tracing::error!(?origin, "the dead letter was not produced");
            }
        });
    }

    fn end(&mut self, consumer: &Consumer) -> bool {
        self.health.recovered(&self.source.topic);
        let passing = self.failing.take().and_then(|it| it.passing);
        if let Some((partition, _)) = passing {
            pause_others(consumer, partition, false);
        }
        passing.is_some()
    }
}

fn is_of_one_batch(error: &KafkaError) -> bool {
    let codes = [
        Code::BadMessage,
        Code::BadCompression,
        Code::NotImplemented,
        Code::InvalidMessage,
        Code::InvalidMessageSize,
    ];
    matches!(error, KafkaError::MessageConsumption(code) if codes.contains(code))
}

/// Asked by a client of its own: the consumer's would wait with it.
fn first_stuck(
    source: &Source,
    suspects: Vec<(i32, Offset)>,
) -> Result<Option<(i32, i64)>, KafkaError> {
    let client: BaseConsumer = consumer::settings(source).create()?;
    let mut all = TopicPartitionList::new();
    suspects.iter().for_each(|(partition, _)| _ = all.add_partition(&source.topic, *partition));
    let committed = match source.group {
        Some(_) => client.committed_offsets(all, BROKER)?,
        None => TopicPartitionList::new(),
    };
    let committed: BTreeMap<i32, Offset> =
        committed.elements().iter().map(|it| (it.partition(), it.offset())).collect();
    for (partition, position) in suspects {
        let (low, high) = client.fetch_watermarks(&source.topic, partition, BROKER)?;
        let known = [Some(position), committed.get(&partition).copied()].into_iter().flatten();
        let known =
            known.filter_map(|it| if let Offset::Offset(at) = it { Some(at) } else { None });
        let at = known.max().unwrap_or(low).max(low);
        if at < high {
            return Ok(Some((partition, at)));
        }
    }
    Ok(None)
}

/// Pauses every other assigned partition, or resumes them.
fn pause_others(consumer: &Consumer, partition: i32, pause: bool) {
    let outcome = consumer.assignment().and_then(|assigned| {
        let mut others = TopicPartitionList::new();
        for it in assigned.elements().iter().filter(|it| it.partition() != partition) {
            others.add_partition(it.topic(), it.partition());
        }
        if pause { consumer.pause(&others) } else { consumer.resume(&others) }
    });
    if let Err(error) = outcome {
        tracing::warn!(%error, "partitions could not be paused or resumed");
    }
}
