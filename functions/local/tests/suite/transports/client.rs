//! The whole way and back again: the client of the core over Kafka, and the agent behind a broker.

use std::sync::Arc;

use a2a_core::client::{Client, Parameters};
use serde_json::Value;

use super::{Asked, Transport, handler};
use crate::{agents::Agent, kafka_agent::KafkaAgent};

pub(crate) struct OverKafka {
    agent: KafkaAgent,
    client: Client,
    /// A client speaks one version: what others are told is not its matter.
    others: handler::Handler,
}

impl Transport for OverKafka {
    async fn open(agent: Agent) -> Self {
        let others = handler::Handler::open(agent).await;
        let agent = KafkaAgent::start(agent.handler());
        let client = Client::new(Arc::new(agent.transport(|_| {})));
        Self { agent, client, others }
    }

    async fn call(&self, asked: Asked) -> Value {
        if asked.version != "1.0" {
            return self.others.call(asked).await;
        }
        let mut parameters = Parameters::default();
        parameters.extensions = asked.extensions.split(',').map(Into::into).collect();
        let outcome = self.client.clone().with_parameters(parameters).call(asked.call).await;
        // A stream ends where the task waits for its client, as with every answer over Kafka.
        handler::reply(outcome, None).await
    }

    async fn close(self) {
        self.agent.stop().await;
    }
}
