//! The topic for what was given up: Lambda's on-failure destination, where it is a Kafka topic.
//!
//! Owns: the records written there, and when they count as written. Must never know: why something
//! failed beyond its name.
//!
//! A record arrives as it was, key, value and headers, with one header more that says what
//! happened, in the JSON that Lambda's other destinations get. Which place Lambda itself gives that
//! JSON in a record is not published.

use a2a_core::{Timestamp, wire::kafka::Record};
use a2a_kafka::producer;
use a2a_local::{broker, consumer::Source};
use futures_util::future::try_join_all;
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use serde_json::{Value, json};

use crate::partition::{Batch, Reason};

/// The header that says what happened.
pub const FAILURE: &str = "lambda-failure";

/// The cluster that events, and what is said of failures, are from.
pub(crate) const CLUSTER: &str =
    "arn:aws:kafka:us-east-1:123456789012:cluster/local/00000000-0000-0000-0000-000000000000-1";

/// A topic of the same brokers, beside the one that is read.
#[derive(Clone)]
pub struct Destination {
    pub(crate) topic: String,
    producer: FutureProducer,
}

impl Destination {
    /// That topic, which is created with this many partitions where it is missing. On AWS it has to
    /// be there.
    ///
    /// # Errors
    /// One sentence when it is the topic that is read, or the brokers cannot be reached.
    pub async fn open(source: &Source, topic: &str, partitions: i32) -> Result<Self, String> {
        if topic == source.topic {
            return Err(format!(
                "What fails in {topic} cannot go back to it: it would fail again, for ever."
            ));
        }
        broker::create_missing(&source.brokers, &[topic], partitions).await?;
        let producer = producer::settings(&source.brokers).create();
        let producer = producer.map_err(|error| format!("{topic}: {error}."))?;
        Ok(Self { topic: topic.to_owned(), producer })
    }

    /// Writes the batch's records, in order, and waits until the brokers have them.
    ///
    /// # Errors
    /// In words, when they do not take one.
    pub(crate) async fn put(&self, batch: &Batch, failure: &Value) -> Result<(), String> {
        let failure = failure.to_string();
        let sent = batch.records.iter().map(|record| {
            let headers = record.headers.iter().map(|(key, value)| (&**key, &**value));
            let headers = headers.chain([(FAILURE, failure.as_bytes())]);
            let headers = headers.fold(OwnedHeaders::new(), |all, (key, value)| {
                all.insert(Header { key, value: Some(value) })
            });
            let mut copy = FutureRecord::<[u8], [u8]>::to(&self.topic).headers(headers);
            (copy.key, copy.payload) = (record.key.as_deref(), record.value.as_deref());
            self.producer.send(copy, Timeout::Never)
        });
        let sent = try_join_all(sent).await.map(drop);
        sent.map_err(|(error, _)| format!("{} did not take it: {error}", self.topic))
    }
}

/// What Lambda says of records that it has given up.
pub(crate) fn failure(function: &str, source: &Source, batch: &Batch, reason: Reason) -> Value {
    let time = |record: Option<&Record>| {
        Timestamp::from_millis(record.map_or(0, |record| record.timestamp)).to_string()
    };
    let parts = batch.records.iter().flat_map(|record| [&record.key, &record.value]);
    let condition = match reason {
        Reason::Retries => "RetryAttemptsExhausted",
        Reason::Age => "RecordAgeExceeded",
    };
    json!({
        "requestContext": {
            "functionArn": format!("arn:aws:lambda:us-east-1:123456789012:function:{function}"),
            "condition": condition,
        },
        "version": "1.0",
        "KafkaBatchInfo": {
            "batchSize": batch.records.len(),
            "eventSourceArn": CLUSTER,
            "bootstrapServers": source.brokers,
            "payloadSize": parts.flatten().map(bytes::Bytes::len).sum::<usize>(),
            "recordInfo": { batch.name(source): {
                "firstRecordOffset": batch.first.to_string(),
                "lastRecordOffset": batch.last.to_string(),
                "firstRecordTimestamp": time(batch.records.first()),
                "lastRecordTimestamp": time(batch.records.last()),
            } },
        },
    })
}
