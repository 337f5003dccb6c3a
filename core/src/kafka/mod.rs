//! Kafka: a record becomes a call, a reply becomes one record, a stream becomes several.
//!
//! Owns: which topic an answer goes to, whether a record is done or must be redelivered, and
//! the dead letter of one that is given up. Must never know: rdkafka, Lambda, offsets, method names
//! and codes (those are `wire`'s).

mod topics;

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use tracing::Instrument;

use crate::{
    call::{Caller, Reply, check},
    error::{Error, ErrorKind},
    handler::DefaultRequestHandler,
    types::SendMessageResponse,
    wire::kafka::{self, Answer, Header, Origin, Record, header},
};

pub use topics::{REGISTRY, ReplyTopics, Topics};

/// An agent's Kafka endpoint: it answers records of `agent.{name}.requests` on
/// `agent.{name}.responses`, or on a topic that the client may name, under the same key. What has
/// no key goes to `agent.{name}.dead-letter`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct KafkaEndpoint {
    handler: DefaultRequestHandler,
    scope: Arc<str>,
    topics: Arc<Topics>,
    reply_topics: Arc<ReplyTopics>,
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
    pub headers: Vec<Header>,
}

/// How many bytes an answer may have with everything around it: what a Kafka topic, and librdkafka,
/// take by default.
pub const MAX_ANSWER: usize = 1_000_000;

/// The record is not done: a dependency is unavailable, and the record is to be redelivered.
#[derive(Debug)]
pub struct Redeliver(pub Error);

impl KafkaEndpoint {
    /// The endpoint of this handler for the agent of this name. `scope` tells clusters apart that
    /// share a store: a record's task id is made of the scope and the record's position.
    pub fn new(handler: DefaultRequestHandler, agent: &str, scope: impl Into<Arc<str>>) -> Self {
        let (topics, reply_topics) = (Arc::new(Topics::of(agent)), Arc::default());
        Self { handler, scope: scope.into(), topics, reply_topics }
    }

    /// The same endpoint with topics of other names.
    #[must_use]
    pub fn with_topics(mut self, topics: Topics) -> Self {
        self.topics = Arc::new(topics);
        self
    }

