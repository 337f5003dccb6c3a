//! librdkafka's clients, set up.
//!
//! Owns: their settings and what they say of their connections. Must never know: what is sent.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
};

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, ConsumerContext},
    error::KafkaError,
    producer::FutureProducer,
    types::RDKafkaErrorCode,
};

use crate::error::Error;

/// The further settings of librdkafka, by name: a login, for example.
pub(super) type Settings = BTreeMap<String, String>;

/// What every client of a cluster is made of.
pub(super) fn config(brokers: &str, settings: &Settings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("client.id", "a2a-client")
        // A broker that was unavailable is found again soon; one that swallows everything is found out.
        .set("socket.timeout.ms", "5000")
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "1000")
        .set("socket.keepalive.enable", "true")
        .set("log.connection.close", "false");
    for (name, value) in settings {
        config.set(name, value);
    }
    // Else it is taken from a logger of the crate `log`, and there is none.
    config.set("bootstrap.servers", brokers).set_log_level(RDKafkaLogLevel::Info);
    config
}

/// The producer of requests.
///
/// # Errors
/// [`ErrorKind::InvalidParams`](crate::ErrorKind::InvalidParams) when librdkafka refuses a setting.
pub(super) fn producer(
    brokers: &str,
    settings: &Settings,
    errors: ConnectionErrors,
) -> Result<FutureProducer<ConnectionErrors>, Error> {
    let mut config = config(brokers, settings);
    for (name, value) in [
        ("acks", "all"),
        // A request is written once, however often the connection breaks while it is sent.
        ("enable.idempotence", "true"),
        // Requests do not wait for each other: batches form while one is in flight.
        ("linger.ms", "0"),
        // What no broker took by then is sent anew by whoever still waits for its answer.
        ("message.timeout.ms", "5000"),
        ("queue.buffering.max.kbytes", "65536"),
    ] {
        if !settings.contains_key(name) {
            config.set(name, value);
        }
    }
    config.create_with_context(errors).map_err(|error| refused(&error))
}

/// A producer that sends each request in a batch of its own.
///
/// # Errors
/// As [`producer`].
pub(super) fn single_producer(
    brokers: &str,
    settings: &Settings,
    errors: ConnectionErrors,
) -> Result<FutureProducer<ConnectionErrors>, Error> {
    let mut settings = settings.clone();
    settings.insert("batch.num.messages".to_owned(), "1".to_owned());
    producer(brokers, &settings, errors)
}

/// A consumer that belongs to nobody: it commits nothing and joins no group. One is named because
/// librdkafka wants one named.
///
/// # Errors
/// [`ErrorKind::InvalidParams`](crate::ErrorKind::InvalidParams) when librdkafka refuses a setting.
pub(super) fn consumer(
    brokers: &str,
    settings: &Settings,
    to_end: bool,
    errors: ConnectionErrors,
) -> Result<BaseConsumer<ConnectionErrors>, Error> {
    let mut config = config(brokers, settings);
    for (name, value) in [
        ("group.id", "a2a-client"),
        // A broker answers a fetch as soon as there is a record; librdkafka's test broker, which
        // the local runner embeds, only when this time is over.
        ("fetch.wait.max.ms", "100"),
        ("fetch.error.backoff.ms", "100"),
        ("queued.max.messages.kbytes", "16384"),
    ] {
        if !settings.contains_key(name) {
            config.set(name, value);
        }
    }
    config
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "false")
        .set("enable.partition.eof", to_end.to_string())
        // Where its offset is gone (a topic made anew), nothing that is there may be missed.
        .set("auto.offset.reset", "earliest");
    config.create_with_context(errors).map_err(|error| refused(&error))
}

/// The values stay private: one may be a password.
fn refused(error: &KafkaError) -> Error {
    let why = match error {
        KafkaError::ClientConfig(_, why, name, _) => format!("{name}: {why}"),
        error => error.to_string(),
    };
    Error::invalid_field("settings", format!("are refused by Kafka's client: {why}"))
}

/// Whether an error is one of the batch that was fetched, such as a codec that is not known or a
/// checksum that is wrong: to fetch it again does not help.
pub(super) fn is_of_batch(error: &KafkaError) -> bool {
    let KafkaError::MessageConsumption(code) = error else { return false };
    use RDKafkaErrorCode::{BadCompression, BadMessage, InvalidMessage, NotImplemented};
    matches!(code, BadCompression | BadMessage | InvalidMessage | NotImplemented)
}

/// What a client said last of its connections: unavailable brokers, logins that are refused show
/// nowhere else.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionErrors(Arc<Mutex<Option<String>>>);

impl ConnectionErrors {
    /// One sentence on brokers that do not do what they should.
    pub(super) fn unreachable(&self, brokers: &str, error: impl Display) -> String {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let why = last.unwrap_or_else(|| error.to_string());
        format!("Kafka is not reached at {brokers}: {why}.")
    }
}

impl ClientContext for ConnectionErrors {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }

    fn log(&self, _: RDKafkaLogLevel, kind: &str, reason: &str) {
        tracing::debug!(kind, reason, "Kafka");
    }
}

impl ConsumerContext for ConnectionErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_is_refused_is_named_without_its_value() {
        for (name, value) in [("no.such.setting", "secret"), ("socket.timeout.ms", "secret")] {
            let settings = Settings::from([(name.to_owned(), value.to_owned())]);
            let error =
                producer("127.0.0.1:1", &settings, ConnectionErrors::default()).err().unwrap();
            assert!(error.message().contains(name), "{error}");
            assert!(!error.message().contains(value), "{error}");
        }
    }

    #[test]
    fn what_the_contract_needs_cannot_be_set_otherwise() {
        let settings = [("enable.auto.commit", "true"), ("bootstrap.servers", "elsewhere:1")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert!(consumer("127.0.0.1:1", &settings, false, ConnectionErrors::default()).is_ok());
        assert_eq!(config("127.0.0.1:1", &settings).get("bootstrap.servers"), Some("127.0.0.1:1"));
    }
}
