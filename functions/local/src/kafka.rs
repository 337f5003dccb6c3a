//! The consumer: what Lambda's event source mapping does, on this machine.
//!
//! Owns: one lane per partition, batches, handing them to the function as Lambda's event JSON,
//! moving offsets as far as its answer allows, and delivering again what is not done. Must never
//! know: what a record says.
//!
//! As on Lambda, one invocation at a time serves a partition and partitions go in parallel. While
//! an invocation is under way the partition's next records gather, so batches form by themselves.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use a2a_core::wire::kafka::Record;
use a2a_kafka::{BatchResponse, KafkaEvent, KafkaFunction, event};
use bytes::Bytes;
use futures_util::FutureExt;
use rdkafka::{
    Message, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
    types::RDKafkaErrorCode,
};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    consumer::{self, Consumer, Source},
    lane::{Batch, Lane},
};

/// How long Kafka is left alone after an error.
const PAUSE: Duration = Duration::from_millis(100);

/// Consumes until `stop`; then the batches in hand are finished and their offsets committed.
///
/// # Errors
/// One sentence for the user when consuming cannot begin or cannot end well.
pub async fn consume(
    source: Source,
    function: KafkaFunction,
    stop: CancellationToken,
) -> Result<(), String> {
    let cannot = |why: &dyn std::fmt::Display| {
        format!("The topic {} cannot be consumed from {}: {why}.", source.topic, source.brokers)
    };
    let to_subscribe = source.clone();
    let consumer = tokio::task::spawn_blocking(move || consumer::subscribe(&to_subscribe))
        .await
        .map_err(|error| cannot(&error))?
        .map_err(|error| cannot(&error))?;
    let mut lanes = Lanes {
        source: Arc::new(source),
        consumer,
        function,
        lanes: BTreeMap::new(),
        generation: 0,
        invocations: JoinSet::new(),
    };
    lanes.run(stop).await?;
    match lanes.consumer.commit_consumer_state(CommitMode::Sync) {
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
        Err(error) => Err(format!("The last offsets were not committed: {error}.")),
    }
}

/// All partitions of the topic that this runner has.
struct Lanes {
    source: Arc<Source>,
    consumer: Consumer,
    function: KafkaFunction,
    lanes: BTreeMap<i32, Lane>,
    /// How many lanes there have been.
    generation: u64,
    invocations: JoinSet<(Batch, Option<BatchResponse>)>,
}

