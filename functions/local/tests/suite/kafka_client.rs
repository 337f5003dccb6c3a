//! A Kafka client on the user's side: requests out, whatever is answered in.

use std::time::{Duration, Instant};

use a2a_core::kafka::Topics;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    message::{Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::Value;

use crate::transports::kafka::Answered;

/// How long a broker may take for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A producer of requests, and a consumer of answers and dead letters from the beginning.
pub(crate) struct KafkaClient {
    producer: FutureProducer,
    consumer: StreamConsumer,
    topics: Topics,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
}

/// An answer and its partition and offset.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) position: Position,
    pub(crate) record: Answered,
}

impl Received {
    pub(crate) fn key(&self) -> &str {
        self.record.key.as_deref().map_or("", |key| std::str::from_utf8(key).unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        let value = &self.record.value;
        serde_json::from_slice(value)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(value)))
    }
}

impl KafkaClient {
    /// Connects to the topics of the agent of that name, which must be there.
    pub(crate) fn connect(brokers: &str, name: &str) -> Self {
        let topics = Topics::of(name);
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("log_level", "0")
            .set("message.timeout.ms", "20000")
            .set("linger.ms", "0");
        let producer = config.create().unwrap();
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("log_level", "0")
            .set("group.id", "test-client")
            .set("enable.auto.commit", "false")
            // The embedded broker does not wake a fetch that waits.
            .set("fetch.wait.max.ms", "10");
        let consumer: StreamConsumer = config.create().unwrap();
        let client = Self { producer, consumer, topics };
        let mut all = TopicPartitionList::new();
        for topic in [&client.topics.responses, &client.topics.dead_letter] {
            for partition in client.partitions(topic) {
                all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
            }
        }
        client.consumer.assign(&all).unwrap();
        client
    }

    pub(crate) fn topics(&self) -> &Topics {
        &self.topics
    }

    /// The partitions of a topic that is there.
    pub(crate) fn partitions(&self, topic: &str) -> Vec<i32> {
        let metadata = self.consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
        let partitions = metadata.topics()[0].partitions();
        assert!(!partitions.is_empty(), "there is no topic {topic}");
        partitions.iter().map(|partition| partition.id()).collect()
    }

    /// How many records a topic holds.
    pub(crate) fn records(&self, topic: &str) -> i64 {
        let marks = self
            .partitions(topic)
            .into_iter()
            .map(|partition| self.consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap());
        marks.map(|(low, high)| high - low).sum()
    }

    /// Sends a request and answers where it stands.
    pub(crate) async fn send(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(String, String)],
    ) -> Position {
        self.send_to(None, key, value, headers).await
    }

    /// The same, to that partition.
    pub(crate) async fn send_to(
        &self,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(String, String)],
    ) -> Position {
        let mut all = OwnedHeaders::new();
        for (key, value) in headers {
            all = all.insert(Header { key, value: Some(value) });
        }
        let mut record = FutureRecord::<[u8], [u8]>::to(&self.topics.requests).headers(all);
        record.key = key;
        record.payload = value;
        record.partition = partition;
        let sent = self.producer.send(record, PATIENCE).await.unwrap();
        let timestamp = sent.timestamp.to_millis().unwrap();
        Position { partition: sent.partition, offset: sent.offset, timestamp }
    }

    /// A request in the brief's form.
    pub(crate) async fn ask(&self, key: &str, value: &Value) -> Position {
        self.send(Some(key.as_bytes()), Some(value.to_string().as_bytes()), &[]).await
    }

    /// The next answer or dead letter.
    pub(crate) async fn next(&self) -> Received {
        match self.next_within(PATIENCE).await {
            Some(received) => received,
            None => panic!("nothing was answered within {PATIENCE:?}"),
        }
    }

    /// The next one, if one comes in that time.
    pub(crate) async fn next_within(&self, limit: Duration) -> Option<Received> {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, self.consumer.recv()).await {
                Err(_) => return None,
                // A connection that is not there yet.
                Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
                Ok(Ok(message)) => {
                    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    let record = Answered {
                        topic: message.topic().to_owned(),
                        key: message.key().map(<[u8]>::to_vec),
                        value: message.payload().unwrap_or_default().to_vec(),
                        headers: headers
                            .map(|it| (it.key.to_owned(), text(it.value.unwrap_or_default())))
                            .collect(),
                    };
                    let position = Position {
                        partition: message.partition(),
                        offset: message.offset(),
                        timestamp: message.timestamp().to_millis().unwrap_or_default(),
                    };
                    return Some(Received { position, record });
                }
            }
        }
    }
}
