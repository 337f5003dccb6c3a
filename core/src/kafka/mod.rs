//! Kafka: a record becomes a call, a reply becomes one record, a stream becomes several.
//!
//! Owns: which topic an answer goes to, whether a record is done or must be redelivered, and
//! the dead letter of one that is given up. Must never know: rdkafka, Lambda, offsets, method names
//! and codes (those are `wire`'s).

mod about;
mod incoming;
mod lane;
mod topics;

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::StreamExt;
use tracing::Instrument;

use crate::{
    call::{
        Call, Caller, Credentials, Cursor, Event, Events, Reply, ReplyAddress, TraceContext, check,
    },
    error::{Error, ErrorKind},
    handler::DefaultRequestHandler,
    types::{GetTaskRequest, StreamResponse, Timestamp},
    wire::kafka::{self, Answer, Header, Origin, Record, header},
};

use about::{TASK_ID, restarts, task_of_call, task_of_event, task_of_reply, too_large};
pub use incoming::Incoming;
use incoming::Read;
pub use lane::Lane;
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
    max_answer: usize,
    stream_time: Duration,
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

/// How many bytes an answer may have with everything around it, unless the endpoint is told what its
/// topic takes: what a Kafka topic, and librdkafka, take by default.
pub const MAX_ANSWER: usize = 1_000_000;

/// How long a stream takes at most, unless the endpoint is told otherwise.
pub const STREAM_TIME: Duration = Duration::from_secs(600);

/// Takes the answers to a record.
pub trait Answers: Send {
    /// Takes the next one. What is sent is not waited for, but an event of a stream is not sent before
    /// it is known that those before it are: a reader takes the next for all there was.
    ///
    /// # Errors
    /// [`Redeliver`] when an answer before it was not produced: nothing more is answered now.
    fn take(&mut self, answer: Outgoing) -> impl Future<Output = Result<(), Redeliver>> + Send;
}

/// Takes every answer.
impl<F: FnMut(Outgoing) + Send> Answers for F {
    async fn take(&mut self, answer: Outgoing) -> Result<(), Redeliver> {
        self(answer);
        Ok(())
    }
}

/// The record is not done: a dependency is unavailable, and the record is to be redelivered.
#[derive(Debug)]
pub struct Redeliver(pub Error);

impl KafkaEndpoint {
    /// The endpoint of this handler for the agent of this name. `scope` tells clusters apart that
    /// share a store: a record's task id is made of the scope and the record's position.
    pub fn new(handler: DefaultRequestHandler, agent: &str, scope: impl Into<Arc<str>>) -> Self {
        let (topics, reply_topics) = (Arc::new(Topics::of(agent)), Arc::default());
        Self {
            handler,
            scope: scope.into(),
            topics,
            reply_topics,
            max_answer: MAX_ANSWER,
            stream_time: STREAM_TIME,
        }
    }

