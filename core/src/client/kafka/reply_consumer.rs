//! The one consumer of a reply topic in this process.
//!
//! Owns: being assigned the topic's end before anything is asked, and all its partitions. Must
//! never know: what was asked, what an answer says, who waits how long.
//!
//! It has a thread of its own, so that it serves callers of every runtime and none can hold it up.
//! It belongs to no group: every process reads all answers and takes its own, which it tells by their
//! key before it copies anything.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
};
use tokio::sync::watch;

use super::{
    correlation::CorrelationId,
    pending::PendingRequests,
    reply_queue::ReplyRecord,
    settings::{self, ConnectionErrors, Settings, is_of_batch},
};
use crate::{
    error::{Error, ErrorKind},
    wire::kafka::client::EventHeaders,
};

/// How long a broker may take to say something before it is asked again.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the thread waits for a record before it looks whether anybody still needs it.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// How long it is left at that when the topic cannot be read.
const RETRY_BACKOFF: Duration = Duration::from_millis(200);
/// How often it is looked whether the topic has got more partitions, while there are calls.
const METADATA_MAX_AGE: Duration = Duration::from_secs(10);

/// A reply topic as this process reads it.
pub(super) struct ReplyConsumer {
    brokers: String,
    topic: Arc<str>,
    pending: Arc<PendingRequests>,
    consumer: Arc<BaseConsumer<ConnectionErrors>>,
    errors: ConnectionErrors,
    assignment: watch::Sender<Assignment>,
    partitions: Mutex<Partitions>,
    /// When answers were passed over last because they cannot be read, and why, in one sentence.
    passed_over: Mutex<Option<(Instant, String)>>,
}

/// Whether the consumer is assigned offsets from which no answer can be missed.
#[derive(Clone, Debug)]
pub(super) enum Assignment {
    /// Not yet, and why, in one sentence, once that is known.
    Unavailable(Option<String>),
    /// It does.
    Ready,
}

#[derive(Debug)]
struct Partitions {
    count: i32,
    looked: Instant,
}

impl ReplyConsumer {
    /// Begins to read the topic.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`] when librdkafka refuses a setting, [`ErrorKind::Unavailable`]
    /// when the system gives no thread.
    pub(super) fn open(
        brokers: &str,
        topic: &str,
        settings: &Settings,
        pending: &Arc<PendingRequests>,
    ) -> Result<Arc<Self>, Error> {
        let errors = ConnectionErrors::default();
        let consumer = settings::consumer(brokers, settings, false, errors.clone())?;
        let replies = Arc::new(Self {
            brokers: brokers.to_owned(),
            topic: topic.into(),
            pending: Arc::clone(pending),
            consumer: Arc::new(consumer),
            errors,
            assignment: watch::Sender::new(Assignment::Unavailable(None)),
            partitions: Mutex::new(Partitions { count: 0, looked: Instant::now() }),
            passed_over: Mutex::default(),
        });
        let (consumer, reader) = (Arc::clone(&replies.consumer), Arc::downgrade(&replies));
        let thread = std::thread::Builder::new().name("a2a-replies".to_owned());
        thread.spawn(move || read(&consumer, &reader)).map_err(|error| {
            let sentence = "There is no thread to read Kafka's answers.";
            Error::new(ErrorKind::Unavailable, sentence).with_source(error)
        })?;
        Ok(replies)
    }

    /// Returns once no answer to what is asked from then on can be missed.
    pub(super) async fn ready(&self) {
        let mut assignment = self.assignment.subscribe();
        // The sender is this value's own.
        let _ = assignment.wait_for(|assignment| matches!(assignment, Assignment::Ready)).await;
    }

    /// Returns once that is so, or it is known why it is not.
    pub(super) async fn tried(&self) {
        let mut assignment = self.assignment.subscribe();
        let _ = assignment
            .wait_for(|assignment| !matches!(assignment, Assignment::Unavailable(None)))
            .await;
    }

    /// Whether that is so, and why not.
    pub(super) fn assignment(&self) -> Assignment {
        self.assignment.borrow().clone()
    }

    /// Why answers that came since then cannot be read; none where all could be.
    pub(super) fn passed_over_since(&self, then: Instant) -> Option<String> {
        let passed_over = lock(&self.passed_over);
        passed_over.as_ref().filter(|(at, _)| *at >= then).map(|(_, why)| why.clone())
    }

