//! `agent.registry`: which agents there are on a cluster, by their cards.
//!
//! Owns: reading the topic to its end, and writing entries. Must never know: what an entry's record
//! looks like (that is `wire`'s), who publishes when.
//!
//! Whoever may write to the topic may say where an agent is: allow it to agents only. Instances that
//! say different things are shown side by side, and none is taken for the agent.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers},
    types::RDKafkaErrorCode,
};

use super::{
    address::check_brokers,
    cluster::{Cluster, Record, Unsent},
    options::KafkaOptions,
    settings::{self, ConnectionErrors, is_of_batch},
};
use crate::{
    client::bounds,
    env::Env,
    error::{Error, ErrorKind},
    wire::kafka::registry::TOPIC,
};

pub use crate::wire::kafka::registry::Entry;

/// How many instances a sentence names.
const SHOWN: usize = 4;

/// The registry of a cluster. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    cluster: Arc<Cluster>,
    timeout: Duration,
}

impl Registry {
    /// The registry of the cluster at `HOST:PORT`, or several with commas between.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`] when they are no brokers, or librdkafka refuses a setting.
    pub fn new(brokers: &str, options: &KafkaOptions) -> Result<Self, Error> {
        check_brokers(brokers)?;
        Cluster::of(brokers, &options.settings).map(Self::of)
    }

    pub(super) fn of(cluster: Arc<Cluster>) -> Self {
        Self { cluster, timeout: Duration::from_secs(10) }
    }

    /// The same registry, each use of which takes at most so long; ten seconds by default.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The agent of that name, as its newest live entry has it; none when there is none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidAgentResponse`] when its instances point to different addresses, in a
    /// sentence that names them, [`ErrorKind::Unavailable`] when no broker answers in time.
    pub async fn find(&self, agent: &str) -> Result<Option<Entry>, Error> {
        let mut found = self.list().await?;
        found.retain(|entry| entry.agent == agent);
        if found.len() < 2 {
            return Ok(found.pop());
        }
        let instances = found.iter().take(SHOWN).map(|entry| {
            let key = Entry::key(&entry.agent, &entry.instance);
            format!("{key} at {}", entry.addresses().join(", "))
        });
        let sentence = format!(
            "The registry's entries of the agent {agent:?} point to different addresses: {}.",
            instances.collect::<Vec<_>>().join("; ")
        );
        Err(Error::new(ErrorKind::InvalidAgentResponse, sentence))
    }

    /// The agents that are there, by name. Instances that point to the same addresses are one entry,
    /// the newest; others are an entry each, by their names.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when no broker answers in time.
    pub async fn list(&self) -> Result<Vec<Entry>, Error> {
        let registry = self.clone();
        let reading = tokio::task::spawn_blocking(move || registry.read());
        let mut read = reading.await.map_err(Error::internal)??;
        read.sort_by_key(|(written, _)| *written);
        let (mut newest, now) = (BTreeMap::new(), Env::system().now());
        for (_, entry) in read {
            if entry.is_live(now) {
                let addresses = entry.addresses().into_iter().map(str::to_owned);
                newest.insert((entry.agent.clone(), Vec::from_iter(addresses)), entry);
            }
        }
        let mut entries = Vec::from_iter(newest.into_values());
        entries.sort_by(|a, b| (&a.agent, &a.instance).cmp(&(&b.agent, &b.instance)));
        Ok(entries)
    }

    /// Publishes an entry, in place of what the same instance published before.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`] when a name has no place in a key, [`ErrorKind::Unavailable`]
    /// when no broker takes it in time, [`ErrorKind::PermissionDenied`] when it may not be written.
    pub async fn publish(&self, entry: &Entry) -> Result<(), Error> {
        let (value, headers) = entry.encode()?;
        self.write(&entry.agent, &entry.instance, Some(value), headers).await
    }

