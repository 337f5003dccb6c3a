//! This process's connections to Kafka: one producer per cluster, one consumer per reply topic.
//!
//! Owns: sharing them, and what a failure to produce means. Must never know: what is produced, who
//! waits for what.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use futures_util::future::BoxFuture;
use rdkafka::{
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    types::RDKafkaErrorCode as Code,
};

use super::{
    partition::Partitions,
    pending::PendingRequests,
    reply_consumer::ReplyConsumer,
    settings::{self, ConnectionErrors, Settings},
};
use crate::error::{Error, ErrorKind};

/// A cluster, reached with one set of settings.
pub(super) struct Cluster {
    pub(super) brokers: String,
    pub(super) settings: Settings,
    /// Of all its reply topics: an answer is known by its key alone.
    pub(super) pending: Arc<PendingRequests>,
    producer: Mutex<FutureProducer<ConnectionErrors>>,
    /// For what a broker refused with its whole batch; made when it is needed first.
    single: Mutex<Option<FutureProducer<ConnectionErrors>>>,
    errors: ConnectionErrors,
    consumers: Mutex<HashMap<String, Weak<ReplyConsumer>>>,
    partitions: Partitions,
}

/// Those that are in use.
static CLUSTERS: Mutex<BTreeMap<(String, Settings), Weak<Cluster>>> = Mutex::new(BTreeMap::new());

/// A record to be produced.
pub(super) struct Record {
    pub(super) topic: String,
    pub(super) key: String,
    /// None withdraws what stands under the key, on a compacted topic.
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// Why a record did not reach a broker, or is not known to have.
#[derive(Debug)]
pub(super) enum Unsent {
    /// It never will.
    Refused(Error),
    /// Retriable: a broker or topic is unavailable, in one sentence.
    Unavailable(String),
}

impl Cluster {
    /// The process's connections to these brokers with these settings.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`] when librdkafka refuses a setting.
    pub(super) fn of(brokers: &str, settings: &Settings) -> Result<Arc<Self>, Error> {
        let mut clusters = lock(&CLUSTERS);
        clusters.retain(|_, cluster| cluster.strong_count() > 0);
        let key = (brokers.to_owned(), settings.clone());
        if let Some(cluster) = clusters.get(&key).and_then(Weak::upgrade) {
            return Ok(cluster);
        }
        let errors = ConnectionErrors::default();
        let cluster = Arc::new(Self {
            brokers: brokers.to_owned(),
            settings: settings.clone(),
            pending: Arc::default(),
            producer: Mutex::new(settings::producer(brokers, settings, errors.clone())?),
            single: Mutex::default(),
            errors,
            consumers: Mutex::default(),
            partitions: Partitions::default(),
        });
        clusters.insert(key, Arc::downgrade(&cluster));
        Ok(cluster)
    }

    /// The process's consumer of that reply topic.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`] when librdkafka refuses a setting, [`ErrorKind::Unavailable`]
    /// when the system gives no thread.
    pub(super) fn reply_consumer(&self, topic: &str) -> Result<Arc<ReplyConsumer>, Error> {
        let mut consumers = lock(&self.consumers);
        consumers.retain(|_, replies| replies.strong_count() > 0);
        if let Some(replies) = consumers.get(topic).and_then(Weak::upgrade) {
            return Ok(replies);
        }
        let replies = ReplyConsumer::open(&self.brokers, topic, &self.settings, &self.pending)?;
        consumers.insert(topic.to_owned(), Arc::downgrade(&replies));
        Ok(replies)
    }

    /// How many partitions a topic has; none while that is not known.
    pub(super) async fn partitions(&self, topic: &str) -> Option<i32> {
        let producer = || lock(&self.producer).clone();
        self.partitions.count(topic, producer).await
    }

    /// Produces a record, at once, and waits for a broker to have it: in that partition, or in the
    /// one its key chooses.
    pub(super) fn produce(
        self: &Arc<Self>,
        record: &Arc<Record>,
        partition: Option<i32>,
    ) -> BoxFuture<'static, Result<(), Unsent>> {
        let sent = send(&lock(&self.producer), record, partition);
        let (cluster, record) = (Arc::clone(self), Arc::clone(record));
        Box::pin(async move {
            let mut sent = sent.await;
            // It may be its batch that is too large.
            if matches!(&sent, Err(error) if is_too_large(error))
                && let Some(single) = cluster.single()
            {
                let alone = send(&single, &record, partition);
                sent = alone.await;
            }
            sent.map_err(|error| cluster.unsent(&record, &error))
        })
    }

    fn single(&self) -> Option<FutureProducer<ConnectionErrors>> {
        let mut single = lock(&self.single);
        if single.is_none() {
            let errors = self.errors.clone();
            *single = settings::single_producer(&self.brokers, &self.settings, errors).ok();
        }
        single.clone()
    }

    /// One sentence on brokers that do not do what they should.
    pub(super) fn unreachable(&self) -> String {
        self.errors.unreachable(&self.brokers, "no broker answers")
    }

    fn unsent(&self, record: &Record, error: &KafkaError) -> Unsent {
        let topic = &record.topic;
        match error.rdkafka_error_code() {
            Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => {
                let bytes = record.value.as_ref().map_or(0, Vec::len);
                let sentence = format!("A record of {bytes} bytes is too large for Kafka.");
                Unsent::Refused(Error::new(ErrorKind::TooLarge, sentence))
            }
            Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
                let sentence = format!("Kafka does not let this client write to {topic}.");
                Unsent::Refused(Error::new(ErrorKind::PermissionDenied, sentence))
            }
            Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
                self.partitions.forget(topic);
                Unsent::Unavailable(format!("There is no Kafka topic {topic} at {}.", self.brokers))
            }
            Some(Code::Fatal) => {
                self.renew(error);
                Unsent::Unavailable(format!("Kafka's producer had to be made anew: {error}."))
            }
            _ => Unsent::Unavailable(self.errors.unreachable(&self.brokers, error)),
        }
    }

    /// A producer whose sequence is broken takes nothing any more.
    fn renew(&self, error: &KafkaError) {
        tracing::warn!(brokers = self.brokers, %error, "Kafka's producer is made anew");
        match settings::producer(&self.brokers, &self.settings, self.errors.clone()) {
            Ok(new) => *lock(&self.producer) = new,
            Err(error) => tracing::error!(%error, "Kafka's producer could not be made anew"),
        }
    }
}

impl fmt::Debug for Cluster {
    /// Without the settings: one may be a password.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_struct("Cluster").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

/// Sends a record at once; what is answered resolves when a broker has it.
fn send(
    producer: &FutureProducer<ConnectionErrors>,
    record: &Record,
    partition: Option<i32>,
) -> BoxFuture<'static, Result<(), KafkaError>> {
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (key, value) in &record.headers {
        headers = headers.insert(Header { key, value: Some(value.as_bytes()) });
    }
    let mut message = FutureRecord::<str, [u8]>::to(&record.topic).key(&record.key);
    message.payload = record.value.as_deref();
    message.headers = Some(headers);
    message.partition = partition;
    let sent = producer.send_result(message).map_err(|(error, _)| error);
    Box::pin(async move {
        match sent?.await {
            Ok(sent) => sent.map(drop).map_err(|(error, _)| error),
            Err(_) => Err(KafkaError::Canceled),
        }
    })
}

fn is_too_large(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(Code::MessageSizeTooLarge)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
