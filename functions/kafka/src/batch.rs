//! One batch: all its lanes at once, and which records are to be redelivered.
//!
//! Owns: what is begun within the invocation's time, and what counts as done for Lambda. Must never
//! know: what a record says, rdkafka.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use a2a_core::{kafka::Incoming, wire::kafka::Origin};
use tokio::task::JoinSet;

use crate::{
    event::{self, KafkaEvent, Unreadable},
    lanes::Lanes,
    records::{Outcome, RecordHandler},
    response::{BatchItemFailure, BatchResponse, ItemIdentifier},
};

/// The function: what serves its records. Cheap to clone.
#[derive(Clone)]
pub struct KafkaFunction {
    records: RecordHandler,
    /// Whether it was said that the function's timeout is shorter than the agent's run time.
    told: Arc<AtomicBool>,
}

/// A record of a batch.
struct Item {
    incoming: Box<Incoming>,
    at: Place,
}

/// Where a record stands in its event: the index of its partition, and its own in that.
type Place = (usize, usize);

impl KafkaFunction {
    /// The function that serves records so.
    pub fn new(records: RecordHandler) -> Self {
        Self { records, told: Arc::default() }
    }

    /// Answers a batch: the records of one lane in the order of their offsets, all lanes at once. When
    /// this returns, every answer of a record that is done has been acknowledged by the broker,
    /// nothing goes on, and `deadline`, the invocation's end, has not passed.
    pub async fn handle(&self, event: KafkaEvent, deadline: Option<Instant>) -> BatchResponse {
        let budget = self.budget(deadline);
        let mut batch = Batch::default();
        let count = event.records.values().map(Vec::len).sum();
        let mut lanes = Lanes::new(usize::max(count, 1));
        for (name, records) in event.records {
            self.read(&mut batch, &mut lanes, name, &records).await;
        }
        let mut at_work = JoinSet::new();
        loop {
            while let Some((lane, item)) = lanes.begin() {
                if batch.is_failed(item.at) || (lane.is_work() && !budget.fits(Instant::now())) {
                    batch.fail(item.at);
                    lanes.abandon(&lane).into_iter().for_each(|item| batch.fail(item.at));
                    continue;
                }
                let records = self.records.clone();
                at_work.spawn(async move {
                    let Item { mut incoming, at } = item;
                    (lane, at, records.serve(&mut incoming, deadline).await)
                });
            }
            match at_work.join_next().await {
                None => return batch.response(),
                Some(Ok((lane, _, Outcome::Done))) => lanes.done(lane),
                Some(Ok((lane, at, Outcome::Redeliver { .. }))) => {
                    batch.fail(at);
                    lanes.abandon(&lane).into_iter().for_each(|item| batch.fail(item.at));
                }
                // A record catches its panics itself: nothing is known of which one this was.
                Some(Err(error)) => {
                    tracing::error!(%error, "a record's work broke off");
                    batch.fail_all();
                }
            }
        }
    }

    /// Reads a partition's records into their lanes.
    async fn read(
        &self,
        batch: &mut Batch,
        lanes: &mut Lanes<Item>,
        name: String,
        records: &[Box<serde_json::value::RawValue>],
    ) {
        let partition = batch.partitions.len();
        let mut offsets = Vec::with_capacity(records.len());
        let mut unreadable = Vec::new();
        for (index, raw) in records.iter().enumerate() {
            let at = (partition, index);
            match event::read(&name, raw) {
                Ok(record) => {
                    offsets.push(Some(record.offset));
                    let incoming = self.records.endpoint().read(&Arc::default(), record);
                    let incoming = Box::new(incoming);
                    lanes.put(incoming.lane().clone(), Item { incoming, at });
                }
                Err(error) => {
                    offsets.push(error.offset);
                    unreadable.push((at, error));
                }
            }
        }
        let (topic, number) = name.rsplit_once('-').unzip();
        let number = number.and_then(|it| it.parse().ok());
        batch.partitions.push(Partition {
            failed_from: offsets.len(),
            offsets,
            name: name.clone(),
        });
        for (at, Unreadable { offset, reason, raw }) in unreadable {
            let origin = Origin { topic, partition: number, offset, ..Origin::default() };
            if !self.records.put_raw(raw, &reason, &origin).await {
                batch.fail(at);
            }
        }
    }

    fn budget(&self, deadline: Option<Instant>) -> Budget {
        let run_time = self.records.endpoint().handler().limits().run_time;
        let Some(deadline) = deadline else { return Budget { latest: None } };
        let began = Instant::now();
        let invocation = deadline.saturating_duration_since(began);
        if invocation < run_time && !self.told.swap(true, Ordering::Relaxed) {
            let (timeout, run_time) = (invocation.as_secs_f32().round(), run_time.as_secs());
            tracing::warn!(
                "The function's timeout ({timeout} s) is shorter than the agent's run time \
                 ({run_time} s): an agent that needs more goes on in the next invocation, from its \
                 last step."
            );
        }
        let margin = self.records.endpoint().handler().limits().deadline_margin;
        let needed = run_time.min(invocation.mul_f32(NEARLY_ALL)).max(margin);
        Budget { latest: Some(deadline.checked_sub(needed).unwrap_or(began)) }
    }
}

/// How much of an invocation a record's work is begun before that takes longer than it.
const NEARLY_ALL: f32 = 0.9;

/// Until when work may begin, so that an agent has its whole run time, or nearly the whole
/// invocation.
struct Budget {
    latest: Option<Instant>,
}

impl Budget {
    fn fits(&self, now: Instant) -> bool {
        self.latest.is_none_or(|latest| now < latest)
    }
}

/// The partitions of an event, and from where on each is to be redelivered.
#[derive(Default)]
struct Batch {
    partitions: Vec<Partition>,
}

struct Partition {
    /// The topic's name and the partition's number, as the event has them.
    name: String,
    /// The offset of each record, where it can be read.
    offsets: Vec<Option<i64>>,
    /// The index of the first record that is not done.
    failed_from: usize,
}

impl Batch {
    /// That record is to be redelivered, and so is every later one of its partition.
    fn fail(&mut self, (partition, index): Place) {
        let failed_from = &mut self.partitions[partition].failed_from;
        *failed_from = (*failed_from).min(index);
    }

    fn fail_all(&mut self) {
        self.partitions.iter_mut().for_each(|it| it.failed_from = 0);
    }

    /// Whether it is redelivered in any case: then it is not begun.
    fn is_failed(&self, (partition, index): Place) -> bool {
        index >= self.partitions[partition].failed_from
    }

    fn response(self) -> BatchResponse {
        let failures = self.partitions.iter().flat_map(Partition::failures);
        BatchResponse { batch_item_failures: failures.collect() }
    }
}

impl Partition {
    /// The records to be redelivered. A record whose offset cannot be read has none to name: then the
    /// one before it is redelivered too, so that none is lost.
    fn failures(&self) -> impl Iterator<Item = BatchItemFailure> {
        let (read, from) = (&self.offsets, self.failed_from);
        let is_known = |index: &usize| read.get(*index).is_some_and(Option::is_some);
        let first =
            if from < read.len() { (0..=from).rev().find(is_known).unwrap_or(from) } else { from };
        read[first..].iter().flatten().map(|offset| BatchItemFailure {
            item_identifier: ItemIdentifier { partition: self.name.clone(), offset: *offset },
        })
    }
}
