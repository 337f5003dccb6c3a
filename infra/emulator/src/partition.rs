//! One assigned partition's queue of records: delivered in order, one batch at a time.
//!
//! Owns: when a batch is due, backpressure, and what is redelivered after a failure. Pure but for
//! the clock. Must never know: Kafka.

use std::{collections::VecDeque, time::Duration};

use a2a_core::wire::kafka::Record;
use a2a_kafka::event;
use a2a_local::consumer::Source;
use tokio::time::Instant;

/// The shortest and the longest backoff before a redelivery.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How many bytes a partition queues, as an event has them, before it is paused.
const MAX_QUEUED_BYTES: usize = 16 << 20;
/// What an event has beside its records, at most: the cluster's names.
const FRAME: usize = 4096;

/// How batches are delivered. By default each partition by itself, one record at a time, and what
/// fails is redelivered, whole, for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivery {
    /// How many records a batch holds at most: Lambda's `BatchSize`.
    pub batch_size: usize,
    /// How long a batch waits to fill: Lambda's `MaximumBatchingWindowInSeconds`.
    pub window: Duration,
    /// Whether the batches of several partitions go in one event, as on Lambda.
    pub together: bool,
    /// Whether the records of an invocation that failed are redelivered in halves: Lambda's
    /// `BisectBatchOnFunctionError`.
    pub bisect: bool,
    /// How often records that fail are redelivered before they are discarded: Lambda's
    /// `MaximumRetryAttempts`. None is for ever.
    pub retries: Option<u32>,
    /// How old a record may be, by its timestamp, before it is discarded unseen: Lambda's
    /// `MaximumRecordAgeInSeconds`. None is for ever.
    pub age: Option<Duration>,
    /// How many bytes an event may have. None is no bound.
    pub payload: Option<usize>,
}

/// Why records are discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// They were redelivered as often as they may be.
    Retries,
    /// They are older than they may be.
    Age,
}

/// What an event can still take.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    records: usize,
    bytes: usize,
    is_whole: bool,
}

impl Capacity {
    /// An event's, before anything is in it.
    pub fn of(delivery: Delivery) -> Self {
        let bytes = delivery.payload.map_or(usize::MAX, |bytes| bytes.saturating_sub(FRAME));
        Self { records: delivery.batch_size.max(1), bytes, is_whole: true }
    }

    /// Whether so much would fill it.
    pub fn is_filled_by(&self, Load { records, bytes }: Load) -> bool {
        records >= self.records || bytes >= self.bytes
    }

    /// Takes a record into account if it fits. The first record of an event always does: one that
    /// fits no event is for the function's side to refuse.
    fn admits(&mut self, record: &Record) -> bool {
        let bytes = event::size(record);
        let admits = self.is_whole || (self.records > 0 && self.bytes >= bytes);
        if admits {
            self.is_whole = false;
            self.records = self.records.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(bytes);
        }
        admits
    }
}

/// What records would take of an event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// How many there are.
    pub records: usize,
    /// Their bytes of JSON, at most.
    pub bytes: usize,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Every record is done.
    Done,
    /// The function wants a redelivery from this offset on.
    From(i64),
    /// The invocation failed. Its event may have held other partitions' records too, and it is not
    /// known whose fault it was.
    Failed {
        /// Whether this batch was all of it.
        alone: bool,
    },
}

/// Records of one assigned partition that wait for the function.
#[derive(Debug)]
pub struct PartitionQueue {
    generation: u64,
    waiting: VecDeque<Record>,
    delivery: Delivery,
    batch_size: usize,
    /// An event's, with nothing in it.
    capacity: Capacity,
    /// The bytes of an event that the waiting records would take.
    bytes: usize,
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
    backoff: Duration,
}

/// Records of one partition, in order; at least one.
#[derive(Debug)]
pub struct Batch {
    /// Which assignment of the partition it is from: one that is assigned again has a new queue.
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

impl PartitionQueue {
    /// An empty queue, for that assignment.
    pub fn new(delivery: Delivery, generation: u64) -> Self {
        let batch_size = delivery.batch_size.max(1);
        Self {
            generation,
            waiting: VecDeque::new(),
            delivery,
            batch_size,
            capacity: Capacity::of(delivery),
            bytes: 0,
            next_size: batch_size,
            alone: false,
            failures: 0,
            window: delivery.window,
            since: None,
            busy: false,
            full: false,
            retry_at: None,
            backoff: BACKOFF.0,
        }
    }

