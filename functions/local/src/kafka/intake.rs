//! Records on their way from the assigned partitions into their lanes and back as offsets.
//!
//! Owns: when a record begins, storing the offset of each partition's done prefix, backpressure, and
//! handing revoked partitions over. Must never know: what a record says.

use std::{collections::BTreeMap, time::Duration};

use a2a_core::{
    kafka::{Incoming, Lane},
    wire::kafka::Record,
};
use a2a_kafka::{Outcome, RecordHandler, lanes::Lanes};
use futures_util::FutureExt;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, Interval, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    undecodable::Undecodable,
    window::{Bounds, Window},
    work::Work,
};
use crate::consumer::{self, Consumer, Revocation, Source, Subscription};

/// How long the consumer backs off after an error.
const PAUSE: Duration = Duration::from_millis(100);
/// The shortest and the longest backoff before a record is retried.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How long revoked partitions are kept for the records in hand. No member of the group gets a record
/// meanwhile. What takes longer goes on here, and the partition's next owner joins it.
const HAND_OVER: Duration = Duration::from_secs(2);
/// The same where the next owner does not see this runner's tasks: it would begin them again.
const HAND_OVER_ALONE: Duration = Duration::from_secs(30);
/// How long it takes at most to record that runs are released.
const RELEASE: Duration = Duration::from_secs(10);
/// How often offsets are stored that no record stands at.
const POSITIONS: Duration = Duration::from_millis(200);
/// How many records are received before others have their turn.
const RECEIVED_AT_ONCE: usize = 256;
/// How many bytes of records a partition's window holds.
const WINDOW_BYTES: usize = 16 << 20;
/// How many records a partition's window holds at least.
const WINDOW_RECORDS: usize = 10_000;

/// A record's lane, the record, and what became of it.
type Served = (Lane, Box<Incoming>, Outcome);

/// All partitions of the topic that this runner has, and the records of them.
pub(super) struct Intake {
    source: Source,
    records: RecordHandler,
    work: Work,
    subscription: Subscription,
    bounds: Bounds,
    windows: BTreeMap<i32, Window>,
    lanes: Lanes<Box<Incoming>>,
    in_hand: JoinSet<Served>,
    undecodable: Undecodable,
    positions: Interval,
    /// After an error: nothing is received before this.
    receive_at: Option<Instant>,
    /// Until when revoked partitions are kept.
    release_at: Option<Instant>,
}

