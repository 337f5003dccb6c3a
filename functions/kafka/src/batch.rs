//! One batch: its partitions in parallel, each in order, and which records are to be redelivered.
//!
//! Owns: what counts as done. Must never know: what a record says, rdkafka.

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use a2a_core::{
    Caller, Error, ErrorKind,
    kafka::{KafkaEndpoint, Outgoing, Redeliver},
    wire::kafka::{Origin, Record},
};
use futures_util::{FutureExt, future::join_all};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::{
    event::{self, KafkaEvent, Unreadable},
    outbox::Outbox,
    producer::{Acknowledgement, Fault, ProduceError, Producer},
    response::{BatchItemFailure, BatchResponse, ItemIdentifier},
};

/// How long it takes at most to answer Lambda with the failed records.
const RESPONSE_TIME: Duration = Duration::from_millis(500);

/// The function: an endpoint, and where its answers go. Cheap to clone.
#[derive(Clone)]
pub struct KafkaFunction {
    endpoint: KafkaEndpoint,
    producer: Arc<dyn Producer>,
    give_up: GiveUp,
    drain: CancellationToken,
}

/// When a record is given up whose failure is retriable, such as an unavailable store. Until then it
/// is redelivered; then it is a dead letter, its client gets an error, and its partition goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GiveUp {
    /// After how many deliveries; none is never. Only the event source can count them: Lambda does
    /// not tell, and there this has no effect.
    pub attempts: Option<u32>,
    /// At which age, by the record's timestamp; none is never.
    pub age: Option<Duration>,
}

impl Default for GiveUp {
    /// A store's failover, or a deployment that is rolled back, is outlived: a hundred deliveries take
    /// a quarter of an hour, with the store's retries and the backoff. After an hour no client waits
    /// for an answer any more, but an operator should know.
    fn default() -> Self {
        Self { attempts: Some(100), age: Some(Duration::from_secs(3600)) }
    }
}

impl KafkaFunction {
    /// The function of this endpoint; answers go to `producer`.
    pub fn new(endpoint: KafkaEndpoint, producer: Arc<dyn Producer>) -> Self {
        let (give_up, drain) = (GiveUp::default(), CancellationToken::new());
        Self { endpoint, producer, give_up, drain }
    }

    /// The same function, which gives records up after this.
    #[must_use]
    pub fn give_up_after(mut self, give_up: GiveUp) -> Self {
        self.give_up = give_up;
        self
    }

    /// The same function, which drains once this is cancelled: the record that each partition works
    /// on is finished, and the rest of a batch is to be redelivered. For a rebalance and a shutdown.
    #[must_use]
    pub fn draining(mut self, drain: CancellationToken) -> Self {
        self.drain = drain;
        self
    }

    /// Answers a batch. When this returns, every answer of a record that is done has been
    /// acknowledged by the broker, and nothing goes on.
    pub async fn handle(&self, event: KafkaEvent, deadline: Option<Instant>) -> BatchResponse {
        let caller = Caller { deadline, ..Caller::default() };
        let endpoint = self.endpoint.invocation();
        let outbox = Arc::new(Outbox::new(Arc::clone(&self.producer)));
        let partitions = event.records.into_iter().zip(0..).map(|((partition, records), index)| {
            Arc::new(Partition {
                index,
                endpoint: endpoint.clone(),
                outbox: Arc::clone(&outbox),
                producer: Arc::clone(&self.producer),
                give_up: self.give_up,
                drain: self.drain.clone(),
                caller: caller.clone(),
                delivery: event.deliveries.get(&partition).copied(),
                partition,
                records,
            })
        });
        let partitions: Vec<Arc<Partition>> = partitions.collect();
        let failed = answer_all(&partitions).await;
        let mut sent: Vec<Vec<_>> = partitions.iter().map(|_| Vec::new()).collect();
        for ((partition, record), acknowledgement) in outbox.finish() {
            sent[partition].push((record, acknowledgement));
        }
        let settled = partitions.iter().zip(failed).zip(sent);
        let settled = settled.map(|((it, failed), sent)| it.settle(failed, sent));
        let failures = join_all(settled).await;
        endpoint.handler().settled().await;
        BatchResponse { batch_item_failures: failures.into_iter().flatten().collect() }
    }
}