    /// A batch that cannot be read would be read again for ever. Which one it is librdkafka does not
    /// say, so all that is there is passed over: who waits for an answer asks again.
    fn pass_over(&self, error: &KafkaError) {
        let why = format!("Answers on the topic {} cannot be read: {error}.", self.topic);
        let known = lock(&self.passed_over).replace((Instant::now(), why.clone()));
        if known.is_none_or(|(_, known)| known != why) {
            tracing::warn!(why, "what is on the topic is passed over");
        }
        if let Err(why) = self.assign_to_end() {
            tracing::debug!(topic = &*self.topic, why, "it is not passed over for now");
        }
    }

    /// Looks for new partitions of the topic, in the background, if nobody did so lately.
    pub(super) fn look(self: &Arc<Self>) {
        let mut partitions = lock(&self.partitions);
        if partitions.looked.elapsed() < METADATA_MAX_AGE {
            return;
        }
        partitions.looked = Instant::now();
        drop(partitions);
        let replies = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = replies.add_partitions() {
                tracing::debug!(topic = &*replies.topic, error, "its partitions are not known");
            }
        });
    }

    fn add_partitions(&self) -> Result<(), String> {
        let count = self.count()?;
        let mut partitions = lock(&self.partitions);
        let mut new = TopicPartitionList::new();
        for partition in partitions.count..count {
            // All that is in it is newer than this consumer.
            new.add_partition_offset(&self.topic, partition, Offset::Beginning).map_err(told)?;
        }
        if new.count() > 0 {
            self.consumer.incremental_assign(&new).map_err(told)?;
            partitions.count = count;
        }
        Ok(())
    }

    /// How many partitions the topic has.
    fn count(&self) -> Result<i32, String> {
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), METADATA_TIMEOUT);
        let metadata = metadata.map_err(|error| self.unreachable(&error))?;
        let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        match i32::try_from(count) {
            Ok(1..) => i32::try_from(count).map_err(told),
            _ => Err(format!("There is no Kafka topic {} at {}.", self.topic, self.brokers)),
        }
    }

    /// Assigns the topic's end to the consumer: its offsets are known when this returns.
    fn assign_to_end(&self) -> Result<(), String> {
        let count = self.count()?;
        let mut ends = TopicPartitionList::new();
        for partition in 0..count {
            ends.add_partition_offset(&self.topic, partition, Offset::End).map_err(told)?;
        }
        let unreachable = |error: KafkaError| self.unreachable(&error);
        let ends = self.consumer.offsets_for_times(ends, METADATA_TIMEOUT).map_err(unreachable)?;
        for end in ends.elements() {
            end.error().map_err(unreachable)?;
        }
        self.consumer.assign(&ends).map_err(told)?;
        lock(&self.partitions).count = count;
        Ok(())
    }

    fn unreachable(&self, error: &KafkaError) -> String {
        self.errors.unreachable(&self.brokers, error)
    }

    fn deliver(&self, message: &BorrowedMessage<'_>) {
        let Some(id) = message.key().and_then(CorrelationId::of_key) else { return };
        if !self.pending.is_open(id) {
            return;
        }
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let of_event = EventHeaders::read(headers.map(|it| (it.key, it.value.unwrap_or_default())));
        let value = message.payload().unwrap_or_default().to_vec();
        self.pending.deliver(ReplyRecord {
            id,
            topic: Arc::clone(&self.topic),
            headers: of_event,
            value,
        });
    }
}

/// The thread: it ends when nobody needs the consumer any more.
fn read(consumer: &BaseConsumer<ConnectionErrors>, replies: &Weak<ReplyConsumer>) {
    loop {
        let Some(replies) = replies.upgrade() else { return };
        match replies.assign_to_end() {
            Ok(()) => {
                replies.assignment.send_replace(Assignment::Ready);
                break;
            }
            Err(why) => {
                replies.assignment.send_replace(Assignment::Unavailable(Some(why)));
            }
        }
        drop(replies);
        // What the brokers' connections have to say is heard here.
        let _ = consumer.poll(RETRY_BACKOFF);
    }
    loop {
        let received = consumer.poll(POLL_TIMEOUT);
        let Some(replies) = replies.upgrade() else { return };
        match received {
            Some(Ok(message)) => replies.deliver(&message),
            Some(Err(error)) if is_of_batch(&error) => replies.pass_over(&error),
            // It goes on by itself, where it was.
            Some(Err(error)) => {
                tracing::debug!(topic = &*replies.topic, %error, "no answers for now")
            }
            None => {}
        }
    }
}

fn told(error: impl std::fmt::Display) -> String {
    format!("Kafka's client cannot read the answers: {error}.")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
