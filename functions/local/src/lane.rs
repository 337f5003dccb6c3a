//! One partition's records on their way to the function: in order, one batch at a time.
//!
//! Owns: when a batch is due, and what goes back after a failure. Pure but for the clock. Must
//! never know: Kafka.

use std::{collections::VecDeque, time::Duration};

use a2a_core::wire::kafka::Record;
use tokio::time::Instant;

use crate::consumer::Source;

/// The shortest and the longest pause before records are delivered again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How batches are delivered. The default is the local runner's: each partition by itself, and what
/// fails comes again, whole, for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivery {
    /// Whether the batches of several partitions go in one event, as on Lambda.
    pub together: bool,
    /// Whether the records of an invocation that failed come again in halves: Lambda's
    /// `BisectBatchOnFunctionError`.
    pub bisect: bool,
    /// How often records that fail come again before they are passed over: Lambda's
    /// `MaximumRetryAttempts`. None is for ever.
    pub retries: Option<u32>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Every record is done.
    Done,
    /// The function wants its records again, from this offset on.
    From(i64),
    /// The invocation failed. Its event may have held other partitions' records too, and it is not
    /// known whose fault it was.
    Failed {
        /// Whether this batch was all of it.
        alone: bool,
    },
}

/// Records of one partition that wait for the function.
#[derive(Debug)]
pub struct Lane {
    generation: u64,
    waiting: VecDeque<Record>,
    delivery: Delivery,
    batch_size: usize,
    /// How many records the next batch holds at most: fewer after an invocation that failed.
    next_size: usize,
    /// Whether the next batch goes by itself.
    alone: bool,
    /// How often the first record was delivered and not done.
    failures: u32,
    window: Duration,
    /// Since when the oldest record waits.
    since: Option<Instant>,
    busy: bool,
    full: bool,
    /// After a failure: not before this.
    retry_at: Option<Instant>,
    pause: Duration,
}

/// Records of one partition, in order; at least one.
#[derive(Debug)]
pub struct Batch {
    /// Which lane it is from: a partition that was taken away and given back has a new one.
    pub generation: u64,
    /// The partition.
    pub partition: i32,
    /// The first record's offset.
    pub first: i64,
    /// The last record's offset.
    pub last: i64,
    /// The records.
    pub records: Vec<Record>,
}

impl Batch {
    /// The partition as Lambda names it: the topic's name and the partition's number.
    pub fn name(&self, source: &Source) -> String {
        format!("{}-{}", source.topic, self.partition)
    }
}

impl Lane {
    /// An empty lane, the one of that number.
    pub fn new(source: &Source, delivery: Delivery, generation: u64) -> Self {
        let batch_size = source.batch_size.max(1);
        Self {
            generation,
            waiting: VecDeque::new(),
            delivery,
            batch_size,
            next_size: batch_size,
            alone: false,
            failures: 0,
            window: source.window,
            since: None,
            busy: false,
            full: false,
            retry_at: None,
            pause: PAUSE.0,
        }
    }

    /// Takes a record. Answers whether the lane is full with it, so that no more should come.
    pub fn put(&mut self, record: Record) -> bool {
        self.since.get_or_insert_with(Instant::now);
        self.waiting.push_back(record);
        let fills = !self.full && self.waiting.len() >= self.batch_size * 4;
        self.full |= fills;
        fills
    }

    /// Whether a full lane has room again; asked once per filling.
    pub fn has_drained(&mut self) -> bool {
        let drained = self.full && self.waiting.len() <= self.batch_size;
        self.full &= !drained;
        drained
    }

    /// Whether a batch is due: the partition's invocation before has ended, and either the batch is
    /// full or its window is over.
    pub fn is_due(&self) -> bool {
        self.is_free() && self.waits_until().is_some_and(|at| at <= Instant::now())
    }

    /// Whether its records must not share an event with those of other partitions.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// A batch of what waits, due or not, of at most so many records; none while there is nothing
    /// or nothing may go.
    pub fn take(&mut self, room: usize) -> Option<Batch> {
        if !self.is_free() {
            return None;
        }
        let size = self.waiting.len().min(self.next_size).min(room);
        let records: Vec<Record> = self.waiting.drain(..size).collect();
        let (first, last) = (records.first()?, records.last()?);
        let (partition, first, last) = (first.partition, first.offset, last.offset);
        self.since = (!self.waiting.is_empty()).then(Instant::now);
        self.busy = true;
        self.retry_at = None;
        Some(Batch { generation: self.generation, partition, first, last, records })
    }

    fn is_free(&self) -> bool {
        !self.busy && self.retry_at.is_none_or(|at| at <= Instant::now())
    }