/// Answers the records of each partition, up to the first of each that is to be redelivered.
async fn answer_all(partitions: &[Arc<Partition>]) -> Vec<Option<usize>> {
    let Some((first, others)) = partitions.split_first() else { return Vec::new() };
    // A task of its own each, so that they use every core; but this task is on one already.
    let others = Vec::from_iter(others.iter().map(|it| tokio::spawn(Arc::clone(it).answer())));
    // As in a task, a panic costs its own partition only. What it says is in the log by then.
    let first = AssertUnwindSafe(Arc::clone(first).answer()).catch_unwind().await.ok();
    let others = join_all(others).await.into_iter().map(Result::ok);
    let answered = [first].into_iter().chain(others).zip(partitions).map(|(answered, it)| {
        answered.unwrap_or_else(|| {
            tracing::error!(partition = it.partition, "a partition's work broke off");
            Some(0)
        })
    });
    answered.collect()
}

/// The work on one partition's records.
struct Partition {
    /// Its index in the event.
    index: usize,
    endpoint: KafkaEndpoint,
    outbox: Arc<Outbox>,
    producer: Arc<dyn Producer>,
    give_up: GiveUp,
    drain: CancellationToken,
    caller: Caller,
    partition: String,
    /// How often the first record has been delivered, where that is known.
    delivery: Option<u32>,
    records: Vec<Box<RawValue>>,
}

impl Partition {
    /// Answers the records in order, up to the first that is to be redelivered.
    async fn answer(self: Arc<Self>) -> Option<usize> {
        let mut longest = Duration::ZERO;
        let all = async {
            for (index, raw) in self.records.iter().enumerate() {
                let began = Instant::now();
                let is_over = self.drain.is_cancelled() || self.is_late(longest);
                if is_over || !self.answer_record(index, raw).await {
                    return Some(index);
                }
                longest = longest.max(began.elapsed());
            }
            None
        };
        self.outbox.during(all).await
    }

    /// Waits for the acknowledgements of what was sent, each with its record; the redelivery begins
    /// with the record that failed.
    async fn settle(
        &self,
        mut failed: Option<usize>,
        sent: Vec<(usize, Acknowledgement)>,
    ) -> Vec<BatchItemFailure> {
        let mut refused = None;
        for (index, acknowledgement) in sent {
            let Err(error) = self.acknowledged(acknowledgement).await else { continue };
            tracing::error!(partition = self.partition, %error, "an answer was not produced");
            // Once for all events of a stream.
            let is_told = error.fault != Fault::Broker && refused == Some(index);
            if is_told || self.send_error(index, error.fault).await {
                refused = Some(index);
                continue;
            }
            failed = Some(failed.map_or(index, |failed| failed.min(index)));
            break;
        }
        failed.map_or_else(Vec::new, |from| self.failures(from))
    }

    /// Whether a run that takes this long would be cut off, if it began now: the next invocation
    /// gives it its time.
    fn is_late(&self, time: Duration) -> bool {
        let time = time + self.endpoint.handler().limits().deadline_margin;
        let late = self.caller.deadline.is_some_and(|it| it < Instant::now() + time);
        if late {
            let partition = &*self.partition;
            tracing::warn!(
                partition,
                "the invocation has no time left; records are to be redelivered"
            );
        }
        late
    }

    /// Waits as long as there is time to tell Lambda without it.
    async fn in_time<T>(&self, work: impl Future<Output = T> + Unpin) -> Option<T> {
        let Some(deadline) = self.caller.deadline else { return Some(work.await) };
        let end = deadline.checked_sub(RESPONSE_TIME).unwrap_or(deadline);
        tokio::time::timeout_at(end.into(), work).await.ok()
    }

