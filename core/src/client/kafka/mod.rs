//! The transport to an agent over Kafka (`core/KAFKA-BINDING.md`), and the registry of agents.
//!
//! | module | owns |
//! |---|---|
//! | `address` | an agent's address: `kafka://HOST:PORT/agent.NAME.requests` |
//! | `settings` | librdkafka's clients, set up |
//! | `cluster` | sharing them in this process: one producer per cluster, one consumer per reply topic |
//! | `reply_consumer` | that consumer: assigned where no answer is missed |
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
mod partition;
mod pending;
mod refusals;
pub mod registry;
mod reply_consumer;
mod reply_queue;
mod request;
mod settings;
mod stream;

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::sleep;

use self::{
    address::AgentAddress,
    cluster::{Cluster, Record},
    partition::Pace,
    refusals::Refusals,
    registry::Registry,
    reply_consumer::ReplyConsumer,
    reply_queue::{ReplyQueue, ReplyRecord},
    request::Request,
    stream::Reader,
};
use super::{Parameters, Transport};
use crate::{
    call::{Call, Reply},
    env::Env,
    error::{Error, ErrorKind},
    types::Timestamp,
    wire::kafka::client::{self, Beside},
};

/// How Kafka is reached and how a client introduces itself. Start from the default and change what
/// you must.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct KafkaOptions {
    /// Further settings of librdkafka, by name: TLS (`security.protocol`, `ssl.ca.location`), a
    /// login (`sasl.mechanisms`, `sasl.username`, `sasl.password`). They need the feature of the
    /// crate `rdkafka` that brings them. Values are never logged.
    pub settings: BTreeMap<String, String>,
    /// The token of the header `authorization`, without the word `Bearer`; never logged.
    pub bearer: Option<Arc<str>>,
    /// After how much silence a request is sent again, under the same correlation id; by default a
    /// quarter of the call's timeout, from one second to fifteen.
    pub resend_after: Option<Duration>,
}

impl fmt::Debug for KafkaOptions {
    /// The names of the settings, and no value of any.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("KafkaOptions")
            .field("settings", &self.settings.keys())
            .field("bearer", &self.bearer.as_ref().map(|_| "…"))
            .field("resend_after", &self.resend_after)
            .finish()
    }
}

