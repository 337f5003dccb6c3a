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

/// Records of one partition that wait for the function.
#[derive(Debug)]
pub struct Lane {
    generation: u64,
    waiting: VecDeque<Record>,
    batch_size: usize,
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

impl Lane {
    /// An empty lane, the one of that number.
    pub fn new(source: &Source, generation: u64) -> Self {
        Self {
            generation,
            waiting: VecDeque::new(),
            batch_size: source.batch_size.max(1),
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

    /// The next batch, if one is due: the partition's invocation before has ended, and either the
    /// batch is full or its window is over.
    pub fn take(&mut self) -> Option<Batch> {
        let due = self.waiting.len() >= self.batch_size || self.waits_until()? <= Instant::now();
        if self.busy || !due || self.retry_at.is_some_and(|at| at > Instant::now()) {
            return None;
        }
        let size = self.waiting.len().min(self.batch_size);
        let records: Vec<Record> = self.waiting.drain(..size).collect();
        let (first, last) = (records.first()?, records.last()?);
        let (partition, first, last) = (first.partition, first.offset, last.offset);
        self.since = (!self.waiting.is_empty()).then(Instant::now);
        self.busy = true;
        self.retry_at = None;
        Some(Batch { generation: self.generation, partition, first, last, records })
    }

    /// When the next batch is due at the latest; none while nothing waits or an invocation is under
    /// way.
    pub fn waits_until(&self) -> Option<Instant> {
        let since = self.since.filter(|_| !self.busy)?;
        Some(self.retry_at.map_or(since + self.window, |at| at.max(since + self.window)))
    }

    /// Whether the lane has no room.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether the batch is from this lane, and not from an earlier one of its partition.
    pub fn is_of(&self, batch: &Batch) -> bool {
        batch.generation == self.generation
    }

    /// The batch's invocation has ended: from that offset on, if any, its records come again, after
    /// a pause that grows.
    pub fn done(&mut self, batch: Batch, failed: Option<i64>) {
        if !self.is_of(&batch) {
            return;
        }
        self.busy = false;
        let Some(failed) = failed else {
            self.pause = PAUSE.0;
            return;
        };
        for record in batch.records.into_iter().rev().filter(|record| record.offset >= failed) {
            self.waiting.push_front(record);
        }
        self.since.get_or_insert_with(Instant::now);
        self.retry_at = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(PAUSE.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(batch_size: usize, window: u64) -> Lane {
        let source =
            Source { batch_size, window: Duration::from_millis(window), ..Source::default() };
        Lane::new(&source, 1)
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
        assert!(lane.take().is_none());
        for offset in 0..5 {
            lane.put(record(offset));
        }
        let batch = lane.take().unwrap();
        assert_eq!((batch.partition, batch.first, batch.last), (7, 0, 1));
        assert!(lane.take().is_none(), "its invocation is under way");
        lane.done(batch, None);
        assert_eq!(offsets(&lane.take().unwrap()), [2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_waits_for_its_window_unless_it_is_full() {
        let mut lane = lane(2, 500);
        lane.put(record(0));
        assert!(lane.take().is_none());
        tokio::time::advance(Duration::from_millis(500)).await;
        let batch = lane.take().unwrap();
        lane.done(batch, None);
        lane.put(record(1));
        lane.put(record(2));
        assert_eq!(offsets(&lane.take().unwrap()), [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_comes_again_first_and_later() {
        let mut lane = lane(3, 0);
        for offset in 0..4 {
            lane.put(record(offset));
        }
        let batch = lane.take().unwrap();
        lane.done(batch, Some(1));
        assert!(lane.take().is_none(), "there is a pause first");
        tokio::time::advance(PAUSE.0).await;
        let batch = lane.take().unwrap();
        assert_eq!(offsets(&batch), [1, 2, 3]);
        lane.done(batch, Some(1));
        tokio::time::advance(PAUSE.0).await;
        assert!(lane.take().is_none(), "the pause grows");
        tokio::time::advance(PAUSE.0).await;
        assert_eq!(offsets(&lane.take().unwrap()), [1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_of_an_earlier_lane_changes_nothing() {
        let mut earlier = Lane { generation: 0, ..lane(1, 0) };
        earlier.put(record(0));
        let old = earlier.take().unwrap();
        let mut lane = lane(1, 0);
        lane.put(record(0));
        lane.put(record(1));
        let batch = lane.take().unwrap();
        lane.done(old, Some(0));
        assert!(lane.take().is_none(), "its own invocation is under way");
        lane.done(batch, None);
        assert_eq!(offsets(&lane.take().unwrap()), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_lane_says_so_once_and_again_when_it_has_drained() {
        let mut lane = lane(1, 0);
        let filled: Vec<bool> = (0..6).map(|offset| lane.put(record(offset))).collect();
        assert_eq!(filled, [false, false, false, true, false, false]);
        let mut drained = 0;
        while let Some(batch) = lane.take() {
            drained += usize::from(lane.has_drained());
            lane.done(batch, None);
        }
        assert_eq!(drained, 1);
    }
}
