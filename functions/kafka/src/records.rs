//! One record: served, and its answers acknowledged. The local runner and the function share it.
//!
//! Owns: when a record is done, when it is given up, and what is produced in place of an answer that
//! no topic takes. Must never know: batches, partitions' offsets, rdkafka.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use a2a_core::{
    Error, ErrorKind,
    kafka::{Answers, Incoming, KafkaEndpoint, Outgoing, Redeliver},
    wire::kafka::{Origin, Record},
};
use futures_util::FutureExt;

use crate::{
    failures::{FailedRecords, GiveUp},
    producer::{Acknowledgement, Fault, ProduceError, Producer},
};

/// How long it takes at most to answer the host with what is not done.
const RESPONSE_TIME: Duration = Duration::from_millis(500);

const ANSWER_TOO_LARGE: &str = "The answer is larger than the topic takes.";
const NO_TOPIC: &str = "No topic takes the answer.";

/// Serves the records of one agent: an endpoint, and where its answers go. Cheap to clone.
#[derive(Clone)]
pub struct RecordHandler {
    endpoint: KafkaEndpoint,
    producer: Arc<dyn Producer>,
    give_up: GiveUp,
    failed: Arc<FailedRecords>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every answer is acknowledged by the broker, and no run of it goes on.
    Done,
    /// It is to be redelivered. It has failed so often in this process; a record that was cut by the
    /// host's end has not failed.
    Redeliver {
        /// How often.
        attempts: u32,
    },
}

impl RecordHandler {
    /// Serves the records of this endpoint; answers go to `producer`.
    pub fn new(endpoint: KafkaEndpoint, producer: Arc<dyn Producer>) -> Self {
        Self { endpoint, producer, give_up: GiveUp::default(), failed: Arc::default() }
    }

    /// The same, which gives records up after this.
    #[must_use]
    pub fn give_up_after(mut self, give_up: GiveUp) -> Self {
        self.give_up = give_up;
        self
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &KafkaEndpoint {
        &self.endpoint
    }

    /// Serves a record once. What it takes is bounded by `until`, the host's end, where there is one.
    /// When this returns, no run of the record goes on, not even one whose caller wanted its answer
    /// at once.
    pub async fn serve(&self, incoming: &mut Incoming, until: Option<Instant>) -> Outcome {
        let began = tokio::time::Instant::now();
        let end = until.map(|it| it.checked_sub(RESPONSE_TIME).unwrap_or(it));
        let attempt = AssertUnwindSafe(self.attempt(incoming, until)).catch_unwind();
        let attempted = match end {
            // What it says is in the log by then.
            None => attempt.await.unwrap_or_else(|_| Err(Redeliver(panicked()))),
            Some(end) => match tokio::time::timeout_at(end.into(), attempt).await {
                Ok(attempted) => attempted.unwrap_or_else(|_| Err(Redeliver(panicked()))),
                Err(_) => Err(Redeliver(out_of_time())),
            },
        };
        let record = incoming.record();
        let Err(Redeliver(error)) = attempted else {
            self.failed.forget(record);
            return Outcome::Done;
        };
        let margin = self.endpoint.handler().limits().deadline_margin;
        let (partition, offset) = (record.partition, record.offset);
        if until.is_some_and(|until| Instant::now() + margin >= until) {
            tracing::warn!(partition, offset, %error, "a record is to be redelivered: no time is left");
            return Outcome::Redeliver { attempts: 0 };
        }
        let failures = self.failed.count(record, began);
        let attempts = failures.attempts;
        if !failures.exceed(self.give_up) {
            tracing::warn!(partition, offset, attempts, %error, "a record is to be redelivered");
            return Outcome::Redeliver { attempts };
        }
        tracing::error!(partition, offset, attempts, %error, "a record is given up");
        match self.give_up(record, error, attempts).await {
            Ok(()) => {
                self.failed.forget(record);
                Outcome::Done
            }
            Err(_) => Outcome::Redeliver { attempts },
        }
    }

    async fn attempt(
        &self,
        incoming: &mut Incoming,
        until: Option<Instant>,
    ) -> Result<(), Redeliver> {
        let endpoint = self.endpoint.invocation();
        let mut sent = Sent::new(&*self.producer);
        let served = endpoint.serve(incoming, until, &mut sent).await;
        sent.acknowledged().await;
        // A run whose caller wanted its answer at once holds its lane all the same.
        endpoint.handler().settled().await;
        if endpoint.handler().released() > 0 {
            return Err(Redeliver(released()));
        }
        match sent.refused {
            Some(refused) => self.apologize(incoming.record(), refused).await,
            None => served,
        }
    }

    /// Sends an error in place of an answer that the broker will never take, or not on the topic that
    /// the client named; else the record would be redelivered for ever.
    async fn apologize(&self, record: &Record, refused: ProduceError) -> Result<(), Redeliver> {
        let (answer, why) = match refused.fault {
            Fault::Broker => return Err(Redeliver(not_produced(refused))),
            Fault::Topic => match self.endpoint.refuse_topic(record) {
                None => return Err(Redeliver(not_produced(refused))),
                answer => (answer, Error::new(ErrorKind::PermissionDenied, NO_TOPIC)),
            },
            Fault::Record => {
                let why = || Error::new(ErrorKind::TooLarge, ANSWER_TOO_LARGE);
                (Some(self.endpoint.refuse(record, why())), why())
            }
        };
        if let Some(answer) = answer
            && self.is_taken(answer).await?
        {
            return Ok(());
        }
        self.put_dead_letter(record, self.endpoint.dead_letter(record, &why, None)).await
    }

    /// A dead letter with the reason, and an answer with the same error for the client.
    async fn give_up(&self, record: &Record, why: Error, attempts: u32) -> Result<(), Redeliver> {
        let [letter, answer] = self.endpoint.give_up(record, why, Some(attempts));
        self.put_dead_letter(record, letter).await?;
        self.is_taken(answer).await.map(drop)
    }

    /// Writes a dead letter; one that is too large is written without what the record held.
    async fn put_dead_letter(&self, record: &Record, letter: Outgoing) -> Result<(), Redeliver> {
        let Record { topic, partition, offset, timestamp, .. } = record;
        tracing::error!(topic, partition, offset, "a record is a dead letter");
        if self.is_taken(letter).await? {
            return Ok(());
        }
        let origin = Origin {
            topic: Some(topic),
            partition: Some(*partition),
            offset: Some(*offset),
            timestamp: Some(*timestamp),
            attempts: None,
        };
        let reason = "The record is too large for the dead-letter topic.";
        let bare = self.endpoint.raw_dead_letter(Vec::new(), reason, &origin);
        if !self.is_taken(bare).await? {
            tracing::error!(topic, partition, offset, "the dead-letter topic takes nothing");
        }
        Ok(())
    }

    /// Writes the dead letter of what cannot be read as a record. Answers whether the broker has it, or
    /// will never take it.
    pub async fn put_raw(&self, raw: String, reason: &str, origin: &Origin<'_>) -> bool {
        tracing::error!(?origin, reason, "a record that cannot be read is a dead letter");
        let letter = self.endpoint.raw_dead_letter(raw.into_bytes(), reason, origin);
        self.is_taken(letter).await.is_ok()
    }

    /// Whether the broker takes this; not, where it never will.
    async fn is_taken(&self, answer: Outgoing) -> Result<bool, Redeliver> {
        match self.producer.send(answer).await {
            Ok(()) => Ok(true),
            Err(error) if error.fault == Fault::Broker => Err(Redeliver(not_produced(error))),
            Err(error) => {
                tracing::error!(%error, "an answer was refused by the broker");
                Ok(false)
            }
        }
    }
}

/// How long after the first of some events others are sent beside it. Then those are waited for: one
/// that is given up must not be followed by one that arrives, and what was sent together is given up
/// together.
const TOGETHER: Duration = Duration::from_millis(5);

/// The answers of one record on their way, in order.
struct Sent<'a> {
    producer: &'a dyn Producer,
    waiting: VecDeque<Acknowledgement>,
    /// When the first of those that wait was sent.
    since: Instant,
    refused: Option<ProduceError>,
}

