//! The consumer: what Lambda's event source mapping does, on this machine.
//!
//! Owns: one lane per partition, which batches go, moving offsets as far as the answer allows, and
//! delivering again what is not done. Must never know: what a record says, where the function is
//! ([`Invoke`]).
//!
//! As on Lambda, one invocation at a time serves a partition and partitions go in parallel. While
//! an invocation is under way the partition's next records gather, so batches form by themselves.

use std::{collections::BTreeMap, fmt::Display, future::Future, sync::Arc, time::Duration};

use a2a_core::{Env, wire::kafka::Record};
use a2a_kafka::{
    BatchResponse, KafkaEvent, KafkaFunction,
    event::{self, Cluster},
};
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
    lane::{Batch, Delivery, Lane, Load, Reason, Room, Settled},
};

/// How long Kafka is left alone after an error.
const PAUSE: Duration = Duration::from_millis(100);

/// A function that takes Lambda's events: in this process, or wherever it is reached.
pub trait Invoke: Clone + Send + Sync + 'static {
    /// Hands over one event with these batches, each of another partition, and answers what is to
    /// come again.
    ///
    /// # Errors
    /// In words, when the invocation failed as a whole: nothing of it counts as done.
    fn invoke(
        &self,
        source: &Source,
        batches: &[Batch],
    ) -> impl Future<Output = Result<BatchResponse, String>> + Send;

    /// Hears of records that will not come again, before they count as done.
    fn passed_over(
        &self,
        source: &Source,
        batch: &Batch,
        reason: Reason,
    ) -> impl Future<Output = ()> + Send {
        let (partition, first, last) = (batch.partition, batch.first, batch.last);
        let topic = &*source.topic;
        tracing::error!(topic, partition, first, last, ?reason, "records are passed over");
        std::future::ready(())
    }
}

impl Invoke for KafkaFunction {
    /// As Lambda does it: as JSON.
    async fn invoke(&self, source: &Source, batches: &[Batch]) -> Result<BatchResponse, String> {
        let records = batches.iter().map(|batch| (batch.name(source), &*batch.records));
        let mut event =
            event::write(Cluster { arn: None, bootstrap_servers: &source.brokers }, records)
                .and_then(|json| serde_json::from_slice::<KafkaEvent>(&json))
                .map_err(|error| format!("the batch could not be written as an event: {error}"))?;
        let deliveries = batches.iter().map(|batch| (batch.name(source), batch.delivery));
        event.deliveries = deliveries.collect();
        Ok(self.handle(event, None).await)
    }
}

/// Consumes until `stop`; then the batches in hand are finished and their offsets committed.
///
/// # Errors
/// One sentence for the user when consuming cannot begin or cannot end well.
pub async fn consume(
    source: Source,
    function: impl Invoke,
    stop: CancellationToken,
) -> Result<(), String> {
    deliver(source, Delivery::default(), function, stop).await
}