    /// The same endpoint, whose answers may have so many bytes with everything around them: what the
    /// topic of its answers takes (`max.message.bytes`). [`MAX_ANSWER`] by default. What another
    /// topic refuses all the same is replaced by [`refuse`](Self::refuse).
    #[must_use]
    pub fn with_max_answer(mut self, bytes: usize) -> Self {
        self.max_answer = bytes;
        self
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

    /// The same endpoint, whose streams take so long at most, [`STREAM_TIME`] by default: then a
    /// stream ends with the task as it stands, and its reader asks for what follows. A stream holds a
    /// place among the records that are being answered.
    #[must_use]
    pub fn with_stream_time(mut self, time: Duration) -> Self {
        self.stream_time = time;
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

    /// Reads a record: who sent it, what it asks for, and its [`Lane`]. Its credentials are judged here
    /// and once, so that a record that waits is not refused for its wait.
    ///
    /// `owner` is who the transport's own authentication says it is, unless the record's credentials
    /// are to say so. That is decided first: an idempotency key is one of its owner's.
    pub fn read(&self, owner: &Arc<str>, record: Record) -> Incoming {
        let judged = self.judge(owner, &record);
        let mut incoming = Incoming { record, lane: Lane::Unordered, owner: None, read: None };
        let refused = judged.map(|owner| incoming.owner = Some(owner)).err();
        let mut read = Read { refused, ..self.reread(&incoming) };
        if let Some(owner) = &incoming.owner {
            let is_keyed = incoming.record.idempotency_key().is_some();
            incoming.lane = incoming::lane(&mut read, owner, is_keyed);
        }
        incoming.read = Some(read);
        incoming
    }

    /// What a record says, for the owner that was accepted.
    fn reread(&self, Incoming { record, owner, .. }: &Incoming) -> Read {
        Read { request: self.parse(record, owner.as_deref().unwrap_or_default()), refused: None }
    }

    /// Whose request it is: by the broker's time where the record has that, else as of now.
    fn judge(&self, of_transport: &Arc<str>, record: &Record) -> Result<Arc<str>, Error> {
        let time = || match record.broker_time {
            true => Timestamp::from_millis(record.timestamp),
            false => self.handler.now(),
        };
        self.handler.owner(of_transport, record.authorization(), time)
    }

    /// The owner of a record whose credentials have expired since it was recorded: what was recorded
    /// for its caller stands. By the record's own word it came in time; that counts for nothing else.
    async fn recorded_owner(
        &self,
        refused: &Error,
        record: &Record,
    ) -> Result<Option<Arc<str>>, Error> {
        if refused.kind() != ErrorKind::Unauthenticated || record.broker_time {
            return Ok(None);
        }
        let time = || Timestamp::from_millis(record.timestamp);
        let owner = self.handler.owner(&Arc::default(), record.authorization(), time);
        let Ok(owner) = owner else { return Ok(None) };
        let kafka::Request { call, caller, .. } = self.parse(record, &owner);
        let (Ok(call), Some(key)) = (call, caller.key) else { return Ok(None) };
        let recorded = self.handler.is_recorded(&owner, &call, &key).await?;
        Ok(recorded.then_some(owner))
    }

    /// Answers one record: `answers` takes each, in order. A record that cannot be decoded is
    /// answered with an error and is done; one whose answer could not be correlated becomes a
    /// dead letter with the reason.
    ///
    /// `until` is the host's end, such as an invocation's: none where there is none.
    ///
    /// # Errors
    /// [`Redeliver`] when the record is to be redelivered; nothing was answered then, unless a stream
    /// broke off: then its events are told once more from the first.
    pub async fn serve(
        &self,
        incoming: &mut Incoming,
        until: Option<Instant>,
        mut answers: impl Answers,
    ) -> Result<(), Redeliver> {
        let mut read = incoming.read.take().unwrap_or_else(|| self.reread(incoming));
        if let Some(refused) = &read.refused
            && let Some(owner) =
                Box::pin(self.recorded_owner(refused, &incoming.record)).await.map_err(Redeliver)?
        {
            incoming.owner = Some(owner);
            read = self.reread(incoming);
        }
        let Read { request, refused } = read;
        let Incoming { record, owner, .. } = incoming;
        let kafka::Request { form, caller: told, call, reply_to, traceparent } = request;
        let (topic, may_be_answered) = self.reply_topic(record, reply_to);
        let (partition, offset) = (record.partition, record.offset);
        let span = tracing::debug_span!("record", partition, offset, traceparent);
        let owner = owner.clone().unwrap_or_default();
        let state = record.header(header::TRACESTATE);
        let trace = TraceContext::new(traceparent.as_deref(), state);
        let key = record.key.clone().unwrap_or_default();
        let reply_to = Some(ReplyAddress { topic: topic.as_str().into(), key });
        let transport = Some(Arc::from(kafka::BINDING));
        let credentials = record.authorization().and_then(Credentials::new);
        // What stands around an answer has an eighth.
        let page_bytes = Some(self.max_answer - self.max_answer / 8);
        let told = Caller { owner, credentials, page_bytes, at_least_once: true, ..told };
        let caller = Caller { cut: until, trace, transport, reply_to, ..told };
        let extensions = self.active_extensions(&caller);
        let tenant = call.as_ref().ok().and_then(Call::tenant).cloned();
        let (owner, resume) = (Arc::clone(&caller.owner), caller.resume);
        let call = refused.map_or(call, Err).and_then(|call| may_be_answered.map(|()| call));
        let outcome = match call {
            Ok(call) => pin!(self.handler.call(caller, call)).instrument(span).await,
            Err(error) => {
                tracing::warn!(topic = record.topic, partition, offset, %error, "not a request");
                if !record.is_correlated() {
                    return answers.take(self.dead_letter(record, &error, None)).await;
                }
                Err(error)
            }
        };
        match outcome {
            Err(error) if error.is_retriable() => Err(Redeliver(error)),
            Ok(Reply::Events(events)) => {
                let to = (&*topic, &*extensions);
                let asked = Asked { record, form: &form, owner, tenant, resume, to };
                Box::pin(self.tell(asked, events, &mut answers)).await
            }
            outcome => {
                let answer = kafka::answer(record, &form, &outcome);
                let answer = match answer.size() > self.max_answer {
                    true => {
                        let error = too_large(outcome.ok().and_then(task_of_reply));
                        kafka::answer(record, &form, &Err(error))
                    }
                    false => answer,
                };
                answers.take(outgoing(&topic, answer, &extensions)).await
            }
        }
    }

    /// The events of a stream, up to its last, as answers.
    async fn tell(
        &self,
        asked: Asked<'_>,
        mut events: Events,
        answers: &mut impl Answers,
    ) -> Result<(), Redeliver> {
        let Asked { record, form, to: (topic, extensions), .. } = asked;
        let mut until = pin!(tokio::time::sleep(self.stream_time));
        // Where the reader stands: a task that is told after that takes the place of it.
        let (mut told, mut task) = (asked.resume, None);
        loop {
            let item = tokio::select! {
                biased;
                item = events.0.next() => match item {
                    Some(item) => item,
                    None => return Ok(()),
                },
                () = &mut until, if task.is_some() => self.paused(&asked, task.clone(), told).await,
            };
            let item = match item {
                Err(error) if error.is_retriable() => return Err(Redeliver(error)),
                item => item,
            };
            let mut answer = kafka::event_answer(record, form, &item);
            let (cursor, last) = item.as_ref().map_or((None, true), |it| (it.cursor, it.last));
            task = item.as_ref().ok().and_then(task_of_event).or(task);
            if answer.size() > self.max_answer {
                // A stream has one end, so nothing follows.
                let refused = kafka::event_answer(record, form, &Err(too_large(task)));
                return answers.take(outgoing(topic, refused, extensions)).await;
            }
            if item.is_ok_and(|event| restarts(&event, told)) {
                answer = kafka::marked_restart(answer);
            }
            told = cursor.max(told);
            answers.take(outgoing(topic, answer, extensions)).await?;
            if last {
                return Ok(());
            }
        }
    }

    /// The end of a stream whose task goes on: the task as it stands. Its reader resumes after what it
    /// was told.
    async fn paused(
        &self,
        asked: &Asked<'_>,
        task: Option<Arc<str>>,
        told: Option<Cursor>,
    ) -> Result<Event, Error> {
        let (owner, tenant) = (Arc::clone(&asked.owner), asked.tenant.clone());
        let request = GetTaskRequest { id: task.unwrap_or_default(), tenant, history_length: None };
        let caller = Caller { owner, ..Caller::default() };
        match self.handler.call(caller, Call::GetTask(request)).await? {
            Reply::Task(task) => {
                Ok(Event { cursor: told, response: StreamResponse::Task(task), last: true })
            }
            _ => Err(Error::internal("a task was asked for, and something else was answered")),
        }
    }

    /// The answer that a record gets in place of one that cannot be produced. Where that was too
    /// large, it names the task that the record was about.
    pub fn refuse(&self, record: &Record, mut error: Error) -> Outgoing {
        let time = || Timestamp::from_millis(record.timestamp);
        let owner = self.handler.owner(&Arc::default(), record.authorization(), time);
        let kafka::Request { form, reply_to, call, caller, .. } =
            self.parse(record, &owner.unwrap_or_default());
        if error.kind() == ErrorKind::TooLarge
            && let Some(task) = call.ok().and_then(|call| task_of_call(&call, &caller))
            && task.len() <= self.handler.limits().id
            && !error.metadata().iter().any(|(name, _)| name == TASK_ID)
        {
            error = error.with(TASK_ID, &*task);
        }
        let (topic, _) = self.reply_topic(record, reply_to);
        outgoing(&topic, kafka::answer(record, &form, &Err(error)), "")
    }

    /// The answer that a record gets on the agent's own topic, because the one that its client
    /// named takes none; none where the client named no other.
    pub fn refuse_topic(&self, record: &Record) -> Option<Outgoing> {
        let kafka::Request { form, reply_to, .. } = self.parse(record, "");
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

    /// The dead letter of a record, with the reason. `attempts` is how often it was served, where that
    /// is known.
    pub fn dead_letter(&self, record: &Record, error: &Error, attempts: Option<u32>) -> Outgoing {
        let letter = kafka::dead_letter(record, error, attempts);
        outgoing(&self.topics.dead_letter, letter, "")
    }

    fn parse(&self, record: &Record, owner: &str) -> kafka::Request {
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

/// A stream that was asked for.
struct Asked<'a> {
    record: &'a Record,
    form: &'a kafka::Form,
    owner: Arc<str>,
    tenant: Option<Arc<str>>,
    /// The event its reader has seen, by its own word.
    resume: Option<Cursor>,
    /// The topic of its answers, and the extensions that are active.
    to: (&'a str, &'a str),
}

fn outgoing(topic: &str, answer: Answer, extensions: &str) -> Outgoing {
    let Answer { key, value, mut headers } = answer;
    if !extensions.is_empty() {
        headers.push(kafka::header_of(header::EXTENSIONS, extensions.to_owned()));
    }
    Outgoing { topic: topic.to_owned(), key, value, headers }
}
