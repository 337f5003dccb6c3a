//! Producing answers.
//!
//! Owns: the one idempotent producer, its settings, and what an acknowledgement is. Must never
//! know: what is sent.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use a2a_core::{kafka::Outgoing, wire::kafka::header};
use futures_util::future::BoxFuture;
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::KafkaError,
    message::{Header, Message, OwnedHeaders, OwnedMessage},
    producer::{FutureProducer, FutureRecord},
    types::RDKafkaErrorCode,
};

/// Resolves when the broker has the record, or when it is certain enough that it will not.
pub type Acknowledgement = BoxFuture<'static, Result<(), ProduceError>>;

/// Takes records in order.
pub trait Producer: Send + Sync + 'static {
    /// Sends a record after all earlier ones of its partition, without waiting.
    fn send(&self, record: Outgoing) -> Acknowledgement;
}

/// A record did not reach the broker, or it is not known to have.
#[derive(Debug)]
pub struct ProduceError {
    /// What the broker or the client said.
    pub reason: String,
    /// Whose fault it is.
    pub fault: Fault,
}

/// Why a record did not reach the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The broker, or the way to it: the same record may be taken later.
    Broker,
    /// The topic is not there, or is not open to this agent.
    Topic,
    /// The record: it is never taken, for example because it is too large.
    Record,
}

impl fmt::Display for ProduceError {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl std::error::Error for ProduceError {}

/// rdkafka's producer. One per process: it holds the connections.
#[derive(Clone)]
pub struct KafkaProducer<C: ClientContext + 'static = Logged>(Arc<Inner<C>>);

struct Inner<C: ClientContext + 'static> {
    /// Sends in batches.
    batches: FutureProducer<C>,
    /// Sends each record in a batch of its own; made when it is needed first.
    single: OnceLock<Result<FutureProducer<C>, KafkaError>>,
    settings: ClientConfig,
    context: C,
}

/// A client whose troubles are logged; a login that is refused shows nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Logged;

impl ClientContext for Logged {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka");
    }

    /// A connection that the broker ends is no error to librdkafka. But that is also how a broker
    /// refuses clients without TLS, or without a login, where it wants one.
    fn log(&self, level: RDKafkaLogLevel, kind: &str, reason: &str) {
        let is_error = level as i32 <= RDKafkaLogLevel::Error as i32;
        if kind == "FAIL" && !is_error {
            tracing::info!(reason, "Kafka");
        }
    }
}

impl KafkaProducer {
    /// A producer to these brokers (`host:port`, comma-separated), in the clear and without a
    /// login. It connects in the background.
    ///
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn new(brokers: &str) -> Result<Self, KafkaError> {
        Self::with(&settings(brokers), Logged)
    }
}

impl<C: ClientContext + Clone + 'static> KafkaProducer<C> {
    /// A producer with these settings, logged in as the context does it.
    ///
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn with(settings: &ClientConfig, context: C) -> Result<Self, KafkaError> {
        let batches = settings.create_with_context(context.clone())?;
        let (single, settings) = (OnceLock::new(), settings.clone());
        Ok(Self(Arc::new(Inner { batches, single, settings, context })))
    }

    /// Sends what the broker refused with its whole batch, and what may be taken alone.
    async fn send_alone(&self, message: OwnedMessage) -> Result<(), KafkaError> {
        let Inner { single, settings, context, .. } = &*self.0;
        let single = single.get_or_init(|| {
            settings.clone().set("batch.num.messages", "1").create_with_context(context.clone())
        });
        let single = single.as_ref().map_err(KafkaError::clone)?;
        let mut record = FutureRecord::<[u8], [u8]>::to(message.topic());
        (record.key, record.payload) = (message.key(), message.payload());
        record.headers = message.headers().cloned();
        match single.send_result(record).map_err(|(error, _)| error)?.await {
            Ok(sent) => sent.map(drop).map_err(|(error, _)| error),
            Err(_) => Err(KafkaError::Canceled),
        }
    }
}

/// How many bytes a message may have, whatever its topic takes.
pub const MAX_MESSAGE: usize = 16 << 20;

/// What an answer's way to these brokers needs, whatever the login.
pub fn settings(brokers: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", brokers)
        .set("acks", "all")
        // An answer is written once, however often the connection breaks while it is sent.
        .set("enable.idempotence", "true")
        // Answers do not wait for each other: batches form by themselves while one is in flight.
        .set("linger.ms", "1")
        // The topic's own limit decides.
        .set("message.max.bytes", MAX_MESSAGE.to_string())
        .set("message.timeout.ms", "10000")
        // A client may name a topic that is not there: that is found out before the answer's time
        // is over, and is not taken for an unavailable broker.
        .set("topic.metadata.propagation.max.ms", "5000")
        // Connections die while Lambda holds the process. One that swallows everything is found out
        // in time to connect again, and losses that come close together do not add up their waits.
        .set("socket.timeout.ms", "3000")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "1000")
        // A stream's events are handed over as they come: room for the longest, within 256 MB.
        .set("queue.buffering.max.messages", "1000000")
        .set("queue.buffering.max.kbytes", "262144")
        .set("socket.keepalive.enable", "true");
    // Else it is taken from a logger of the crate `log`, and there is none.
    settings.set_log_level(RDKafkaLogLevel::Info);
    settings
}

/// What is said of settings that librdkafka refuses.
pub(crate) fn refused(brokers: &str, error: impl fmt::Display) -> String {
    format!("Answers cannot be produced to {brokers}: {error}.")
}

impl<C: ClientContext + Clone + 'static> Producer for KafkaProducer<C> {
    fn send(&self, record: Outgoing) -> Acknowledgement {
        let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: Some(&value[..]) });
        }
        let mut message =
            FutureRecord::<[u8], [u8]>::to(&record.topic).payload(&record.value).headers(headers);
        if let Some(key) = &record.key {
            message = message.key(key);
        }
        let sent = self.0.batches.send_result(message).map_err(|(error, _)| failed(&error));
        let producer = self.clone();
        // An event of a stream keeps its order.
        let is_event = record.headers.iter().any(|(name, _)| name == header::EVENT_ID);
        Box::pin(async move {
            match sent?.await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err((error, message))) if is_too_large(&error) && !is_event => {
                    producer.send_alone(message).await.map_err(|error| failed(&error))
                }
                Ok(Err((error, _))) => Err(failed(&error)),
                Err(_) => Err(ProduceError {
                    reason: "the producer was closed".to_owned(),
                    fault: Fault::Broker,
                }),
            }
        })
    }
}

/// Whether a record was larger than its topic takes, or its batch.
fn is_too_large(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
}

fn failed(error: &KafkaError) -> ProduceError {
    use RDKafkaErrorCode as Code;
    let fault = match error.rdkafka_error_code() {
        Some(
            Code::MessageSizeTooLarge
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::InvalidRecord,
        ) => Fault::Record,
        Some(
            Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::InvalidTopic
            | Code::TopicAuthorizationFailed,
        ) => Fault::Topic,
        _ => Fault::Broker,
    };
    ProduceError { reason: error.to_string(), fault }
}
