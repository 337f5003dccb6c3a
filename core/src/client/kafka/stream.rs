//! One stream over Kafka: its events once, in order, to the last, whatever happens on the way.
//!
//! Owns: which events the reader has had, noticing that some are missing, and getting them. Must
//! never know: connections, records.
//!
//! A stream is the journal, read from a cursor. So what is missing is asked for after the last
//! cursor: when the reader was so slow that events had no room, and when the task rests although
//! its last event has not come. Redelivered events are known by their cursor (`reply_queue`).

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, Fuse, FusedFuture},
    stream,
};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    connection::Connection,
    reply_queue::{ReplyQueue, ReplyRecord},
    request::{self, Request},
};
use crate::{
    call::{Call, Event, Events, Reply},
    client::Parameters,
    error::{Error, ErrorKind},
    task::Cursor,
    types::{GetTaskRequest, StreamResponse},
    wire::kafka::client,
};

/// The pause before a stream is continued that its agent ended although the task goes on.
const RESUME_BACKOFF: Duration = Duration::from_millis(200);

/// A stream's reader.
pub(super) struct Reader {
    connection: Connection,
    parameters: Parameters,
    call: Call,
    queue: Arc<ReplyQueue>,
    /// Whose answers are read now.
    request: Request,
    /// Whether it has been answered.
    answered: bool,
    /// The last event the reader has had.
    after: Option<Cursor>,
    /// The task it is about, once that is known.
    task: Option<Arc<str>>,
    /// Where events were asked for although nothing was known to be lost.
    asked_after: Option<Cursor>,
    done: bool,
}

/// Whether a stream ends although its task goes on.
fn is_broken_off(event: &Event) -> bool {
    match &event.response {
        StreamResponse::Task(task) if event.last => {
            let state = task.status.state;
            !state.is_terminal() && !state.is_interrupted()
        }
        _ => false,
    }
}

/// A question for the task's state that may be under way.
type StateQuery = Fuse<BoxFuture<'static, Result<Reply, Error>>>;

impl Reader {
    /// Asks for a stream and answers it once its first event is there.
    ///
    /// # Errors
    /// The agent's refusal, or why there is none.
    pub(super) async fn open(
        connection: Connection,
        mut parameters: Parameters,
        call: Call,
    ) -> Result<Events, Error> {
        let queue = Arc::new(ReplyQueue::after(parameters.resume));
        let request = Request::open(&connection, &queue, &parameters, &call)?;
        // It may be asked for again under another correlation id.
        parameters.idempotency_key.get_or_insert_with(|| request.id().into());
        let after = parameters.resume;
        let task = match &call {
            Call::SubscribeToTask(request) => Some(Arc::clone(&request.id)),
            _ => None,
        };
        let mut reader = Self {
            connection,
            parameters,
            call,
            queue,
            request,
            answered: false,
            after,
            task,
            asked_after: None,
            done: false,
        };
        let Some(first) = reader.next().await.transpose()? else {
            let sentence = "The agent's stream has no event.";
            return Err(Error::new(ErrorKind::InvalidAgentResponse, sentence));
        };
        let rest =
            stream::unfold(
                reader,
                |mut reader| async move { Some((reader.next().await?, reader)) },
            );
        Ok(Events(stream::iter([Ok(first)]).chain(rest).boxed()))
    }

    /// The next event; an error is the last item, and after the last there is none.
    async fn next(&mut self) -> Option<Result<Event, Error>> {
        if self.done {
            return None;
        }
        let item = self.event().await.transpose();
        self.done = !matches!(item, Some(Ok(Event { last: false, .. })));
        item
    }