    /// Takes a record. Answers whether the queue is full with it: its partition is to be paused.
    pub fn put(&mut self, record: Record) -> bool {
        self.since.get_or_insert_with(Instant::now);
        self.bytes += event::size(&record);
        self.waiting.push_back(record);
        let many = self.waiting.len() >= self.batch_size * 4 || self.bytes >= MAX_QUEUED_BYTES;
        let fills = !self.full && many;
        self.full |= fills;
        fills
    }

    /// Whether a full queue has drained, so that its partition is to be resumed; true once per
    /// filling.
    pub fn has_drained(&mut self) -> bool {
        let few = self.waiting.len() <= self.batch_size && self.bytes <= MAX_QUEUED_BYTES / 4;
        let drained = self.full && few;
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

    /// What waits and may go now.
    pub fn load(&self) -> Load {
        if self.is_free() {
            Load { records: self.waiting.len(), bytes: self.bytes }
        } else {
            Load::default()
        }
    }

    /// The records at the head that are older than they may be, at `now` in milliseconds since
    /// 1970; none while nothing may go.
    pub fn take_expired(&mut self, now: i64) -> Option<Batch> {
        let age = self.delivery.age.filter(|_| self.is_free())?;
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let is_old = |record: &&Record| now.saturating_sub(record.timestamp) > age;
        let old = self.waiting.iter().take_while(is_old).count();
        let batch = self.split_off(old)?;
        self.reset_retries();
        Some(batch)
    }

    /// A batch of what waits, due or not, as far as the event has capacity for it; none while there is
    /// nothing or nothing may go.
    pub fn take(&mut self, capacity: &mut Capacity) -> Option<Batch> {
        if !self.is_free() {
            return None;
        }
        let next = self.waiting.iter().take(self.next_size);
        let size = next.take_while(|record| capacity.admits(record)).count();
        let batch = self.split_off(size)?;
        self.busy = true;
        Some(batch)
    }

    fn split_off(&mut self, size: usize) -> Option<Batch> {
        let records: Vec<Record> = self.waiting.drain(..size).collect();
        let (first, last) = (records.first()?, records.last()?);
        let (partition, first, last) = (first.partition, first.offset, last.offset);
        self.bytes -= records.iter().map(event::size).sum::<usize>();
        self.since = (!self.waiting.is_empty()).then(Instant::now);
        self.retry_at = None;
        Some(Batch { generation: self.generation, partition, first, last, records })
    }

    /// Failures before this count no more.
    fn reset_retries(&mut self) {
        (self.backoff, self.failures) = (BACKOFF.0, 0);
        (self.next_size, self.alone) = (self.batch_size, false);
    }

    fn is_free(&self) -> bool {
        !self.busy && self.retry_at.is_none_or(|at| at <= Instant::now())
    }

    /// When the next batch is due at the latest; none while nothing waits or an invocation is under
    /// way.
    pub fn waits_until(&self) -> Option<Instant> {
        let since = self.since.filter(|_| !self.busy)?;
        let load = Load { records: self.waiting.len(), bytes: self.bytes };
        let full = load.records >= self.next_size || self.capacity.is_filled_by(load);
        let due = if full { since } else { since + self.window };
        Some(self.retry_at.map_or(due, |at| at.max(due)))
    }

    /// Whether an invocation is under way.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Whether the queue is full, and its partition paused.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether the batch is from this assignment, and not from an earlier one of its partition.
    pub fn is_of(&self, batch: &Batch) -> bool {
        batch.generation == self.generation
    }

    /// The batch's invocation has ended. What is not done is redelivered after a growing backoff, or
    /// given back to be discarded.
    pub fn done(&mut self, batch: Batch, settled: Settled) -> Option<Batch> {
        if !self.is_of(&batch) {
            return None;
        }
        self.busy = false;
        (self.next_size, self.alone) = (self.batch_size, false);
        let from = match settled {
            Settled::Done => {
                self.reset_retries();
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
            self.reset_retries();
            let records = batch.records.into_iter().filter(|record| record.offset >= from);
            return Some(Batch { first: from, records: records.collect(), ..batch });
        }
        for record in batch.records.into_iter().rev().filter(|record| record.offset >= from) {
            self.bytes += event::size(&record);
            self.waiting.push_front(record);
        }
        self.since.get_or_insert_with(Instant::now);
        self.retry_at = Some(Instant::now() + self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF.1);
        None
    }
}

#[cfg(test)]
mod tests;