/// The same, with a say in how batches are delivered.
///
/// # Errors
/// As [`consume`].
pub async fn deliver(
    source: Source,
    delivery: Delivery,
    function: impl Invoke,
    stop: CancellationToken,
) -> Result<(), String> {
    let cannot = |why: &dyn Display| {
        format!("The topic {} cannot be consumed from {}: {why}.", source.topic, source.brokers)
    };
    let to_subscribe = source.clone();
    let consumer = tokio::task::spawn_blocking(move || consumer::subscribe(&to_subscribe))
        .await
        .map_err(|error| cannot(&error))?
        .map_err(|error| cannot(&error))?;
    let mut lanes = Lanes {
        source: Arc::new(source),
        delivery,
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
struct Lanes<I> {
    source: Arc<Source>,
    delivery: Delivery,
    consumer: Consumer,
    function: I,
    lanes: BTreeMap<i32, Lane>,
    /// How many lanes there have been.
    generation: u64,
    invocations: JoinSet<Invocation>,
}

/// The batches of one event, and what the function answered.
type Invocation = (Vec<Batch>, Result<BatchResponse, String>);

impl<I: Invoke> Lanes<I> {
    async fn run(&mut self, stop: CancellationToken) -> Result<(), String> {
        while !stop.is_cancelled() {
            let retry = self.lanes.values().filter_map(Lane::waits_until).min();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.invocations.join_next() => self.settle(done).await?,
                received = self.consumer.recv() => {
                    let received = received.map(|message| record(&message));
                    self.take(received).await;
                }
                () = sleep_until(retry) => {}
            }
            self.drop_revoked();
            self.pass_over_old().await;
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
                Some(done) = self.invocations.join_next() => self.settle(done).await?,
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
            Lane::new(&self.source, self.delivery, self.generation)
        });
        if lane.put(record) {
            self.with_partition(partition, |consumer, one| consumer.pause(one));
        }
    }

    /// Passes over what has become too old to be delivered.
    async fn pass_over_old(&mut self) {
        if self.delivery.age.is_none() {
            return;
        }
        let now = Env::system().now().as_millis();
        let due = self.lanes.values_mut().filter(|lane| lane.is_due());
        let old: Vec<Batch> = due.filter_map(|lane| lane.take_old(now)).collect();
        for batch in old {
            self.pass_over(&batch, Reason::Age).await;
            self.resume_drained(batch.partition);
        }
    }

    /// Starts an invocation for every lane that is due.
    fn invoke(&mut self) {
        for partition in self.due() {
            let batches = self.take_with(partition);
            if batches.is_empty() {
                // An event before this one has it already.
                continue;
            }
            let partitions: Vec<i32> = batches.iter().map(|batch| batch.partition).collect();
            let (source, function) = (Arc::clone(&self.source), self.function.clone());
            self.invocations.spawn(async move {
                let response = function.invoke(&source, &batches).await;
                (batches, response)
            });
            partitions.into_iter().for_each(|partition| self.resume_drained(partition));
        }
    }

    /// The lanes that are due. Where batches go together, what several have fills an event, too.
    fn due(&self) -> Vec<i32> {
        let due = self.lanes.iter().filter(|(_, lane)| lane.is_due());
        let mut due: Vec<i32> = due.map(|(partition, _)| *partition).collect();
        if due.is_empty() && self.delivery.together {
            let shared = self.lanes.iter().filter(|(_, lane)| !lane.is_alone());
            let loads = shared.map(|(partition, lane)| (*partition, lane.load()));
            let all = loads.clone().fold(Load::default(), |all, (_, load)| all + load);
            if Room::of(&self.source, self.delivery).is_filled_by(all) {
                due.extend(loads.filter(|(_, load)| load.records > 0).map(|it| it.0).next());
            }
        }
        due
    }

    /// That lane's batch and, where batches go together, what the other lanes have that still has
    /// room beside it.
    fn take_with(&mut self, partition: i32) -> Vec<Batch> {
        let mut room = Room::of(&self.source, self.delivery);
        let Some(lane) = self.lanes.get_mut(&partition) else { return Vec::new() };
        let alone = !self.delivery.together || lane.is_alone();
        let Some(first) = lane.take(&mut room) else { return Vec::new() };
        let mut batches = vec![first];
        if !alone {
            let others = self.lanes.values_mut().filter(|lane| !lane.is_alone());
            batches.extend(others.filter_map(|lane| lane.take(&mut room)));
        }
        batches
    }

    fn resume_drained(&mut self, partition: i32) {
        if self.lanes.get_mut(&partition).is_some_and(Lane::has_drained) {
            self.with_partition(partition, |consumer, one| consumer.resume(one));
        }
    }

    /// Settles each batch of an event.
    async fn settle(&mut self, done: Result<Invocation, JoinError>) -> Result<(), String> {
        // The function catches what its records break. Should it break itself, this process must
        // not pass over them.
        let (batches, response) =
            done.map_err(|error| format!("An invocation broke off: {error}."))?;
        let alone = batches.len() == 1;
        if let Err(reason) = &response {
            tracing::warn!(%reason, "an invocation failed; its records come again");
        }
        let failures = response.as_ref().map(BatchResponse::first_failures);
        for batch in batches {
            let settled = match &failures {
                Err(_) => Settled::Failed { alone },
                Ok(failures) => failures
                    .get(&*batch.name(&self.source))
                    .map_or(Settled::Done, |first| Settled::From(*first)),
            };
            self.settle_batch(batch, settled).await;
        }
        Ok(())
    }

    /// Moves the partition's offset up to the first record that is not done; the rest goes back to
    /// the head of the lane.
    async fn settle_batch(&mut self, batch: Batch, settled: Settled) {
        let Some(lane) = self.lanes.get_mut(&batch.partition).filter(|lane| lane.is_of(&batch))
        else {
            // The partition was taken away meanwhile: whoever has it sees the same records.
            return;
        };
        let (partition, first, last) = (batch.partition, batch.first, batch.last);
        if let Some(batch) = lane.done(batch, settled) {
            return self.pass_over(&batch, Reason::Retries).await;
        }
        match settled {
            Settled::Done => self.store_offset(partition, last),
            Settled::From(offset) if offset > first => self.store_offset(partition, offset - 1),
            Settled::From(_) | Settled::Failed { .. } => {}
        }
    }

    /// These records will not come again: that is told, and then they count as done.
    async fn pass_over(&self, batch: &Batch, reason: Reason) {
        self.function.passed_over(&self.source, batch, reason).await;
        self.store_offset(batch.partition, batch.last);
    }

    fn store_offset(&self, partition: i32, offset: i64) {
        if let Err(error) = self.consumer.store_offset(&self.source.topic, partition, offset) {
            tracing::warn!(partition, %error, "an offset was not stored");
        }
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
