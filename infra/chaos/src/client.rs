//! The client: records out, whatever is answered in. It outlives the broker's restart.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use a2a_core::{Cursor, kafka::Topics};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::KafkaError,
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, future_producer::DeliveryFuture},
};

use crate::request::{Outgoing, number};

/// How long the broker may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A producer of requests, and a consumer of all answers and dead letters.
pub(crate) struct Client {
    producer: FutureProducer,
    consumer: StreamConsumer,
    topics: Topics,
    /// The next offset of each partition that is read.
    next: BTreeMap<(String, i32), i64>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// To which request.
    pub(crate) number: usize,
    /// The record's value.
    pub(crate) value: Vec<u8>,
    /// Its headers.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// When it was produced, in milliseconds since 1970.
    pub(crate) at: i64,
}

impl Reply {
    /// What that header says.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        std::str::from_utf8(value).ok()
    }

    /// Its place in a stream.
    pub(crate) fn event(&self) -> Option<Cursor> {
        self.header("a2a-event-id")?.parse().ok()
    }

    /// Whether nothing follows it in its stream.
    pub(crate) fn is_last(&self) -> bool {
        self.header("a2a-last").is_some()
    }
}

impl Client {
    /// Connects to the topics of the agent of that name, which have so many partitions.
    pub(crate) fn connect(broker: &str, name: &str, partitions: i32) -> Result<Self, String> {
        let topics = Topics::of(name);
        let mut next = BTreeMap::new();
        for topic in [&topics.responses, &topics.dead_letter] {
            next.extend((0..partitions).map(|partition| ((topic.clone(), partition), 0)));
        }
        let connect = || -> Result<_, KafkaError> {
            let producer = config(broker)
                .set("enable.idempotence", "true")
                .set("message.timeout.ms", "300000")
                .create()?;
            let consumer: StreamConsumer = config(broker)
                .set("group.id", "chaos-client")
                .set("enable.auto.commit", "false")
                .create()?;
            let mut all = TopicPartitionList::new();
            for (topic, partition) in next.keys() {
                all.add_partition_offset(topic, *partition, Offset::Beginning)?;
            }
            consumer.assign(&all)?;
            Ok((producer, consumer))
        };
        let (producer, consumer) =
            connect().map_err(|error| format!("no client to {broker}: {error}"))?;
        Ok(Self { producer, consumer, topics, next })
    }

    /// The agent's topics.
    pub(crate) fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Sends a record, without waiting.
    pub(crate) fn send(&self, record: &Outgoing) -> Result<DeliveryFuture, String> {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let sent = self.producer.send_result(FutureRecord {
            topic: &self.topics.requests,
            partition: Some(record.partition),
            payload: record.value.as_deref(),
            key: record.key.as_deref(),
            timestamp: None,
            headers: Some(headers),
        });
        sent.map_err(|(error, _)| format!("a request could not be sent: {error}"))
    }

    /// The next answer.
    pub(crate) async fn receive(&mut self) -> Result<Reply, String> {
        loop {
            match self.consumer.recv().await {
                Ok(message) => {
                    let place = (message.topic().to_owned(), message.partition());
                    let reply = reply(&message);
                    self.next.insert(place, message.offset() + 1);
                    return reply.ok_or_else(|| {
                        let key = message.key().map(String::from_utf8_lossy);
                        format!("an answer has a key that no request had: {key:?}")
                    });
                }
                // The broker is away; the client connects again by itself.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Every answer that is there and was not received yet.
    pub(crate) async fn drain(&mut self) -> Result<Vec<Reply>, String> {
        let mut ends = BTreeMap::new();
        for (topic, partition) in self.next.keys() {
            let marks = self.consumer.fetch_watermarks(topic, *partition, PATIENCE);
            let (_, high) = marks.map_err(|error| format!("{topic} has no end: {error}"))?;
            ends.insert((topic.clone(), *partition), high);
        }
        let (mut rest, began) = (Vec::new(), Instant::now());
        while ends.iter().any(|(place, end)| self.next.get(place) < Some(end)) {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let received = tokio::time::timeout(left, self.receive()).await;
            rest.push(received.map_err(|_| "the last answers cannot be read".to_owned())??);
        }
        Ok(rest)
    }
}

fn config(broker: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    // What it cannot reach for a while it would log again and again.
    config.set("bootstrap.servers", broker).set("log_level", "0");
    config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "500");
    config
}

fn reply(message: &BorrowedMessage<'_>) -> Option<Reply> {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let headers: Vec<(String, Vec<u8>)> = headers
        .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
        .collect();
    let trace = headers.iter().find(|(name, _)| name == "traceparent");
    let trace = trace.and_then(|(_, value)| std::str::from_utf8(value).ok());
    Some(Reply {
        number: number(message.key(), trace)?,
        value: message.payload().unwrap_or_default().to_vec(),
        at: message.timestamp().to_millis().unwrap_or_default(),
        headers,
    })
}
