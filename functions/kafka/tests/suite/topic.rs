//! An agent's topics on a real broker, which `cargo xtask test` starts and names in
//! `A2A_TEST_KAFKA`: the event that Lambda would make of requests, and the answers as they come.

use std::time::Duration;

use a2a_core::{kafka::Topics, wire::kafka::Record};
use a2a_kafka::event::{self, Cluster};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    message::Headers,
};
use serde_json::Value;

/// How long an answer that is there may take to be read.
const PATIENCE: Duration = Duration::from_secs(20);

/// The broker's address.
pub(crate) fn brokers() -> String {
    broker_says("A2A_TEST_KAFKA")
}

/// What `cargo xtask test` says of the broker under this name.
pub(crate) fn broker_says(variable: &str) -> String {
    std::env::var(variable).expect("run `cargo xtask test`, which starts Kafka")
}

/// The topics of an agent with a name of its own.
pub(crate) struct Agent {
    pub(crate) name: String,
    topics: Topics,
    answers: StreamConsumer,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) key: String,
    pub(crate) value: Value,
    pub(crate) is_last: bool,
}

impl Agent {
    /// Makes the topics and begins to read the answers.
    pub(crate) async fn new() -> Self {
        let name = format!("test-{}", uuid::Uuid::new_v4().simple());
        let topics = Topics::of(&name);
        a2a_local::broker::create_topics(&brokers(), &topics, 1).await.unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers()).set("group.id", &name).set("log_level", "0");
        config.set("enable.auto.commit", "false").set("fetch.wait.max.ms", "10");
        let answers: StreamConsumer = config.create().unwrap();
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(&topics.responses, 0, Offset::Beginning).unwrap();
        answers.assign(&all).unwrap();
        Self { name, topics, answers }
    }

    /// The event of these requests, one after another from that offset, in one partition.
    pub(crate) fn event(&self, first_offset: i64, requests: &[(&str, Value)]) -> Vec<u8> {
        let record = |(index, (key, value)): (usize, &(&str, Value))| Record {
            topic: self.topics.requests.clone(),
            partition: 0,
            offset: first_offset + i64::try_from(index).unwrap(),
            timestamp: 1_767_225_600_000,
            broker_time: false,
            key: Some((*key).to_owned().into()),
            value: Some(value.to_string().into()),
            headers: Vec::new(),
        };
        let records: Vec<Record> = requests.iter().enumerate().map(record).collect();
        event::write(
            Cluster { arn: None, bootstrap_servers: &brokers() },
            [(self.partition(), records)],
        )
        .unwrap()
    }

    /// The partition as events and answers name it.
    pub(crate) fn partition(&self) -> String {
        format!("{}-0", self.topics.requests)
    }

    /// The next answer.
    pub(crate) async fn answer(&self) -> Answer {
        loop {
            let received = tokio::time::timeout(PATIENCE, self.answers.recv()).await;
            // The client reconnects by itself.
            let Ok(message) = received.expect("nothing was answered") else { continue };
            let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap()).into_owned();
            let mut headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            return Answer {
                key: text(message.key()),
                value: serde_json::from_slice(message.payload().unwrap()).unwrap(),
                is_last: headers.any(|header| header.key == "a2a-last"),
            };
        }
    }

    /// How many answers there are.
    pub(crate) fn answers(&self) -> i64 {
        let topic = &self.topics.responses;
        let (low, high) = self.answers.fetch_watermarks(topic, 0, PATIENCE).unwrap();
        high - low
    }
}