    /// Withdraws what that instance published.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn withdraw(&self, agent: &str, instance: &str) -> Result<(), Error> {
        self.write(agent, instance, None, Vec::new()).await
    }

    /// Makes the topic, compacted, where it is missing.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when no broker answers in time or it may not be made.
    pub async fn create(&self) -> Result<(), Error> {
        let registry = self.clone();
        let looking = tokio::task::spawn_blocking(move || {
            registry
                .open(registry.timeout, &ConnectionErrors::default())
                .map(|(_, topic)| topic.count())
        });
        // Whoever may write to it may have no right to make it.
        if looking.await.map_err(Error::internal)?? > 0 {
            return Ok(());
        }
        let unavailable =
            |error: KafkaError| self.unavailable(&ConnectionErrors::default(), &error);
        let config = settings::config(&self.cluster.brokers, &self.cluster.settings);
        let admin: AdminClient<ConnectionErrors> =
            config.create_with_context(ConnectionErrors::default()).map_err(unavailable)?;
        // One partition, so that entries have one order. Compaction passes over the segment that
        // is being written, and instances write every few seconds: so segments are short.
        let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(-1))
            .set("cleanup.policy", "compact")
            .set("segment.ms", "300000")
            .set("min.cleanable.dirty.ratio", "0.01")
            .set("delete.retention.ms", "3600000");
        let timeout = Some(self.timeout);
        let options = AdminOptions::new().operation_timeout(timeout).request_timeout(timeout);
        let created = admin.create_topics([&topic], &options).await.map_err(unavailable)?;
        match created.into_iter().next() {
            Some(Err((_, code))) if code != RDKafkaErrorCode::TopicAlreadyExists => {
                let sentence = format!("The Kafka topic {TOPIC} could not be created: {code}.");
                Err(Error::new(ErrorKind::Unavailable, sentence))
            }
            _ => Ok(()),
        }
    }

    async fn write(
        &self,
        agent: &str,
        instance: &str,
        value: Option<Vec<u8>>,
        headers: Vec<(&'static str, String)>,
    ) -> Result<(), Error> {
        let key = Entry::key(agent, instance);
        if Entry::names(key.as_bytes()) != Some((agent, instance)) {
            let why = "must not be empty, and the agent's must hold no `/`";
            return Err(Error::invalid_field("agent, instance", why));
        }
        let record = Arc::new(Record { topic: TOPIC.to_owned(), key, value, headers });
        let written = tokio::time::timeout(self.timeout, self.cluster.produce(&record, None)).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Unsent::Refused(error))) => Err(error),
            Ok(Err(Unsent::Unavailable(sentence))) => {
                Err(Error::new(ErrorKind::Unavailable, sentence))
            }
            Err(_) => Err(Error::new(ErrorKind::Unavailable, self.cluster.unreachable())),
        }
    }

    /// Every entry that was not withdrawn. A topic that is missing has none.
    fn read(&self) -> Result<Vec<(Written, Entry)>, Error> {
        let until = Instant::now() + self.timeout;
        let left = || until.saturating_duration_since(Instant::now());
        let errors = ConnectionErrors::default();
        let unavailable = |error: KafkaError| self.unavailable(&errors, &error);
        let (consumer, all) = self.open(left(), &errors)?;
        consumer.assign(&all).map_err(unavailable)?;
        let mut unread = all.count();
        let mut entries = Vec::new();
        while unread > 0 {
            match consumer.poll(left()) {
                Some(Ok(message)) => {
                    take(&mut entries, &message);
                    let bytes: usize = entries.iter().map(|(_, bytes, _)| bytes).sum();
                    if entries.len() > bounds::REGISTRY_ENTRIES || bytes > bounds::REGISTRY_BYTES {
                        return Err(too_large());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => unread -= 1,
                Some(Err(error)) if is_of_batch(&error) => {
                    if !skip(&consumer, &all, left()) {
                        let sentence = format!("The topic {TOPIC} cannot be read: {error}.");
                        return Err(Error::new(ErrorKind::Unavailable, sentence));
                    }
                }
                Some(Err(error)) => tracing::debug!(%error, "the registry is not read for now"),
                None => return Err(unavailable(KafkaError::NoMessageReceived)),
            }
        }
        Ok(entries.into_iter().map(|(written, _, entry)| (written, entry)).collect())
    }

    /// A consumer, and the beginning of each of the topic's partitions.
    fn open(
        &self,
        timeout: Duration,
        errors: &ConnectionErrors,
    ) -> Result<(BaseConsumer<ConnectionErrors>, TopicPartitionList), Error> {
        let Cluster { brokers, settings, .. } = &*self.cluster;
        let unavailable = |error: KafkaError| self.unavailable(errors, &error);
        let consumer = settings::consumer(brokers, settings, true, errors.clone())?;
        let metadata = consumer.fetch_metadata(Some(TOPIC), timeout).map_err(|error| {
            // What the connection has to say is heard here.
            let _ = consumer.poll(Duration::ZERO);
            unavailable(error)
        })?;
        let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        let mut all = TopicPartitionList::new();
        for partition in partitions {
            let added = all.add_partition_offset(TOPIC, partition.id(), Offset::Beginning);
            added.map_err(unavailable)?;
        }
        Ok((consumer, all))
    }

    fn unavailable(&self, errors: &ConnectionErrors, error: &KafkaError) -> Error {
        Error::new(ErrorKind::Unavailable, errors.unreachable(&self.cluster.brokers, error))
    }
}

fn too_large() -> Error {
    let (entries, bytes) = (bounds::REGISTRY_ENTRIES, bounds::REGISTRY_BYTES);
    let sentence = format!(
        "The topic {TOPIC} holds over {entries} entries, or {bytes} bytes: it is not read."
    );
    Error::new(ErrorKind::Unavailable, sentence)
}

/// Where an entry is in the order of all: its time, its offset, its partition.
type Written = (Option<i64>, i64, i32);

/// Goes on behind a record whose batch cannot be read, where it is known which that is: where there
/// is one partition, as there should be. Its instance is not known until it writes again.
fn skip(
    consumer: &BaseConsumer<ConnectionErrors>,
    all: &TopicPartitionList,
    timeout: Duration,
) -> bool {
    let [partition] = &*all.elements() else { return false };
    let Ok(position) = consumer.position() else { return false };
    let next = match position.elements().first().map(|it| it.offset()) {
        Some(Offset::Offset(next)) => next,
        _ => match consumer.fetch_watermarks(TOPIC, partition.partition(), timeout) {
            Ok((first, _)) => first,
            Err(_) => return false,
        },
    };
    tracing::warn!(offset = next, "the registry's record cannot be read and is passed over");
    consumer.seek(TOPIC, partition.partition(), Offset::Offset(next + 1), timeout).is_ok()
}

/// A record takes the place of the one before it under its key.
fn take(entries: &mut Vec<(Written, usize, Entry)>, message: &BorrowedMessage<'_>) {
    let key = message.key().unwrap_or_default();
    if let Some((agent, instance)) = Entry::names(key) {
        entries.retain(|(.., entry)| entry.agent != agent || entry.instance != instance);
    }
    let Some(value) = message.payload().filter(|it| it.len() <= bounds::CARD) else { return };
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let headers = headers.map(|it| (it.key, it.value.unwrap_or_default()));
    match Entry::decode(key, value, headers) {
        Ok(entry) => {
            let written = (message.timestamp().to_millis(), message.offset(), message.partition());
            entries.push((written, value.len(), entry));
        }
        Err(error) => tracing::debug!(%error, "passed over"),
    }
}
