//! Kafka: a record becomes a call, a reply becomes one record, a stream becomes several.
//!
//! Owns: which topic an answer goes to, and whether a record is done or must be delivered again.
//! Must never know: rdkafka, Lambda, offsets, method names and codes (those are `wire`'s).

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use tracing::Instrument;

use crate::{
    admit,
    call::{Caller, Reply},
    error::Error,
    handler::DefaultRequestHandler,
    wire::kafka::{self, Answer, Record},
};

/// An agent's Kafka endpoint: it answers records of `agent.{name}.requests` on
/// `agent.{name}.responses`, under the same key; what has no key is answered on
/// `agent.{name}.dead-letter`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct KafkaEndpoint {
    handler: DefaultRequestHandler,
    scope: Arc<str>,
    topics: Arc<Topics>,
}

/// An agent's topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Where requests come from.
    pub requests: String,
    /// Where answers go.
    pub responses: String,
    /// Where answers go that nobody can correlate.
    pub dead_letter: String,
}

impl Topics {
    /// Whether an agent's name can be part of its topics' names.
    ///
    /// # Errors
    /// What such a name is made of.
    pub fn check(agent: &str) -> Result<(), &'static str> {
        let allowed = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
        };
        if (1..=200).contains(&agent.len()) && agent.chars().all(allowed) {
            return Ok(());
        }
        Err("use 1 to 200 letters, digits, `.`, `_` or `-`, since it names Kafka topics")
    }

    /// The topics of the agent of this name.
    pub fn of(agent: &str) -> Self {
        let topic = |role| format!("agent.{agent}.{role}");
        Self {
            requests: topic("requests"),
            responses: topic("responses"),
            dead_letter: topic("dead-letter"),
        }
    }
}

/// A record to be produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic.
    pub topic: String,
    /// The correlation id.
    pub key: Option<Bytes>,
    /// The answer.
    pub value: Vec<u8>,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
}

/// The record is not done: something is away, and the same record is to be delivered again.
#[derive(Debug)]
pub struct Redeliver(pub Error);

impl KafkaEndpoint {
    /// The endpoint of this handler for the agent of this name. `scope` tells clusters apart that
    /// share a store: a record's task id is made of the scope and the record's position.
    pub fn new(handler: DefaultRequestHandler, agent: &str, scope: impl Into<Arc<str>>) -> Self {
        Self { handler, scope: scope.into(), topics: Arc::new(Topics::of(agent)) }
    }

    /// The same endpoint with topics of other names.
    #[must_use]
    pub fn with_topics(mut self, topics: Topics) -> Self {
        self.topics = Arc::new(topics);
        self
    }

    /// The handler behind it.
    pub fn handler(&self) -> &DefaultRequestHandler {
        &self.handler
    }

    /// The same endpoint for one invocation; see [`DefaultRequestHandler::invocation`].
    #[must_use]
    pub fn invocation(&self) -> Self {
        Self { handler: self.handler.invocation(), ..self.clone() }
    }

    /// A record that cannot even be read, put aside as it came for a person to look at.
    pub fn put_aside(&self, raw: Vec<u8>, reason: &str) -> Outgoing {
        self.outgoing(kafka::put_aside(raw, reason), "")
    }

    /// The agent's topics.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Answers one record: `emit` takes each answer, in order. A record that cannot be decoded is
    /// answered with an error and is done. `caller` is who the transport's own authentication says
    /// it is, unless the record's credentials are to say so.
    ///
    /// # Errors
    /// [`Redeliver`] when the record is to come again; nothing was emitted then, unless a stream
    /// broke off: then its events come again from the first.
    pub async fn serve(
        &self,
        caller: Caller,
        record: &Record,
        mut emit: impl FnMut(Outgoing) + Send,
    ) -> Result<(), Redeliver> {
        // First of all: a key of the client's own is one of its owner's.
        let owner = self.handler.owner(&caller.owner, record.authorization());
        let (owner, refused) =
            owner.map_or_else(|why| (Arc::default(), Err(why)), |it| (it, Ok(())));
        let kafka::Request { form, caller: told, call, traceparent } = self.decode(record, &owner);
        let (partition, offset) = (record.partition, record.offset);
        let span = tracing::debug_span!("record", partition, offset, traceparent);
        let caller = Caller { owner, deadline: caller.deadline, ..told };
        let extensions = self.active_extensions(&caller);
        let mut emit = |answer: Answer| emit(self.outgoing(answer, &extensions));
        let outcome = match refused.and(call) {
            Ok(call) => self.handler.call(caller, call).instrument(span).await,
            Err(error) => {
                tracing::warn!(topic = record.topic, partition, offset, %error, "not a request");
                Err(error)
            }
        };
        match outcome {
            Err(error) if error.is_retriable() => return Err(Redeliver(error)),
            Ok(Reply::Events(mut events)) => {
                while let Some(item) = events.0.next().await {
                    match item {
                        Err(error) if error.is_retriable() => return Err(Redeliver(error)),
                        item => emit(kafka::event_answer(record, &form, &item)),
                    }
                }
            }
            outcome => emit(kafka::answer(record, &form, &outcome)),
        }
        Ok(())
    }

    /// The answer that a record gets in place of one that cannot be produced.
    pub fn refuse(&self, record: &Record, error: Error) -> Outgoing {
        let form = self.decode(record, "").form;
        self.outgoing(kafka::answer(record, &form, &Err(error)), "")
    }

    fn decode(&self, record: &Record, owner: &str) -> kafka::Request {
        kafka::decode(record, &self.scope, &self.handler.card().name, owner)
    }

    fn active_extensions(&self, caller: &Caller) -> String {
        admit::active_extensions(self.handler.card(), &caller.extensions).join(", ")
    }

    fn outgoing(&self, answer: Answer, extensions: &str) -> Outgoing {
        let Answer { key, value, mut headers } = answer;
        if !extensions.is_empty() {
            headers.push((kafka::EXTENSIONS, extensions.to_owned()));
        }
        let topic = if key.is_some() { &self.topics.responses } else { &self.topics.dead_letter };
        Outgoing { topic: topic.clone(), key, value, headers }
    }
}