    /// The same endpoint, whose clients may have their answers on these topics.
    #[must_use]
    pub fn with_reply_topics(mut self, reply_topics: ReplyTopics) -> Self {
        self.reply_topics = Arc::new(reply_topics);
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

    /// The agent's topics.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// How old a record is by its own time; none where that is not known.
    pub fn age(&self, record: &Record) -> Option<Duration> {
        let age = self.handler.now().as_millis().checked_sub(record.timestamp)?;
        Some(Duration::from_millis(age.try_into().ok()?)).filter(|_| record.timestamp > 0)
    }

    /// Answers one record: `emit` takes each answer, in order. A record that cannot be decoded is
    /// answered with an error and is done; one whose answer could not be correlated becomes a
    /// dead letter with the reason.
    ///
    /// `caller` is who the transport's own authentication says it is, unless the record's
    /// credentials are to say so. That is decided first: a key of the client's own is one of its
    /// owner's.
    ///
    /// # Errors
    /// [`Redeliver`] when the record is to be redelivered; nothing was emitted then, unless a stream
    /// broke off: then its events are emitted once more from the first.
    pub async fn serve(
        &self,
        caller: Caller,
        record: &Record,
        mut emit: impl FnMut(Outgoing) + Send,
    ) -> Result<(), Redeliver> {
        let owner = self.handler.owner(&caller.owner, record.authorization());
        let (owner, refused) =
            owner.map_or_else(|why| (Arc::default(), Err(why)), |it| (it, Ok(())));
        let kafka::Request { form, caller: told, call, reply_to, traceparent } =
            self.read(record, &owner);
        let (topic, may_be_answered) = self.reply_topic(record, reply_to);
        let (partition, offset) = (record.partition, record.offset);
        let span = tracing::debug_span!("record", partition, offset, traceparent);
        let Caller { deadline, cut, .. } = caller;
        let caller = Caller { owner, deadline, cut, at_least_once: true, ..told };
        let extensions = self.active_extensions(&caller);
        let outcome = match refused.and(call).and_then(|call| may_be_answered.map(|()| call)) {
            Ok(call) => pin!(self.handler.call(caller, call)).instrument(span).await,
            Err(error) => {
                tracing::warn!(topic = record.topic, partition, offset, %error, "not a request");
                if !record.is_correlated() {
                    emit(self.dead_letter(record, &error, None));
                    return Ok(());
                }
                Err(error)
            }
        };
        let mut emit = |answer| emit(outgoing(&topic, answer, &extensions));
        match outcome {
            Err(error) if error.is_retriable() => return Err(Redeliver(error)),
            Ok(Reply::Events(mut events)) => {
                while let Some(item) = events.0.next().await {
                    match item {
                        Err(error) if error.is_retriable() => return Err(Redeliver(error)),
                        item => {
                            let answer = kafka::event_answer(record, &form, &item);
                            if answer.size() > MAX_ANSWER {
                                // A stream has one end, so nothing follows.
                                emit(kafka::event_answer(record, &form, &Err(too_large(None))));
                                break;
                            }
                            emit(answer);
                        }
                    }
                }
            }
            outcome => {
                let answer = kafka::answer(record, &form, &outcome);
                emit(match answer.size() > MAX_ANSWER {
                    true => kafka::answer(record, &form, &Err(too_large(outcome.ok()))),
                    false => answer,
                });
            }
        }
        Ok(())
    }

    /// The answer that a record gets in place of one that cannot be produced.
    pub fn refuse(&self, record: &Record, error: Error) -> Outgoing {
        let kafka::Request { form, reply_to, .. } = self.read(record, "");
        let (topic, _) = self.reply_topic(record, reply_to);
        outgoing(&topic, kafka::answer(record, &form, &Err(error)), "")
    }

    /// The answer that a record gets on the agent's own topic, because the one that its client
    /// named takes none; none where the client named no other.
    pub fn refuse_topic(&self, record: &Record) -> Option<Outgoing> {
        let kafka::Request { form, reply_to, .. } = self.read(record, "");
        let named = reply_to.filter(|topic| *topic != self.topics.responses)?;
        let sentence = format!("The topic {named:?} takes no answers of this agent.");
        let error = Error::new(ErrorKind::PermissionDenied, sentence);
        let answer = kafka::answer(record, &form, &Err(error));
        Some(outgoing(&self.own_topic(record), answer, ""))
    }

    /// Gives up a record that is not done and will not be redelivered: a dead letter with the
    /// reason, and an answer with the same error for its client. `attempts` is how
    /// often it was delivered, where that is known.
    pub fn give_up(&self, record: &Record, error: Error, attempts: Option<u32>) -> [Outgoing; 2] {
        [self.dead_letter(record, &error, attempts), self.refuse(record, error)]
    }

    /// The dead letter of what cannot be read as a record, as it came.
    pub fn raw_dead_letter(&self, raw: Vec<u8>, reason: &str, origin: &Origin<'_>) -> Outgoing {
        let error = Error::new(ErrorKind::InvalidRequest, reason.to_owned());
        outgoing(&self.topics.dead_letter, kafka::raw_dead_letter(raw, &error, origin), "")
    }

    fn dead_letter(&self, record: &Record, error: &Error, attempts: Option<u32>) -> Outgoing {
        let letter = kafka::dead_letter(record, error, attempts);
        outgoing(&self.topics.dead_letter, letter, "")
    }

    fn read(&self, record: &Record, owner: &str) -> kafka::Request {
        let (scope, agent) = (&*self.scope, &*self.handler.card().name);
        let max_value = self.handler.limits().body;
        kafka::Reader { scope, agent, owner, max_value }.read(record)
    }

    /// Where a record is answered, and whether that is where its client wants it.
    fn reply_topic(
        &self,
        record: &Record,
        reply_to: Option<String>,
    ) -> (String, Result<(), Error>) {
        match reply_to {
            None => (self.own_topic(record), Ok(())),
            Some(topic) if self.reply_topics.allow(&topic, &self.topics) => (topic, Ok(())),
            Some(topic) => {
                let topic = topic.chars().take(250).collect::<String>();
                let sentence = format!("This agent does not answer on the topic {topic:?}.");
                let error = Error::new(ErrorKind::PermissionDenied, sentence).with("topic", topic);
                (self.own_topic(record), Err(error))
            }
        }
    }

    /// The agent's own topic, unless the record is from there: an agent that answers itself would
    /// never end.
    fn own_topic(&self, record: &Record) -> String {
        let Topics { responses, dead_letter, .. } = &*self.topics;
        if *responses == record.topic { dead_letter.clone() } else { responses.clone() }
    }

    fn active_extensions(&self, caller: &Caller) -> String {
        check::active_extensions(self.handler.card(), &caller.extensions).join(", ")
    }
}

/// What is said in place of an answer that no topic takes: where it is a task, its id, by which it
/// can be had in pieces.
fn too_large(reply: Option<Reply>) -> Error {
    let error = Error::new(ErrorKind::TooLarge, "The answer is larger than a topic takes.");
    match reply {
        Some(Reply::Task(task) | Reply::Sent(SendMessageResponse::Task(task))) => {
            error.with("taskId", &*task.id)
        }
        _ => error,
    }
}

fn outgoing(topic: &str, answer: Answer, extensions: &str) -> Outgoing {
    let Answer { key, value, mut headers } = answer;
    if !extensions.is_empty() {
        headers.push(kafka::header_of(header::EXTENSIONS, extensions.to_owned()));
    }
    Outgoing { topic: topic.to_owned(), key, value, headers }
}
