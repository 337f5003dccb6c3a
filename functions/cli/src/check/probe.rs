//! A client that says exactly what it is told, and keeps what comes of it.
//!
//! Owns: producing records, reading the agent's own topics from where they end, waiting. Must never
//! know: what an answer should be.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use a2a_core::{Error, ErrorKind, wire::kafka::header};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::json;
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

use super::record::{Answer, Ask};
use crate::options::Options;

/// How long a broker may take for anything.
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a server may take for what is no work. With its work it has this and the work's time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// The header that tells the dead letters of this run.
const RUN: &str = "x-check";

/// The client.
pub(super) struct Probe {
    pub(super) brokers: String,
    /// The agent's name.
    pub(super) agent: String,
    /// The topic of its answers.
    pub(super) own: String,
    /// The topic of its dead letters.
    pub(super) dead_letter: String,
    /// How many partitions its requests have.
    pub(super) partitions: i32,
    /// Whether the server may hold a partition.
    pub(super) fed_in_batches: bool,
    requests: String,
    bearer: Option<String>,
    run: String,
    producer: FutureProducer,
    seen: Arc<Seen>,
}

impl Probe {
    /// A client of the agent at the options' address, which has its place on the agent's topics.
    pub(super) async fn open(options: &Options) -> Result<Self, Error> {
        let wrong = || Error::invalid_field("url", "must be kafka://HOST:PORT/agent.NAME.requests");
        let rest = options.url.strip_prefix("kafka://").ok_or_else(wrong)?;
        let (brokers, topic) = rest.split_once('/').ok_or_else(wrong)?;
        let topic = topic.split('?').next().unwrap_or_default();
        let agent = topic.strip_prefix("agent.").and_then(|it| it.strip_suffix(".requests"));
        let agent = agent.filter(|agent| !agent.is_empty()).ok_or_else(wrong)?;
        let unavailable = |error: KafkaError| {
            let sentence = format!("Kafka is not reached at {brokers}: {error}.");
            Error::new(ErrorKind::Unavailable, sentence)
        };
        let (own, dead_letter) =
            (format!("agent.{agent}.responses"), format!("agent.{agent}.dead-letter"));
        let producer: FutureProducer = config(brokers)
            .set("linger.ms", "0")
            // The broker and the server say what is too large.
            .set("message.max.bytes", "8000000")
            .create()
            .map_err(unavailable)?;
        let (seen, reader) = (Arc::<Seen>::default(), reader(brokers).map_err(unavailable)?);
        let (all, topics) = (topic.to_owned(), [own.clone(), dead_letter.clone()]);
        let kept = Arc::downgrade(&seen);
        let begun = tokio::task::spawn_blocking(move || {
            let partitions = count(&reader, &all)?;
            assign_to_end(&reader, &topics)?;
            std::thread::spawn(move || read(&reader, &kept));
            Ok(partitions)
        });
        let partitions = begun.await.map_err(Error::internal)?.map_err(unavailable)?;
        let probe = Self {
            brokers: brokers.to_owned(),
            agent: agent.to_owned(),
            own,
            dead_letter,
            partitions,
            fed_in_batches: false,
            requests: topic.to_owned(),
            bearer: options.bearer.clone().filter(|token| !token.is_empty()),
            run: Uuid::new_v4().to_string(),
            producer,
            seen,
        };
        let first = Ask::rpc("ListTasks", &json!({ "pageSize": 1 }));
        let unanswered =
            |why| Error::new(ErrorKind::DeadlineExceeded, format!("The agent: {why}."));
        probe.ask(first).await.map_err(unanswered)?;
        Ok(probe)
    }

    /// Sends a record.
    pub(super) async fn send(&self, ask: &Ask) -> Result<(), String> {
        self.seen.lock().keys.extend(ask.key.clone());
        let mut headers = OwnedHeaders::new();
        let bearer = self.bearer.as_ref().map(|token| format!("Bearer {token}"));
        let says = ask.headers.iter().any(|(name, _)| name == header::AUTHORIZATION);
        for token in bearer.iter().filter(|_| !says) {
            headers = headers.insert(Header { key: header::AUTHORIZATION, value: Some(token) });
        }
        headers = headers.insert(Header { key: RUN, value: Some(&self.run) });
        for (key, value) in ask.headers.iter().filter(|(_, value)| !value.is_empty()) {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        for (key, _) in ask.headers.iter().filter(|(_, value)| value.is_empty()) {
            headers = headers.insert(Header { key, value: Some(b"") });
        }
        let mut record = FutureRecord::<[u8], [u8]>::to(&self.requests).headers(headers);
        (record.key, record.payload) = (ask.key.as_deref(), ask.value.as_deref());
        record.partition = ask.partition;
        let sent = self.producer.send(record, BROKER_TIMEOUT).await;
        sent.map(drop).map_err(|(error, _)| format!("it cannot be sent: {error}"))
    }

    /// Sends a record and waits for its first answer.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, String> {
        self.send(&ask).await?;
        self.answer(&ask, 0).await
    }

