//! The transport to an agent over Kafka (`core/KAFKA-BINDING.md`), and the registry of agents.
//!
//! | module | owns |
//! |---|---|
//! | `address` | an agent's address: `kafka://HOST:PORT/agent.NAME.requests` |
//! | `options` | what an application says of Kafka |
//! | `connection` | what the requests to one agent share |
//! | `settings` | librdkafka's clients, set up |
//! | `cluster` | sharing them in this process: one producer per cluster, one consumer per reply topic |
//! | `reply_consumer` | that consumer: assigned where no answer is missed |
//! | `correlation` | ids that nobody can foresee |
//! | `pending` | the pending requests, by correlation id |
//! | `refusals` | where it is heard that a reply topic is refused |
//! | `partition` | which partition a request goes to: what is short never behind work |
//! | `reply_queue` | answers that wait for their reader, within a bound |
//! | `request` | one request: when it is sent, and sent again |
//! | `stream` | one stream: its events once, in order, to the last |
//! | [`registry`] | `agent.registry`: which agents there are |
//!
//! Owns: the calls as an application makes them. Must never know: headers, method names (those are
//! `wire`'s).

mod address;
mod cluster;
mod connection;
mod correlation;
mod options;
mod partition;
mod pending;
mod refusals;
pub mod registry;
mod reply_consumer;
mod reply_queue;
mod request;
mod settings;
mod stream;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::options::KafkaOptions;
use self::{address::AgentAddress, connection::Connection, registry::Registry, stream::Reader};
use super::{Parameters, Transport};
use crate::{
    call::{Call, Reply},
    error::{Error, ErrorKind},
};

/// An agent reached over Kafka. Cheap to clone; all of a process share their connections.
///
/// A call is answered once, whatever happens on the way: a request whose answer does not come is
/// sent again under the same correlation id and the same idempotency key, so that the agent
/// executes it once, and what is answered twice is heard once. A stream goes on where it was when
/// the agent's runner has died.
#[derive(Clone, Debug)]
pub struct KafkaTransport(Connection);

impl KafkaTransport {
    /// The agent at `kafka://HOST:PORT[,HOST:PORT]/agent.NAME.requests[?reply-to=TOPIC]`. Answers
    /// come on `agent.NAME.responses`, or on the topic named there, which must exist and which the
    /// agent must allow; where it does not, the calls fail with [`ErrorKind::PermissionDenied`]. It
    /// connects in the background.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`] in one sentence when the URL or a setting is wrong,
    /// [`ErrorKind::Unavailable`] when the system gives no thread.
    pub fn new(url: &str, options: KafkaOptions) -> Result<Self, Error> {
        Connection::open(url, options).map(Self)
    }

    /// Whether that is an agent's address.
    ///
    /// # Errors
    /// As [`KafkaTransport::new`] when it is none.
    pub(super) fn check(url: &str) -> Result<(), Error> {
        AgentAddress::read(url).map(drop)
    }

    /// The card, as the agent's instances told the registry.
    async fn card(&self, parameters: &Parameters) -> Result<Reply, Error> {
        let agent = self.0.address.agent().ok_or_else(|| {
            let sentence = "The agent's topic does not tell its name, so its card is not found.";
            Error::new(ErrorKind::UnsupportedOperation, sentence)
        })?;
        let registry = Registry::of(Arc::clone(&self.0.cluster)).within(parameters.timeout);
        let entry = registry.find(agent).await?.ok_or_else(|| {
            let brokers = &self.0.cluster.brokers;
            let sentence = format!("There is no agent {agent:?} in the registry of {brokers}.");
            Error::new(ErrorKind::Unavailable, sentence)
        })?;
        Ok(Reply::Card(Arc::new(entry.card)))
    }
}

#[async_trait]
impl Transport for KafkaTransport {
    async fn call(&self, parameters: &Parameters, call: Call) -> Result<Reply, Error> {
        match call {
            Call::GetAgentCard => self.card(parameters).await,
            call if call.is_streaming() => {
                let reader = Reader::open(self.0.clone(), parameters.clone(), call);
                reader.await.map(Reply::Events)
            }
            call => request::unary(&self.0, parameters, &call).await,
        }
    }
}