/// An agent reached over Kafka. Cheap to clone; all of a process share their connections.
///
/// A call is answered once, whatever happens on the way: a request whose answer does not come is
/// sent again under the same correlation id and the same idempotency key, so that the agent
/// executes it once, and what is answered twice is heard once. A stream goes on where it was when
/// the agent's runner has died.
#[derive(Clone)]
pub struct KafkaTransport {
    address: Arc<AgentAddress>,
    options: Arc<KafkaOptions>,
    cluster: Arc<Cluster>,
    replies: Arc<ReplyConsumer>,
    refusals: Arc<Refusals>,
}

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
        let address = AgentAddress::read(url)?;
        let cluster = Cluster::of(&address.brokers, &options.settings)?;
        let replies = cluster.reply_consumer(&address.replies)?;
        let (refusals, options) = (Arc::new(Refusals::of(&address)), Arc::new(options));
        Ok(Self { address: Arc::new(address), options, cluster, replies, refusals })
    }

    /// Whether that is an agent's address.
    ///
    /// # Errors
    /// As [`KafkaTransport::new`] when it is none.
    pub(super) fn check(url: &str) -> Result<(), Error> {
        AgentAddress::read(url).map(drop)
    }

    /// A new request, whose answers go into that queue.
    fn request(
        &self,
        queue: &Arc<ReplyQueue>,
        parameters: &Parameters,
        call: &Call,
    ) -> Result<Request, Error> {
        let pending = self.cluster.pending.open(queue);
        let key = self.cluster.pending.correlation_id(pending.number);
        let idempotency_key = match &parameters.idempotency_key {
            Some(key) => Some(&**key),
            // Its own retries need one.
            None => matches!(
                call,
                Call::SendMessage(_) | Call::SendStreamingMessage(_) | Call::CancelTask(_)
            )
            .then_some(&*key),
        };
        let authorization = self.options.bearer.as_ref().map(|token| format!("Bearer {token}"));
        let beside = Beside {
            extensions: &parameters.extensions,
            idempotency_key,
            resume: parameters.resume,
            traceparent: parameters.traceparent.as_deref(),
            reply_to: self.address.asks_for_replies.then_some(&*self.address.replies),
            deadline: deadline(parameters, call),
            authorization: authorization.as_deref(),
        };
        let encoded = client::encode(&key, call, &beside).ok_or_else(|| {
            let sentence = "This call is none that is made over Kafka.";
            Error::new(ErrorKind::UnsupportedOperation, sentence)
        })?;
        let client::Request { value, headers } = encoded;
        let topic = self.address.requests.clone();
        let record = Record { topic, key, value: Some(value), headers };
        Ok(Request::new(self, pending, record, Pace::of(call), self.interval(parameters)))
    }

    fn interval(&self, parameters: &Parameters) -> Duration {
        let default =
            || (parameters.timeout / 4).clamp(Duration::from_secs(1), Duration::from_secs(15));
        self.options.resend_after.unwrap_or_else(default)
    }

    async fn unary(&self, parameters: &Parameters, call: &Call) -> Result<Reply, Error> {
        let queue = Arc::default();
        let mut request = self.request(&queue, parameters, call)?;
        let reply = tokio::select! {
            biased;
            reply = queue.next() => reply,
            error = request.send() => return Err(error),
            () = sleep(parameters.timeout) => return Err(request.gave_up(parameters.timeout)),
        };
        let reply = reply.ok_or_else(|| Error::internal("an empty reply queue overflowed"))?;
        self.heard(&reply);
        client::decode(request.id(), call.reply_kind(), &reply.value)
    }

    /// An answer on the topic that was asked for tells that it is not refused.
    fn heard(&self, reply: &ReplyRecord) {
        if *reply.topic == *self.address.replies {
            self.refusals.accepted();
        }
    }

    /// The card, as the agent's instances told the registry.
    async fn card(&self, parameters: &Parameters) -> Result<Reply, Error> {
        let agent = self.address.agent().ok_or_else(|| {
            let sentence = "The agent's topic does not tell its name, so its card is not found.";
            Error::new(ErrorKind::UnsupportedOperation, sentence)
        })?;
        let registry = Registry::of(Arc::clone(&self.cluster)).within(parameters.timeout);
        let entry = registry.find(agent).await?.ok_or_else(|| {
            let brokers = &self.cluster.brokers;
            let sentence = format!("There is no agent {agent:?} in the registry of {brokers}.");
            Error::new(ErrorKind::Unavailable, sentence)
        })?;
        Ok(Reply::Card(Arc::new(entry.card)))
    }
}

/// From when on nobody waits for the answer. What outlives its answer has none: a stream goes on
/// for as long as it is heard, and so does work whose answer is wanted at once.
fn deadline(parameters: &Parameters, call: &Call) -> Option<Timestamp> {
    let outlives = match call {
        Call::SendMessage(request) => {
            request.configuration.as_ref().is_some_and(|it| it.return_immediately)
        }
        call => call.is_streaming(),
    };
    let timeout = i64::try_from(parameters.timeout.as_millis()).unwrap_or(i64::MAX);
    let at = || Timestamp::from_millis(Env::system().now().as_millis().saturating_add(timeout));
    (!outlives).then(at)
}

#[async_trait]
impl Transport for KafkaTransport {
    async fn call(&self, parameters: &Parameters, call: Call) -> Result<Reply, Error> {
        match call {
            Call::GetAgentCard => self.card(parameters).await,
            call if call.is_streaming() => {
                Reader::open(self.clone(), parameters.clone(), call).await.map(Reply::Events)
            }
            call => self.unary(parameters, &call).await,
        }
    }
}

impl fmt::Debug for KafkaTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("KafkaTransport")
            .field("address", &self.address)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
