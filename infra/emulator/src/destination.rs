//! The topic for what was given up: Lambda's on-failure destination, where it is a Kafka topic.
//!
//! Owns: the records written there, and when they count as written. Must never know: why something
//! failed beyond its name.
//!
//! A record arrives as it was, key, value and headers, with one header more that says what
//! happened, in the JSON that Lambda's other destinations get. Which place Lambda itself gives that
//! JSON in a record is not published.

use std::{fmt::Display, time::Duration};

use a2a_core::{Timestamp, wire::kafka::Record};
use a2a_local::{
    broker,
    consumer::Source,
    partition::{Batch, Reason},
};
use futures_util::future::try_join_all;
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use serde_json::{Value, json};

/// The header that says what happened.
pub const FAILURE: &str = "lambda-failure";

/// The cluster that events, and what is said of failures, are from.
pub(crate) const CLUSTER: &str =
    "arn:aws:kafka:us-east-1:123456789012:cluster/local/00000000-0000-0000-0000-000000000000-1";

/// How long the brokers may take to acknowledge a record.
const PATIENCE: Duration = Duration::from_secs(10);

/// A topic of the same brokers, beside the one that is read.
#[derive(Clone)]
pub struct Destination {
    topic: String,
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
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &source.brokers).set("enable.idempotence", "true");
        config.set("message.timeout.ms", PATIENCE.as_millis().to_string());
        let producer = config.create().map_err(|error| format!("{topic}: {error}."))?;
        Ok(Self { topic: topic.to_owned(), producer })
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Writes the batch's records, in order, and waits until the brokers have them.
    ///
    /// # Errors
    /// In words, when they do not take one.
    pub(crate) async fn put(&self, batch: &Batch, failure: &Value) -> Result<(), String> {
        let failure = failure.to_string();
        let say = |error: &dyn Display| format!("{} did not take it: {error}", self.topic);
        let mut sent = Vec::with_capacity(batch.records.len());
        for record in &batch.records {
            let mut headers = OwnedHeaders::new_with_capacity(record.headers.len() + 1);
            for (key, value) in &record.headers {
                headers = headers.insert(Header { key, value: Some(&**value) });
            }
            headers = headers.insert(Header { key: FAILURE, value: Some(&failure) });
            let mut copy = FutureRecord::<[u8], [u8]>::to(&self.topic).headers(headers);
            copy.key = record.key.as_deref();
            copy.payload = record.value.as_deref();
            sent.push(self.producer.send(copy, Timeout::After(PATIENCE)));
        }
        try_join_all(sent).await.map(drop).map_err(|(error, _)| say(&error))
    }
}

/// What Lambda says of records that it has given up.
pub(crate) fn failure(function: &str, source: &Source, batch: &Batch, reason: Reason) -> Value {
    let time = |record: Option<&Record>| {
        Timestamp::from_millis(record.map_or(0, |record| record.timestamp)).to_string()
    };
    let bytes = |record: &Record| {
        [&record.key, &record.value].into_iter().flatten().map(bytes::Bytes::len).sum::<usize>()
    };
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
            "payloadSize": batch.records.iter().map(bytes).sum::<usize>(),
            "recordInfo": { batch.name(source): {
                "firstRecordOffset": batch.first.to_string(),
                "lastRecordOffset": batch.last.to_string(),
                "firstRecordTimestamp": time(batch.records.first()),
                "lastRecordTimestamp": time(batch.records.last()),
            } },
        },
    })
}
