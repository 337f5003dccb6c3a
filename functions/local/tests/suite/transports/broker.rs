//! The whole way: the runner with its broker in this process, and a Kafka client on the other side.

use a2a_local::{config::Config, run::Runner};
use clap::Parser;
use serde_json::Value;

use super::{Asked, Transport, kafka};
use crate::{agents::Agent, kafka_client::KafkaClient};

pub(crate) struct Broker {
    runner: Runner,
    client: KafkaClient,
}

impl Transport for Broker {
    async fn open(agent: Agent) -> Self {
        let config = Config::parse_from(["a2a-local", "--port", "0", "--partitions", "2"]);
        let runner = Runner::start(&config, [agent.served()]).await.unwrap();
        let brokers = runner.brokers().expect("an embedded broker");
        let client = KafkaClient::connect(brokers, "data");
        Self { runner, client }
    }

    async fn call(&self, asked: Asked) -> Value {
        let key = asked.key.as_bytes();
        let (value, headers) = (kafka::request(&asked), kafka::headers(&asked));
        self.client.send(Some(key), Some(&value), &headers).await;
        let mut answers = Vec::new();
        loop {
            let answer = self.client.next().await;
            if answer.record.key.as_deref() != Some(key) {
                continue;
            }
            answers.push(answer.record);
            if !asked.call.is_streaming() || answers.last().is_some_and(ends_stream) {
                return kafka::read(&asked, &answers);
            }
        }
    }

    async fn close(self) {
        self.runner.stop().await.unwrap();
    }
}

/// An error ends a stream too; whether it also says so is for the comparison to judge.
fn ends_stream(answer: &kafka::Answered) -> bool {
    answer.is_last() || answer.value.windows(8).any(|text| text == b"\"error\":")
}