    /// Waits for the record's answer of that number, from 0.
    pub(super) async fn answer(&self, ask: &Ask, number: usize) -> Result<Answer, String> {
        let key = ask.key.as_deref().unwrap_or_default();
        let of_key = |answers: &[Answer]| {
            answers.iter().filter(|it| it.key == key[..key.len().min(1024)]).nth(number).cloned()
        };
        self.until(of_key).await.map_err(|()| "there is no answer".to_owned())
    }

    /// Sends a record and waits for its answers, up to the one that is marked as the last.
    pub(super) async fn stream(&self, ask: Ask) -> Result<Vec<Answer>, String> {
        self.send(&ask).await?;
        let key = ask.key.unwrap_or_default();
        let whole = |answers: &[Answer]| {
            let mine = Vec::from_iter(answers.iter().filter(|it| it.key == key).cloned());
            mine.iter().any(Answer::is_last).then_some(mine)
        };
        self.until(whole).await.map_err(|()| "the stream has no end".to_owned())
    }

    /// Waits until the answers have something.
    pub(super) async fn until<T>(&self, find: impl Fn(&[Answer]) -> Option<T>) -> Result<T, ()> {
        let found = async {
            loop {
                let news = self.seen.news.notified();
                let found = find(&self.seen.lock().answers);
                if let Some(found) = found {
                    return found;
                }
                news.await;
            }
        };
        tokio::time::timeout(ANSWER_TIMEOUT, found).await.map_err(drop)
    }

    /// Whether nothing was executed in a context.
    pub(super) async fn nothing_in(&self, context: &str) -> Result<(), String> {
        let listed = self.ask(Ask::rpc("ListTasks", &json!({ "contextId": context }))).await?;
        match listed.value["result"]["totalSize"].as_u64() {
            Some(0) => Ok(()),
            _ => Err(format!("it was executed: {}", listed.shown())),
        }
    }

    /// Whether a credential is sent along.
    pub(super) fn has_credentials(&self) -> bool {
        self.bearer.is_some()
    }
}

/// What has come.
#[derive(Default)]
struct Seen {
    inner: Mutex<Inner>,
    news: Notify,
}

#[derive(Default)]
struct Inner {
    keys: HashSet<Vec<u8>>,
    answers: Vec<Answer>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, message: &BorrowedMessage<'_>) {
        let text =
            |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let headers = Vec::from_iter(headers.map(|it| (it.key.to_owned(), text(it.value))));
        let key = message.key().unwrap_or_default().to_vec();
        let mut inner = self.lock();
        let is_cut = |known: &Vec<u8>| known.len() > 1024 && known.starts_with(&key);
        let is_mine =
            inner.keys.contains(&key) || (key.len() == 1024 && inner.keys.iter().any(is_cut));
        if is_mine || headers.iter().any(|(name, _)| name == RUN) {
            inner.answers.push(Answer {
                topic: message.topic().to_owned(),
                partition: message.partition(),
                key,
                headers,
                value: serde_json::from_slice(message.payload().unwrap_or_default())
                    .unwrap_or_default(),
                at: Instant::now(),
            });
        }
        drop(inner);
        self.news.notify_waiters();
    }
}

fn config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "a2a-check");
    config.set_log_level(RDKafkaLogLevel::Emerg);
    config
}

fn reader(brokers: &str) -> Result<BaseConsumer, KafkaError> {
    config(brokers)
        .set("group.id", "a2a-check")
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "false")
        .set("fetch.wait.max.ms", "100")
        .create()
}

fn count(reader: &BaseConsumer, topic: &str) -> Result<i32, KafkaError> {
    let metadata = reader.fetch_metadata(Some(topic), BROKER_TIMEOUT)?;
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    Ok(i32::try_from(partitions).unwrap_or(i32::MAX))
}

fn assign_to_end(reader: &BaseConsumer, topics: &[String]) -> Result<(), KafkaError> {
    let mut ends = TopicPartitionList::new();
    for topic in topics {
        for partition in 0..count(reader, topic)? {
            let (_, end) = reader.fetch_watermarks(topic, partition, BROKER_TIMEOUT)?;
            ends.add_partition_offset(topic, partition, Offset::Offset(end))?;
        }
    }
    reader.assign(&ends)
}

/// The thread: it ends when nobody needs what it reads any more.
fn read(reader: &BaseConsumer, seen: &Weak<Seen>) {
    loop {
        let received = reader.poll(Duration::from_millis(100));
        let Some(seen) = seen.upgrade() else { return };
        if let Some(Ok(message)) = received {
            seen.take(&message);
        }
    }
}