    /// None where the last one is of a kind that is not known here.
    async fn event(&mut self) -> Result<Option<Event>, Error> {
        let (interval, timeout) =
            (self.connection.interval(&self.parameters), self.parameters.timeout);
        // Only silence while somebody listens counts.
        let mut heard = Instant::now();
        let mut ask_at = heard + interval / 2;
        let mut query = StateQuery::terminated();
        loop {
            let waits = !self.answered;
            tokio::select! {
                biased;
                reply = self.queue.next() => match reply {
                    Some(reply) => {
                        let Some(event) = self.read(&reply)? else {
                            if reply.headers.last {
                                return Ok(None);
                            }
                            heard = Instant::now();
                            continue;
                        };
                        if !is_broken_off(&event) {
                            return Ok(Some(event));
                        }
                        // What an agent may do with a stream that lasts.
                        sleep(RESUME_BACKOFF).await;
                        self.resume()?;
                        heard = Instant::now();
                    }
                    None => self.resume()?,
                },
                error = self.request.send(), if waits => return Err(error),
                answer = &mut query => {
                    ask_at = Instant::now() + interval / 2;
                    if self.heed(answer)? {
                        heard = Instant::now();
                        self.request.postpone();
                    }
                }
                () = sleep_until(ask_at), if self.task.is_some() && query.is_terminated() => {
                    query = self.query_state(interval);
                }
                () = sleep_until(heard + timeout) => return Err(self.request.gave_up(timeout)),
            }
        }
    }

    /// The event of an answer; none of a kind that is not known here.
    fn read(&mut self, reply: &ReplyRecord) -> Result<Option<Event>, Error> {
        self.connection.heard(reply);
        if reply.id == self.request.correlation_id() {
            self.answered = true;
            self.request.answered();
        }
        let id = reply.id.to_string();
        let event = client::decode_event(&id, reply.headers, &reply.value)?;
        self.after = reply.headers.cursor.max(self.after);
        let Some(event) = event else { return Ok(None) };
        self.task = match &event.response {
            StreamResponse::Task(task) => Some(Arc::clone(&task.id)),
            StreamResponse::StatusUpdate(event) => Some(Arc::clone(&event.task_id)),
            StreamResponse::ArtifactUpdate(event) => Some(Arc::clone(&event.task_id)),
            StreamResponse::Message(_) => self.task.take(),
        };
        Ok(Some(event))
    }

    /// Asks for what comes after the last event: under a new correlation id, as what is under way
    /// under the old one may have a gap before it, but under the same idempotency key. An agent
    /// that begins with the first event all the same is understood: each is known by its cursor.
    fn resume(&mut self) -> Result<(), Error> {
        self.parameters.resume = self.after;
        self.request = Request::open(&self.connection, &self.queue, &self.parameters, &self.call)?;
        self.answered = false;
        Ok(())
    }

    /// Asks how the task is, so that an agent that thinks is told from one that is gone.
    fn query_state(&self, timeout: Duration) -> StateQuery {
        let Some(task) = &self.task else { return StateQuery::terminated() };
        let request = GetTaskRequest {
            tenant: self.call.tenant().cloned(),
            id: Arc::clone(task),
            history_length: Some(0),
        };
        let mut parameters = self.parameters.clone();
        (parameters.timeout, parameters.resume) = (timeout, None);
        let connection = self.connection.clone();
        let call = Call::GetTask(request);
        async move { request::unary(&connection, &parameters, &call).await }.boxed().fuse()
    }

    /// Answers whether that was a sign of life. A task that rests has no more events to wait for:
    /// those that have not come are asked for, once.
    fn heed(&mut self, answer: Result<Reply, Error>) -> Result<bool, Error> {
        use ErrorKind::{DeadlineExceeded, Unavailable};
        let state = match answer {
            Ok(Reply::Task(task)) => task.status.state,
            Ok(_) => return Ok(true),
            Err(error) => return Ok(!matches!(error.kind(), DeadlineExceeded | Unavailable)),
        };
        let rests = state.is_terminal() || state.is_interrupted();
        if rests && self.asked_after != self.after {
            self.asked_after = self.after;
            self.resume()?;
            return Ok(true);
        }
        Ok(!state.is_terminal())
    }
}