impl Intake {
    /// None yet. Revocations from now on wait for the records in hand.
    pub(super) fn new(
        source: Source,
        records: RecordHandler,
        work: Work,
        subscription: Subscription,
    ) -> Self {
        let mut positions = interval(POSITIONS);
        positions.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            undecodable: Undecodable::new(&source, &records, &work),
            subscription,
            bounds: Bounds {
                records: WINDOW_RECORDS.max(work.concurrency * 2),
                bytes: WINDOW_BYTES,
            },
            lanes: Lanes::new(work.concurrency.max(1)),
            windows: BTreeMap::new(),
            in_hand: JoinSet::new(),
            receive_at: None,
            release_at: None,
            source,
            records,
            work,
            positions,
        }
    }

    /// Has records served until `stop`, and then those in hand finished.
    ///
    /// # Errors
    /// One sentence for the user when that did not end well.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), String> {
        while !stop.is_cancelled() {
            let consumer = self.subscription.consumer();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(served) = self.in_hand.join_next() => self.settle(served)?,
                () = consumer.context().revoked() => {}
                _ = self.positions.tick() => self.store_positions().await,
                () = consumer::sleep_until(self.release_at.or(self.lanes.wakes_at())) => {}
                received = receive(consumer, self.receive_at) => self.take(received),
            }
            self.release_revoked();
            if self.release_at.is_none() {
                self.begin();
            }
        }
        self.shut_down().await
    }

    /// Takes a record, and those that are there already.
    fn take(&mut self, first: Result<Record, KafkaError>) {
        let mut received = Some(first);
        self.receive_at = None;
        for _ in 0..RECEIVED_AT_ONCE {
            match received {
                Some(Ok(record)) => self.put(record),
                Some(Err(error)) => {
                    self.undecodable.failed(self.subscription.consumer(), &error);
                    self.receive_at = Some(Instant::now() + PAUSE);
                    return;
                }
                None => return,
            }
            received = receive(self.subscription.consumer(), None).now_or_never();
        }
        if let Some(Ok(record)) = received {
            self.put(record);
        }
    }

    fn put(&mut self, record: Record) {
        let revocation = self.subscription.consumer().context().revocation();
        self.release_revoked();
        if revocation == Some(Revocation::Requested) {
            // It is of the assignment that ends: its partition's next owner gets it.
            return;
        }
        let (partition, offset, timestamp) = (record.partition, record.offset, record.timestamp);
        if self.undecodable.received(self.subscription.consumer(), partition) {
            self.pause_full();
        }
        let window = self.windows.entry(partition).or_default();
        if !window.receive(offset, timestamp, record.weight()) {
            return;
        }
        let incoming = Box::new(self.records.endpoint().read(&Default::default(), record));
        self.lanes.put(incoming.lane().clone(), incoming);
        if window.fills(self.bounds) {
            self.with_partition(partition, |consumer, one| consumer.pause(one));
        }
    }

    /// Begins every record that may.
    fn begin(&mut self) {
        while let Some((lane, mut incoming)) = self.lanes.begin() {
            let record = incoming.record();
            if let Some(window) = self.windows.get_mut(&record.partition) {
                window.begin(record.offset);
            }
            let records = self.records.clone();
            self.in_hand.spawn(async move {
                let outcome = records.serve(&mut incoming, None).await;
                (lane, incoming, outcome)
            });
        }
    }

    /// Settles a record that was served, and those that were served by now.
    fn settle(&mut self, served: Result<Served, JoinError>) -> Result<(), String> {
        let mut next = Some(served);
        while let Some(served) = next {
            // A record catches its panics. Should it break off all the same, it must not be skipped.
            let served = served.map_err(|error| format!("A record's work broke off: {error}."))?;
            self.settle_one(served);
            next = self.in_hand.try_join_next();
        }
        Ok(())
    }

    fn settle_one(&mut self, (lane, incoming, outcome): Served) {
        let record = incoming.record();
        let (partition, offset, timestamp) = (record.partition, record.offset, record.timestamp);
        let window = self.windows.entry(partition).or_default();
        match outcome {
            Outcome::Redeliver { attempts } if window.retries(offset, timestamp) => {
                self.lanes.retry(lane, incoming, Instant::now() + backoff(attempts));
            }
            // The partition's next owner gets it.
            Outcome::Redeliver { .. } => self.lanes.done(lane),
            Outcome::Done => {
                self.lanes.done(lane);
                window.done(offset, timestamp);
                let drains = window.drains(self.bounds);
                if let Some(next) = window.take_prefix() {
                    self.store(partition, next);
                }
                if drains {
                    self.with_partition(partition, |consumer, one| consumer.resume(one));
                }
            }
        }
    }

    /// Where everything received is done, the offset moves to the consumer's position: what has no
    /// record, such as the marker of a transaction, is not left behind.
    async fn store_positions(&mut self) {
        if self.subscription.consumer().context().revocation().is_some() {
            // What is received now is left to the next owner.
            return;
        }
        let Ok(positions) = self.subscription.consumer().position() else { return };
        for position in positions.elements() {
            let partition = position.partition();
            if let Offset::Offset(next) = position.offset()
                && self.windows.get(&partition).is_none_or(Window::is_empty)
            {
                self.store(partition, next);
            }
        }
        if self.undecodable.tick(self.subscription.consumer()).await {
            self.pause_full();
        }
    }

    /// Partitions whose windows are full stay paused.
    fn pause_full(&self) {
        for (partition, _) in self.windows.iter().filter(|(_, window)| window.is_full()) {
            self.with_partition(*partition, |consumer, one| consumer.pause(one));
        }
    }

    /// Stores the offset at which the partition's next owner begins.
    fn store(&self, partition: i32, next: i64) {
        let stored =
            self.subscription.consumer().store_offset(&self.source.topic, partition, next - 1);
        if let Err(error) = stored {
            tracing::debug!(partition, %error, "an offset was not stored");
        }
    }

    /// Releases revoked partitions, once none of their records is in hand or that takes too long.
    /// Their next owner begins with the first record that is not done.
    fn release_revoked(&mut self) {
        let Some(revocation) = self.subscription.consumer().context().revocation() else { return };
        let grace = if self.work.store_is_shared { HAND_OVER } else { HAND_OVER_ALONE };
        let release_at = *self.release_at.get_or_insert_with(|| Instant::now() + grace);
        let is_busy = self.windows.values().any(Window::is_busy);
        if revocation == Revocation::Requested && is_busy && Instant::now() < release_at {
            return;
        }
        let full = self.windows.iter().filter(|(_, window)| window.is_full());
        for partition in full.map(|(partition, _)| *partition).collect::<Vec<_>>() {
            // A pause outlives the assignment, and the partition may be assigned again.
            self.with_partition(partition, |consumer, one| consumer.resume(one));
        }
        self.drop_waiting();
        consumer::release_revoked(self.subscription.consumer());
        self.release_at = None;
    }

    /// The partitions are another's: what has not begun is left to it.
    fn drop_waiting(&mut self) {
        self.windows.values_mut().for_each(Window::revoke);
        let windows = &self.windows;
        self.lanes.retain(|incoming| {
            let record = incoming.record();
            let window = windows.get(&record.partition);
            window.is_some_and(|it| it.wants(record.offset, record.timestamp))
        });
    }

    /// What is in hand is finished. Where other runners see its tasks, they get the partitions at
    /// once, and join the runs that go on here.
    async fn shut_down(mut self) -> Result<(), String> {
        let end = Instant::now() + self.work.drain;
        if !self.work.store_is_shared {
            self.finish_in_hand(end).await?;
        }
        let consumer = self.subscription.consumer();
        let committed = match consumer.commit_consumer_state(CommitMode::Sync) {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
            Err(error) => Err(format!("The last offsets were not committed: {error}.")),
        };
        let Self { subscription, records, mut in_hand, .. } = self;
        // It waits until the group knows.
        let _ = tokio::task::spawn_blocking(move || drop(subscription)).await;
        let mut finish = async || while in_hand.join_next().await.is_some() {};
        if tokio::time::timeout_at(end, finish()).await.is_err() {
            tracing::warn!("the drain's time is over: runs are released for the next attempt");
            records.endpoint().handler().release();
            let _ = tokio::time::timeout(RELEASE, finish()).await;
        }
        committed
    }

    /// Waits for the records in hand, and commits. The consumer is polled meanwhile, or the group
    /// would revoke its partitions, but what it still receives is left to the partition's next owner.
    async fn finish_in_hand(&mut self, end: Instant) -> Result<(), String> {
        let consumer = self.subscription.consumer();
        if let Err(error) = consumer.assignment().and_then(|all| consumer.pause(&all)) {
            tracing::warn!(%error, "the partitions could not be paused");
        }
        while !self.in_hand.is_empty() && Instant::now() < end {
            let consumer = self.subscription.consumer();
            tokio::select! {
                biased;
                Some(served) = self.in_hand.join_next() => self.settle(served)?,
                () = consumer.context().revoked() => {}
                () = consumer::sleep_until(Some(self.release_at.unwrap_or(end).min(end))) => {}
                _ = consumer.recv() => {}
            }
            self.release_revoked();
        }
        Ok(())
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

/// The next record, not before that time.
async fn receive(consumer: &Consumer, at: Option<Instant>) -> Result<Record, KafkaError> {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
    consumer.recv().await.map(|message| consumer::record(&message))
}

fn backoff(attempts: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
    BACKOFF.0.saturating_mul(doubled).min(BACKOFF.1)
}
