//! The one consumer of a reply topic in this process.
//!
//! Owns: standing at the topic's end before anything is asked, and keeping all its partitions. Must
//! never know: what was asked, what an answer says, who waits how long.
//!
//! It has a thread of its own, so that it serves callers of every runtime and none can hold it up.
//! It belongs to no group: every process reads all answers and takes its own, which it tells by the
//! beginning of their key before it copies anything.

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
    mailbox::Arrival,
    routes::Routes,
    settings::{self, Settings, Troubles},
};
use crate::{
    error::{Error, ErrorKind},
    wire::kafka::client::EventHeaders,
};

/// How long a broker may take to say something before it is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the thread waits for a record before it looks whether anybody still needs it.
const TURN: Duration = Duration::from_millis(100);
/// How long it is left at that when the topic cannot be read.
const PAUSE: Duration = Duration::from_millis(200);
/// How often it is looked whether the topic has got more partitions, while there are calls.
const LOOK: Duration = Duration::from_secs(10);

/// A reply topic as this process reads it.
pub(super) struct Inbox {
    brokers: String,
    topic: Arc<str>,
    routes: Arc<Routes>,
    consumer: Arc<BaseConsumer<Troubles>>,
    troubles: Troubles,
    standing: watch::Sender<Standing>,
    partitions: Mutex<Partitions>,
}

/// Whether the consumer stands where no answer can be missed.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    /// Not yet, and why, in one sentence, once that is known.
    Away(Option<String>),
    /// It does.
    Ready,
}

#[derive(Debug)]
struct Partitions {
    count: i32,
    looked: Instant,
}

impl Inbox {
    /// Begins to read the topic.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`] when librdkafka refuses a setting, [`ErrorKind::Unavailable`]
    /// when the system gives no thread.
    pub(super) fn open(
        brokers: &str,
        topic: &str,
        settings: &Settings,
        routes: &Arc<Routes>,
    ) -> Result<Arc<Self>, Error> {
        let troubles = Troubles::default();
        let consumer = settings::consumer(brokers, settings, false, troubles.clone())?;
        let inbox = Arc::new(Self {
            brokers: brokers.to_owned(),
            topic: topic.into(),
            routes: Arc::clone(routes),
            consumer: Arc::new(consumer),
            troubles,
            standing: watch::Sender::new(Standing::Away(None)),
            partitions: Mutex::new(Partitions { count: 0, looked: Instant::now() }),
        });
        let (consumer, reader) = (Arc::clone(&inbox.consumer), Arc::downgrade(&inbox));
        let thread = std::thread::Builder::new().name("a2a-replies".to_owned());
        thread.spawn(move || read(&consumer, &reader)).map_err(|error| {
            let sentence = "There is no thread to read Kafka's answers.";
            Error::new(ErrorKind::Unavailable, sentence).with_source(error)
        })?;
        Ok(inbox)
    }

    /// Returns once no answer to what is asked from then on can be missed.
    pub(super) async fn ready(&self) {
        let mut standing = self.standing.subscribe();
        // The sender is this value's own.
        let _ = standing.wait_for(|standing| matches!(standing, Standing::Ready)).await;
    }

    /// Returns once that is so, or it is known why it is not.
    pub(super) async fn tried(&self) {
        let mut standing = self.standing.subscribe();
        let _ = standing.wait_for(|standing| !matches!(standing, Standing::Away(None))).await;
    }

    /// Whether that is so, and why not.
    pub(super) fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Looks for new partitions of the topic, in the background, if nobody did so lately.
    pub(super) fn look(self: &Arc<Self>) {
        let mut partitions = lock(&self.partitions);
        if partitions.looked.elapsed() < LOOK {
            return;
        }
        partitions.looked = Instant::now();
        drop(partitions);
        let inbox = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = inbox.add_partitions() {
                tracing::debug!(topic = &*inbox.topic, error, "its partitions are not known");
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
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), PATIENCE);
        let metadata = metadata.map_err(|error| self.unreachable(&error))?;
        let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        match i32::try_from(count) {
            Ok(1..) => i32::try_from(count).map_err(told),
            _ => Err(format!("There is no Kafka topic {} at {}.", self.topic, self.brokers)),
        }
    }

    /// Puts the consumer at the topic's end: where exactly is known when this returns.
    fn stand(&self) -> Result<(), String> {
        let count = self.count()?;
        let mut ends = TopicPartitionList::new();
        for partition in 0..count {
            ends.add_partition_offset(&self.topic, partition, Offset::End).map_err(told)?;
        }
        let unreachable = |error: KafkaError| self.unreachable(&error);
        let ends = self.consumer.offsets_for_times(ends, PATIENCE).map_err(unreachable)?;
        for end in ends.elements() {
            end.error().map_err(unreachable)?;
        }
        self.consumer.assign(&ends).map_err(told)?;
        lock(&self.partitions).count = count;
        Ok(())
    }

    fn unreachable(&self, error: &KafkaError) -> String {
        self.troubles.unreachable(&self.brokers, error)
    }

    fn deliver(&self, message: &BorrowedMessage<'_>) {
        let Some(number) = message.key().and_then(|key| self.routes.number(key)) else { return };
        if !self.routes.is_open(number) {
            return;
        }
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let place = EventHeaders::read(headers.map(|it| (it.key, it.value.unwrap_or_default())));
        let value = message.payload().unwrap_or_default().to_vec();
        self.routes.deliver(Arrival { number, topic: Arc::clone(&self.topic), place, value });
    }
}

/// The thread: it ends when nobody needs the inbox any more.
fn read(consumer: &BaseConsumer<Troubles>, inbox: &Weak<Inbox>) {
    loop {
        let Some(inbox) = inbox.upgrade() else { return };
        match inbox.stand() {
            Ok(()) => {
                inbox.standing.send_replace(Standing::Ready);
                break;
            }
            Err(why) => {
                inbox.standing.send_replace(Standing::Away(Some(why)));
            }
        }
        drop(inbox);
        // What the brokers' connections have to say is heard here.
        let _ = consumer.poll(PAUSE);
    }
    loop {
        let received = consumer.poll(TURN);
        let Some(inbox) = inbox.upgrade() else { return };
        match received {
            Some(Ok(message)) => inbox.deliver(&message),
            // It goes on by itself, where it was.
            Some(Err(error)) => {
                tracing::debug!(topic = &*inbox.topic, %error, "no answers for now")
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