impl<'a> Sent<'a> {
    fn new(producer: &'a dyn Producer) -> Self {
        Self { producer, waiting: VecDeque::new(), since: Instant::now(), refused: None }
    }

    /// The broker's unavailability outweighs a refusal: the record is redelivered then.
    fn note(&mut self, result: Result<(), ProduceError>) {
        let Err(error) = result else { return };
        tracing::error!(%error, "an answer was not produced");
        if self.refused.as_ref().is_none_or(|it| it.fault != Fault::Broker) {
            self.refused = Some(error);
        }
    }

    async fn acknowledged(&mut self) {
        while let Some(acknowledgement) = self.waiting.front_mut() {
            // It stays there should this be dropped meanwhile.
            let result = acknowledgement.await;
            self.waiting.pop_front();
            self.note(result);
        }
    }
}

impl Answers for &mut Sent<'_> {
    async fn take(&mut self, answer: Outgoing) -> Result<(), Redeliver> {
        if !self.waiting.is_empty() && self.since.elapsed() > TOGETHER {
            self.acknowledged().await;
        }
        if self.refused.is_some() {
            return Err(Redeliver(broken_off()));
        }
        if self.waiting.is_empty() {
            self.since = Instant::now();
        }
        let acknowledgement = self.producer.send(answer);
        self.waiting.push_back(acknowledgement);
        Ok(())
    }
}

fn not_produced(error: ProduceError) -> Error {
    Error::new(ErrorKind::Unavailable, "The answer could not be produced.").with_source(error)
}

/// For a stream of which an event was not produced.
fn broken_off() -> Error {
    Error::new(ErrorKind::Unavailable, "An event of the stream could not be produced.")
}

fn panicked() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "The record could not be served because of an internal error.",
    )
}

/// For a record whose run was released, although it may have its answer.
fn released() -> Error {
    Error::new(ErrorKind::Unavailable, "The work was released for the next attempt.")
}

/// For a record that follows another one's work, such as a stream.
fn out_of_time() -> Error {
    Error::new(ErrorKind::Unavailable, "The invocation ended before this was done.")
}
