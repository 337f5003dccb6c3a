//! The lanes of all partitions, and the invocations under way.
//!
//! Owns: which batches go, moving offsets as far as the answers allow, and handing partitions over.
//! Must never know: what a record says, where the function is.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use a2a_core::{Env, wire::kafka::Record};
use a2a_kafka::BatchResponse;
use bytes::Bytes;
use futures_util::FutureExt;
use rdkafka::{
    Message, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
    types::RDKafkaErrorCode,
};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::Invoke;
use crate::{
    consumer::{self, Consumer, Source, Taken},
    lane::{Batch, Delivery, Lane, Load, Reason, Room, Settled},
};

/// How long Kafka is left alone after an error.
const PAUSE: Duration = Duration::from_millis(100);
/// How long partitions that go to another runner wait for the records in hand. Nobody in the group
/// gets a record meanwhile. What takes longer is taken over, and begun again.
const HAND_OVER: Duration = Duration::from_secs(30);

/// All partitions of the topic that this runner has.
pub(super) struct Lanes<I> {
    source: Arc<Source>,
    delivery: Delivery,
    consumer: Consumer,
    function: I,
    lanes: BTreeMap<i32, Lane>,
    /// How many lanes there have been.
    generation: u64,
    invocations: JoinSet<Invocation>,
    /// Has the invocations under way end with the records in hand.
    enough: CancellationToken,
    /// Until when partitions that are taken away are kept.
    kept_until: Option<Instant>,
}

/// The batches of one event, and what the function answered.
type Invocation = (Vec<Batch>, Result<BatchResponse, String>);

impl<I: Invoke> Lanes<I> {
    /// None yet. Partitions that are taken away from now on are handed over.
    pub(super) fn new(source: Source, delivery: Delivery, consumer: Consumer, function: I) -> Self {
        consumer::hold(&consumer);
        Self {
            source: Arc::new(source),
            delivery,
            consumer,
            function,
            lanes: BTreeMap::new(),
            generation: 0,
            invocations: JoinSet::new(),
            enough: CancellationToken::new(),
            kept_until: None,
        }
    }

    /// Delivers until `stop`; then what is in hand is finished and committed.
    ///
    /// # Errors
    /// One sentence for the user when that did not end well.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), String> {
        while !stop.is_cancelled() {
            let due = self.lanes.values().filter_map(Lane::waits_until).min();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.invocations.join_next() => self.settle(done).await?,
                () = self.consumer.context().taken() => {}
                received = self.consumer.recv() => {
                    let received = received.map(|message| record(&message));
                    self.take(received).await;
                }
                () = sleep_until(self.kept_until.or(due)) => {}
            }
            self.hand_over();
            if self.kept_until.is_none() {
                self.pass_over_old().await;
                self.invoke();
            }
        }
        self.finish().await?;
        match self.consumer.commit_consumer_state(CommitMode::Sync) {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
            Err(error) => Err(format!("The last offsets were not committed: {error}.")),
        }
    }

    /// Waits for the records in hand. Kafka is asked on meanwhile, or it would give the partitions
    /// away, but what it still hands out is left to the next runner.
    async fn finish(&mut self) -> Result<(), String> {
        if let Err(error) = self.consumer.assignment().and_then(|all| self.consumer.pause(&all)) {
            tracing::warn!(%error, "the partitions could not be paused");
        }
        self.enough.cancel();
        while !self.invocations.is_empty() {
            tokio::select! {
                biased;
                Some(done) = self.invocations.join_next() => self.settle(done).await?,
                () = self.consumer.context().taken() => {}
                _ = self.consumer.recv() => {}
                () = sleep_until(self.kept_until) => {}
            }
            self.hand_over();
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
        self.hand_over();
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
            let enough = self.enough.clone();
            self.invocations.spawn(async move {
                let response = function.invoke(&source, &batches, enough).await;
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

    /// Lets go of partitions that are taken away, once nobody is at work on their records or it
    /// takes too long. Whoever gets them begins with the first record that is not done.
    fn hand_over(&mut self) {
        let Some(taken) = self.consumer.context().is_taken() else { return };
        let kept_until = *self.kept_until.get_or_insert_with(|| Instant::now() + HAND_OVER);
        self.enough.cancel();
        let is_busy = self.lanes.values().any(Lane::is_busy);
        if taken == Taken::Asked && is_busy && Instant::now() < kept_until {
            return;
        }
        for (partition, lane) in std::mem::take(&mut self.lanes) {
            if lane.is_full() {
                // A pause outlives the assignment; should the partition come back, its new lane is
                // empty.
                self.with_partition(partition, |consumer, one| consumer.resume(one));
            }
        }
        consumer::let_go(&self.consumer);
        (self.kept_until, self.enough) = (None, CancellationToken::new());
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

/// Dropping a consumer waits until its partitions are let go of.
impl<I> Drop for Lanes<I> {
    fn drop(&mut self) {
        consumer::release(&self.consumer);
    }
}

async fn sleep_until(at: Option<Instant>) {
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