impl Lanes {
    async fn run(&mut self, stop: CancellationToken) -> Result<(), String> {
        while !stop.is_cancelled() {
            let retry = self.lanes.values().filter_map(Lane::waits_until).min();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.invocations.join_next() => self.settle(done)?,
                received = self.consumer.recv() => {
                    let received = received.map(|message| record(&message));
                    self.take(received).await;
                }
                () = sleep_until(retry) => {}
            }
            self.drop_revoked();
            self.invoke();
        }
        self.finish().await
    }

    /// Waits for the invocations under way. Kafka is asked on meanwhile, or it would give the
    /// partitions away, but what it still hands out is left to the next runner.
    async fn finish(&mut self) -> Result<(), String> {
        if let Err(error) = self.consumer.assignment().and_then(|all| self.consumer.pause(&all)) {
            tracing::warn!(%error, "the partitions could not be paused");
        }
        while !self.invocations.is_empty() {
            tokio::select! {
                biased;
                Some(done) = self.invocations.join_next() => self.settle(done)?,
                _ = self.consumer.recv() => {}
            }
            self.drop_revoked();
        }
        Ok(())
    }

    /// Takes a record, and those that are there already.
    async fn take(&mut self, first: Result<Record, KafkaError>) {
        let mut received = first;
        for _ in 0..self.source.batch_size {
            match received {
                Ok(record) => self.put(record),
                Err(error) => {
                    tracing::warn!(%error, "Kafka could not be read; it is tried again");
                    return tokio::time::sleep(PAUSE).await;
                }
            }
            received = match self.consumer.recv().now_or_never() {
                Some(next) => next.map(|message| record(&message)),
                None => return,
            };
        }
        if let Ok(record) = received {
            self.put(record);
        }
    }

    fn put(&mut self, record: Record) {
        // A rebalance is over before its first record comes: the lane of before it must not get it.
        self.drop_revoked();
        let partition = record.partition;
        let lane = self.lanes.entry(partition).or_insert_with(|| {
            self.generation += 1;
            Lane::new(&self.source, self.generation)
        });
        if lane.put(record) {
            self.with_partition(partition, |consumer, one| consumer.pause(one));
        }
    }

    /// Starts an invocation for every lane that is due.
    fn invoke(&mut self) {
        let due =
            self.lanes.iter_mut().filter_map(|(partition, lane)| Some((*partition, lane.take()?)));
        let due: Vec<_> = due.collect();
        for (partition, batch) in due {
            let (source, function) = (Arc::clone(&self.source), self.function.clone());
            self.invocations.spawn(async move {
                let response = deliver(&source, &function, &batch).await;
                (batch, response)
            });
            if self.lanes.get_mut(&partition).is_some_and(Lane::has_drained) {
                self.with_partition(partition, |consumer, one| consumer.resume(one));
            }
        }
    }

    /// Moves the partition's offset up to its first failure; the rest goes back to the head of the
    /// lane.
    fn settle(
        &mut self,
        done: Result<(Batch, Option<BatchResponse>), JoinError>,
    ) -> Result<(), String> {
        // The function catches what its records break. Should it break itself, this process must
        // not pass over them.
        let (batch, response) =
            done.map_err(|error| format!("An invocation broke off: {error}."))?;
        let failed = match &response {
            Some(response) => response.first_failures().values().next().copied(),
            None => Some(batch.first),
        };
        let Some(lane) = self.lanes.get_mut(&batch.partition).filter(|lane| lane.is_of(&batch))
        else {
            // The partition was taken away meanwhile: whoever has it sees the same records.
            return Ok(());
        };
        let (partition, next) = (batch.partition, failed.unwrap_or(batch.last + 1));
        let moves = next > batch.first;
        lane.done(batch, failed);
        if moves
            && let Err(error) = self.consumer.store_offset(&self.source.topic, partition, next - 1)
        {
            tracing::warn!(partition, %error, "an offset was not stored");
        }
        Ok(())
    }

    /// Another runner answers the records of the partitions it has been given.
    fn drop_revoked(&mut self) {
        for partition in self.consumer.context().take_revoked() {
            let lane = self.lanes.remove(&partition);
            if lane.is_some_and(|lane| lane.is_full()) {
                // A pause outlives the assignment; should the partition come back, its new lane is
                // empty.
                self.with_partition(partition, |consumer, one| consumer.resume(one));
            }
        }
    }

    fn with_partition(
        &self,
        partition: i32,
        act: impl Fn(&Consumer, &TopicPartitionList) -> Result<(), KafkaError>,
    ) {
        let mut one = TopicPartitionList::new();
        one.add_partition(&self.source.topic, partition);
        if let Err(error) = act(&self.consumer, &one) {
            tracing::debug!(partition, %error, "the partition is no longer this runner's");
        }
    }
}

async fn sleep_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Hands the batch over as Lambda does: as JSON. What cannot even be handed over is to come again.
async fn deliver(
    source: &Source,
    function: &KafkaFunction,
    batch: &Batch,
) -> Option<BatchResponse> {
    let partition = format!("{}-{}", source.topic, batch.partition);
    let event = event::write(&source.brokers, [(&*partition, &*batch.records)])
        .and_then(|json| serde_json::from_slice::<KafkaEvent>(&json));
    match event {
        Ok(event) => Some(function.handle(event, None).await),
        Err(error) => {
            tracing::error!(%error, "a batch could not be written as an event");
            None
        }
    }
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