    async fn acknowledged(&self, acknowledgement: Acknowledgement) -> Result<(), ProduceError> {
        self.in_time(acknowledgement).await.unwrap_or_else(|| {
            let reason = "it was not acknowledged within the invocation".to_owned();
            Err(ProduceError { reason, fault: Fault::Broker })
        })
    }

    /// Answers one record, and whether it is done as far as its answers are acknowledged.
    async fn answer_record(&self, index: usize, raw: &RawValue) -> bool {
        let put = |answer| self.outbox.put((self.index, index), answer);
        let record = match event::read(&self.partition, raw) {
            Ok(record) => record,
            Err(unreadable) => {
                put(self.dead_letter(unreadable));
                return true;
            }
        };
        // Pinned where it is: it is large, and would be moved again and again.
        let served = pin!(self.endpoint.serve(self.caller.clone(), &record, put));
        let served = self.in_time(served).await;
        let served = served.unwrap_or_else(|| Err(Redeliver(out_of_time())));
        let Err(Redeliver(error)) = served else { return true };
        let (partition, offset) = (&*self.partition, record.offset);
        let attempts = self.delivery.filter(|_| index == 0);
        if !self.is_given_up(&record, attempts) {
            tracing::warn!(partition, offset, %error, "a record is to be redelivered");
            return false;
        }
        tracing::error!(partition, offset, attempts, %error, "a record is given up");
        self.endpoint.give_up(&record, error, attempts).into_iter().for_each(put);
        true
    }

    /// Whether a record that could not be done was delivered too often, or is too old.
    fn is_given_up(&self, record: &Record, attempts: Option<u32>) -> bool {
        let GiveUp { attempts: most, age } = self.give_up;
        let often = attempts.zip(most).is_some_and(|(attempts, most)| attempts >= most);
        often || self.endpoint.age(record).zip(age).is_some_and(|(old, most)| old > most)
    }

    fn dead_letter(&self, unreadable: Unreadable) -> Outgoing {
        let Unreadable { offset, reason, raw } = unreadable;
        let (topic, partition) = self.partition.rsplit_once('-').unzip();
        let partition = partition.and_then(|it| it.parse().ok());
        let origin = Origin { topic, partition, offset, ..Origin::default() };
        let partition = &*self.partition;
        tracing::error!(partition, offset, reason, "a record that cannot be read is a dead letter");
        self.endpoint.raw_dead_letter(raw.into_bytes(), &reason, &origin)
    }

    /// Sends an error in place of an answer that the broker will never take, or not on the topic that
    /// the client named; else the record would be redelivered for ever and block its partition.
    /// Answers whether that was acknowledged.
    async fn send_error(&self, index: usize, fault: Fault) -> bool {
        let Ok(record) = event::read(&self.partition, &self.records[index]) else { return false };
        let error = match fault {
            Fault::Broker => None,
            Fault::Topic => self.endpoint.refuse_topic(&record),
            Fault::Record => {
                let sentence = "The answer is larger than the topic takes.";
                Some(self.endpoint.refuse(&record, Error::new(ErrorKind::TooLarge, sentence)))
            }
        };
        let Some(error) = error else { return false };
        self.acknowledged(self.producer.send(error)).await.is_ok()
    }

    /// That record and every later one. A record whose offset cannot be read has none to name: then
    /// the one before it is redelivered too, so that none is lost.
    fn failures(&self, from: usize) -> Vec<BatchItemFailure> {
        let offset = |index: &usize| match event::read(&self.partition, &self.records[*index]) {
            Ok(record) => Some(record.offset),
            Err(unreadable) => unreadable.offset,
        };
        let first = (0..=from).rev().find(|index| offset(index).is_some()).unwrap_or(from);
        let offsets = (first..self.records.len()).filter_map(|index| offset(&index));
        let failure = |offset| {
            let partition = self.partition.clone();
            BatchItemFailure { item_identifier: ItemIdentifier { partition, offset } }
        };
        offsets.map(failure).collect()
    }
}

/// For a record that follows another one's work, such as a stream.
fn out_of_time() -> Error {
    Error::new(ErrorKind::Unavailable, "The invocation ended before this was done.")
}