    /// When the next batch is due at the latest; none while nothing waits or an invocation is under
    /// way.
    pub fn waits_until(&self) -> Option<Instant> {
        let since = self.since.filter(|_| !self.busy)?;
        let full = self.waiting.len() >= self.next_size;
        let due = if full { since } else { since + self.window };
        Some(self.retry_at.map_or(due, |at| at.max(due)))
    }

    /// Whether the lane has no room.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether the batch is from this lane, and not from an earlier one of its partition.
    pub fn is_of(&self, batch: &Batch) -> bool {
        batch.generation == self.generation
    }

    /// The batch's invocation has ended. What is not done comes again after a pause that grows, or
    /// is given back to be passed over.
    pub fn done(&mut self, batch: Batch, settled: Settled) -> Option<Batch> {
        if !self.is_of(&batch) {
            return None;
        }
        self.busy = false;
        (self.next_size, self.alone) = (self.batch_size, false);
        let from = match settled {
            Settled::Done => {
                (self.pause, self.failures) = (PAUSE.0, 0);
                return None;
            }
            Settled::From(offset) => {
                if offset > batch.first {
                    self.failures = 0;
                }
                self.failures += 1;
                offset
            }
            // First it is found out whose fault it is: that is not counted, as on Lambda.
            Settled::Failed { alone } if self.delivery.bisect && !alone => {
                self.alone = true;
                batch.first
            }
            Settled::Failed { .. } if self.delivery.bisect && batch.records.len() > 1 => {
                (self.next_size, self.alone) = (batch.records.len().div_ceil(2), true);
                batch.first
            }
            Settled::Failed { .. } => {
                self.failures += 1;
                // The same records again, and no others that came meanwhile.
                self.next_size = batch.records.len();
                self.alone = self.delivery.bisect;
                batch.first
            }
        };
        if self.delivery.retries.is_some_and(|retries| self.failures > retries) {
            (self.pause, self.failures) = (PAUSE.0, 0);
            (self.next_size, self.alone) = (self.batch_size, false);
            let records = batch.records.into_iter().filter(|record| record.offset >= from);
            return Some(Batch { first: from, records: records.collect(), ..batch });
        }
        for record in batch.records.into_iter().rev().filter(|record| record.offset >= from) {
            self.waiting.push_front(record);
        }
        self.since.get_or_insert_with(Instant::now);
        self.retry_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(PAUSE.1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(batch_size: usize, window: u64) -> Lane {
        let source =
            Source { batch_size, window: Duration::from_millis(window), ..Source::default() };
        Lane::new(&source, Delivery::default(), 1)
    }

    /// A batch, if one is due.
    fn next(lane: &mut Lane) -> Option<Batch> {
        lane.is_due().then(|| lane.take(usize::MAX)).flatten()
    }

    fn record(offset: i64) -> Record {
        Record { partition: 7, offset, ..Record::default() }
    }

    fn offsets(batch: &Batch) -> Vec<i64> {
        batch.records.iter().map(|record| record.offset).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn one_batch_at_a_time_and_the_rest_gathers() {
        let mut lane = lane(2, 0);
        assert!(next(&mut lane).is_none());
        for offset in 0..5 {
            lane.put(record(offset));
        }
        let batch = next(&mut lane).unwrap();
        assert_eq!((batch.partition, batch.first, batch.last), (7, 0, 1));
        assert!(next(&mut lane).is_none(), "its invocation is under way");
        lane.done(batch, Settled::Done);
        assert_eq!(offsets(&next(&mut lane).unwrap()), [2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_waits_for_its_window_unless_it_is_full() {
        let mut lane = lane(2, 500);
        lane.put(record(0));
        assert!(next(&mut lane).is_none());
        tokio::time::advance(Duration::from_millis(500)).await;
        let batch = next(&mut lane).unwrap();
        lane.done(batch, Settled::Done);
        lane.put(record(1));
        lane.put(record(2));
        assert_eq!(offsets(&next(&mut lane).unwrap()), [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_comes_again_first_and_later() {
        let mut lane = lane(3, 0);
        for offset in 0..4 {
            lane.put(record(offset));
        }
        let batch = next(&mut lane).unwrap();
        lane.done(batch, Settled::From(1));
        assert!(next(&mut lane).is_none(), "there is a pause first");
        tokio::time::advance(PAUSE.0).await;
        let batch = next(&mut lane).unwrap();
        assert_eq!(offsets(&batch), [1, 2, 3]);
        lane.done(batch, Settled::From(1));
        tokio::time::advance(PAUSE.0).await;
        assert!(next(&mut lane).is_none(), "the pause grows");
        tokio::time::advance(PAUSE.0).await;
        assert_eq!(offsets(&next(&mut lane).unwrap()), [1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_of_an_earlier_lane_changes_nothing() {
        let mut earlier = Lane { generation: 0, ..lane(1, 0) };
        earlier.put(record(0));
        let old = next(&mut earlier).unwrap();
        let mut lane = lane(1, 0);
        lane.put(record(0));
        lane.put(record(1));
        let batch = next(&mut lane).unwrap();
        lane.done(old, Settled::From(0));
        assert!(next(&mut lane).is_none(), "its own invocation is under way");
        lane.done(batch, Settled::Done);
        assert_eq!(offsets(&next(&mut lane).unwrap()), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_lane_says_so_once_and_again_when_it_has_drained() {
        let mut lane = lane(1, 0);
        let filled: Vec<bool> = (0..6).map(|offset| lane.put(record(offset))).collect();
        assert_eq!(filled, [false, false, false, true, false, false]);
        let mut drained = 0;
        while let Some(batch) = next(&mut lane) {
            drained += usize::from(lane.has_drained());
            lane.done(batch, Settled::Done);
        }
        assert_eq!(drained, 1);
    }

    /// Delivers until nothing waits: a batch with the poison in it makes its invocation fail.
    /// Answers the batches' offsets, and what was passed over.
    async fn deliver_all(lane: &mut Lane, poison: i64) -> (Vec<Vec<i64>>, Vec<i64>) {
        let (mut delivered, mut passed_over) = (Vec::new(), Vec::new());
        while let Some(until) = lane.waits_until() {
            tokio::time::sleep_until(until).await;
            let batch = next(lane).unwrap();
            let offsets = offsets(&batch);
            let failed = offsets.contains(&poison);
            delivered.push(offsets);
            let settled = if failed { Settled::Failed { alone: true } } else { Settled::Done };
            passed_over.extend(lane.done(batch, settled).into_iter().flat_map(|it| it.records));
        }
        (delivered, passed_over.iter().map(|record| record.offset).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn an_invocation_that_fails_is_halved_until_its_poison_stands_alone() {
        let mut lane = lane(8, 0);
        lane.delivery = Delivery { together: true, bisect: true, retries: Some(1) };
        for offset in 0..4 {
            lane.put(record(offset));
        }
        let (delivered, passed_over) = deliver_all(&mut lane, 2).await;
        let expected: [&[i64]; 6] = [&[0, 1, 2, 3], &[0, 1], &[2, 3], &[2], &[2], &[3]];
        assert_eq!(delivered, expected);
        assert_eq!(passed_over, [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_halving_the_whole_batch_is_passed_over_and_no_other() {
        let mut lane = lane(2, 0);
        lane.delivery = Delivery { together: true, bisect: false, retries: Some(2) };
        for offset in 0..4 {
            lane.put(record(offset));
        }
        let (delivered, passed_over) = deliver_all(&mut lane, 1).await;
        assert_eq!(delivered, [[0, 1], [0, 1], [0, 1], [2, 3]]);
        assert_eq!(passed_over, [0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn progress_begins_the_count_anew() {
        let mut lane = lane(3, 0);
        lane.delivery.retries = Some(1);
        for offset in 0..3 {
            lane.put(record(offset));
        }
        for (first, from) in [(0, 0), (0, 1), (1, 2)] {
            tokio::time::advance(PAUSE.1).await;
            let batch = next(&mut lane).unwrap();
            assert_eq!(batch.first, first);
            assert!(lane.done(batch, Settled::From(from)).is_none());
        }
        tokio::time::advance(PAUSE.1).await;
        let batch = next(&mut lane).unwrap();
        let passed_over = lane.done(batch, Settled::From(2)).unwrap();
        assert_eq!((passed_over.first, offsets(&passed_over)), (2, vec![2]));
        assert!(lane.waits_until().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_shared_event_failed_each_partition_goes_by_itself() {
        let mut lane = lane(3, 0);
        lane.delivery = Delivery { together: true, bisect: true, retries: Some(0) };
        lane.put(record(0));
        let batch = next(&mut lane).unwrap();
        assert!(lane.done(batch, Settled::Failed { alone: false }).is_none(), "it may be innocent");
        assert!(lane.is_alone());
        tokio::time::advance(PAUSE.0).await;
        let batch = next(&mut lane).unwrap();
        assert!(lane.done(batch, Settled::Failed { alone: true }).is_some());
        assert!(!lane.is_alone());
    }
}
