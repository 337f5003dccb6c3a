//! The assigned partitions, and the invocations under way.
//!
//! Owns: which batches go, storing offsets as far as the answers allow, and releasing revoked
//! partitions.
//! Must never know: what a record says, where the function is.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use a2a_core::{Env, wire::kafka::Record};
use a2a_kafka::BatchResponse;
use a2a_local::consumer::{self, Consumer, Revocation, Source, Subscription};
use futures_util::FutureExt;
use rdkafka::{
    TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::invoke::Invoke;
use crate::partition::{Batch, Capacity, Delivery, Load, PartitionQueue, Reason, Settled};

/// How long the consumer backs off after an error.
const PAUSE: Duration = Duration::from_millis(100);
/// How long revoked partitions are kept for the records that are worked on. No member of the group
/// gets a record meanwhile. What takes longer is redelivered to the partition's next owner.
const REVOCATION_GRACE: Duration = Duration::from_secs(30);

/// All partitions of the topic that this runner has.
pub(super) struct AssignedPartitions<I> {
    source: Arc<Source>,
    delivery: Delivery,
    subscription: Subscription,
    function: I,
    queues: BTreeMap<i32, PartitionQueue>,
    /// How many queues there have been: each assignment of a partition has its own.
    generation: u64,
    invocations: JoinSet<Invocation>,
    /// Until when revoked partitions are kept.
    release_at: Option<Instant>,
}

/// The batches of one event, and what the function answered.
type Invocation = (Vec<Batch>, Result<BatchResponse, String>);

impl<I: Invoke> AssignedPartitions<I> {
    /// None yet. Revocations from now on are deferred until the records worked on are finished.
    pub(super) fn new(
        source: Source,
        delivery: Delivery,
        subscription: Subscription,
        function: I,
    ) -> Self {
        Self {
            source: Arc::new(source),
            delivery,
            subscription,
            function,
            queues: BTreeMap::new(),
            generation: 0,
            invocations: JoinSet::new(),
            release_at: None,
        }
    }

    /// Delivers until `stop`; then drains: what is worked on is finished and committed.
    ///
    /// # Errors
    /// One sentence for the user when that did not end well.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), String> {
        while !stop.is_cancelled() {
            let due = self.queues.values().filter_map(PartitionQueue::waits_until).min();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.invocations.join_next() => self.settle(done).await?,
                () = self.subscription.consumer().context().revoked() => {}
                received = self.subscription.consumer().recv() => {
                    let received = received.map(|message| consumer::record(&message));
                    self.take(received).await;
                }
                () = consumer::sleep_until(self.release_at.or(due)) => {}
            }
            self.release_revoked();
            if self.release_at.is_none() {
                self.discard_expired().await;
                self.invoke();
            }
        }
        self.drain().await?;
        match self.subscription.consumer().commit_consumer_state(CommitMode::Sync) {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
            Err(error) => Err(format!("The last offsets were not committed: {error}.")),
        }
    }

    /// Waits for the records that are worked on. The consumer is polled meanwhile, or the group would
    /// revoke its partitions, but what it still receives is left to the partition's next owner.
    async fn drain(&mut self) -> Result<(), String> {
        if let Err(error) = self
            .subscription
            .consumer()
            .assignment()
            .and_then(|all| self.subscription.consumer().pause(&all))
        {
            tracing::warn!(%error, "the partitions could not be paused");
        }
        while !self.invocations.is_empty() {
            tokio::select! {
                biased;
                Some(done) = self.invocations.join_next() => self.settle(done).await?,
                () = self.subscription.consumer().context().revoked() => {}
                _ = self.subscription.consumer().recv() => {}
                () = consumer::sleep_until(self.release_at) => {}
            }
            self.release_revoked();
        }
        Ok(())
    }

    /// Takes a record, and those that are there already.
    async fn take(&mut self, first: Result<Record, KafkaError>) {
        let mut received = first;
        for _ in 0..self.delivery.batch_size {
            match received {
                Ok(record) => self.put(record),
                Err(error) => {
                    tracing::warn!(%error, "Kafka could not be read; retrying");
                    return tokio::time::sleep(PAUSE).await;
                }
            }
            received = match self.subscription.consumer().recv().now_or_never() {
                Some(next) => next.map(|message| consumer::record(&message)),
                None => return,
            };
        }
        if let Ok(record) = received {
            self.put(record);
        }
    }

    fn put(&mut self, record: Record) {
        // A rebalance is over before its first record comes: the queue of before it must not get it.
        self.release_revoked();
        let partition = record.partition;
        let queue = self.queues.entry(partition).or_insert_with(|| {
            self.generation += 1;
            PartitionQueue::new(self.delivery, self.generation)
        });
        if queue.put(record) {
            self.with_partition(partition, |consumer, one| consumer.pause(one));
        }
    }

    /// Discards what has become too old to be delivered.
    async fn discard_expired(&mut self) {
        if self.delivery.age.is_none() {
            return;
        }
        let now = Env::system().now().as_millis();
        let due = self.queues.values_mut().filter(|queue| queue.is_due());
        let old: Vec<Batch> = due.filter_map(|queue| queue.take_expired(now)).collect();
        for batch in old {
            self.discard(&batch, Reason::Age).await;
            self.resume_drained(batch.partition);
        }
    }

    /// Starts an invocation for every partition that is due.
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

    /// The partitions that are due. Where batches go together, what several have fills an event, too.
    fn due(&self) -> Vec<i32> {
        let due = self.queues.iter().filter(|(_, queue)| queue.is_due());
        let mut due: Vec<i32> = due.map(|(partition, _)| *partition).collect();
        if due.is_empty() && self.delivery.together {
            let shared = self.queues.iter().filter(|(_, queue)| !queue.is_alone());
            let loads = shared.map(|(partition, queue)| (*partition, queue.load()));
            let (records, bytes) = loads.clone().fold((0, 0), |(records, bytes), (_, load)| {
                (records + load.records, bytes + load.bytes)
            });
            if Capacity::of(self.delivery).is_filled_by(Load { records, bytes }) {
                due.extend(loads.filter(|(_, load)| load.records > 0).map(|it| it.0).next());
            }
        }
        due
    }

    /// That partition's batch and, where batches go together, what of the others still fits beside
    /// it.
    fn take_with(&mut self, partition: i32) -> Vec<Batch> {
        let mut capacity = Capacity::of(self.delivery);
        let Some(queue) = self.queues.get_mut(&partition) else { return Vec::new() };
        let alone = !self.delivery.together || queue.is_alone();
        let Some(first) = queue.take(&mut capacity) else { return Vec::new() };
        let mut batches = vec![first];
        if !alone {
            let others = self.queues.values_mut().filter(|queue| !queue.is_alone());
            batches.extend(others.filter_map(|queue| queue.take(&mut capacity)));
        }
        batches
    }

    fn resume_drained(&mut self, partition: i32) {
        if self.queues.get_mut(&partition).is_some_and(PartitionQueue::has_drained) {
            self.with_partition(partition, |consumer, one| consumer.resume(one));
        }
    }

    /// Settles each batch of an event.
    async fn settle(&mut self, done: Result<Invocation, JoinError>) -> Result<(), String> {
        // The function catches what its records break. Should it break itself, this process must
        // not skip them.
        let (batches, response) =
            done.map_err(|error| format!("An invocation broke off: {error}."))?;
        let alone = batches.len() == 1;
        if let Err(reason) = &response {
            tracing::warn!(%reason, "an invocation failed; its records are redelivered");
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

    /// Stores the partition's offset up to the first record that is not done; the rest goes back to
    /// the head of the queue.
    async fn settle_batch(&mut self, batch: Batch, settled: Settled) {
        let Some(queue) = self.queues.get_mut(&batch.partition).filter(|queue| queue.is_of(&batch))
        else {
            // The partition was revoked meanwhile: its next owner gets the same records.
            return;
        };
        let (partition, first, last) = (batch.partition, batch.first, batch.last);
        if let Some(batch) = queue.done(batch, settled) {
            return self.discard(&batch, Reason::Retries).await;
        }
        match settled {
            Settled::Done => self.store_offset(partition, last),
            Settled::From(offset) if offset > first => self.store_offset(partition, offset - 1),
            Settled::From(_) | Settled::Failed { .. } => {}
        }
    }

    /// These records are not redelivered: the function is told, and then they count as done.
    async fn discard(&self, batch: &Batch, reason: Reason) {
        self.function.discarded(&self.source, batch, reason).await;
        self.store_offset(batch.partition, batch.last);
    }

    fn store_offset(&self, partition: i32, offset: i64) {
        if let Err(error) =
            self.subscription.consumer().store_offset(&self.source.topic, partition, offset)
        {
            tracing::warn!(partition, %error, "an offset was not stored");
        }
    }

    /// Releases revoked partitions, once none of their records is worked on or that takes too long.
    /// Their next owner begins with the first record that is not done.
    fn release_revoked(&mut self) {
        let Some(revocation) = self.subscription.consumer().context().revocation() else { return };
        let release_at = *self.release_at.get_or_insert_with(|| Instant::now() + REVOCATION_GRACE);
        let is_busy = self.queues.values().any(PartitionQueue::is_busy);
        if revocation == Revocation::Requested && is_busy && Instant::now() < release_at {
            return;
        }
        for (partition, queue) in std::mem::take(&mut self.queues) {
            if queue.is_full() {
                // A pause outlives the assignment; should the partition be assigned again, its new queue
                // is empty.
                self.with_partition(partition, |consumer, one| consumer.resume(one));
            }
        }
        consumer::release_revoked(self.subscription.consumer());
        self.release_at = None;
    }

    fn with_partition(
        &self,
        partition: i32,
        act: impl Fn(&Consumer, &TopicPartitionList) -> Result<(), KafkaError>,
    ) {
        let mut one = TopicPartitionList::new();
        one.add_partition(&self.source.topic, partition);
        if let Err(error) = act(self.subscription.consumer(), &one) {
            tracing::debug!(partition, %error, "the partition is no longer assigned to this runner");
        }
    }
}
