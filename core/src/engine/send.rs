//! Sending a message: what each kind of send answers.
//!
//! Owns: waiting for the answer, or streaming it. Must never know: which journal a message goes to
//! (that is `turn`'s), how a run records, transports.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream};
use tokio_util::task::TaskTracker;

use super::{
    answer::{Answer, AnswerReceiver, Want},
    follow::{EndsAt, Source, tail_from},
    size,
    state::Engine,
    turn::Turn,
};
use crate::{
    call::{Caller, Event, Events, StreamsEnd},
    error::Error,
    task::admit,
    types::{Message, SendMessageRequest, SendMessageResponse, StreamResponse},
};

impl Engine {
    /// Section 3.1.1.
    pub(crate) async fn send(
        &self,
        caller: &Arc<Caller>,
        request: SendMessageRequest,
    ) -> Result<SendMessageResponse, Error> {
        let configuration = request.configuration.as_ref();
        let history = configuration.and_then(|it| it.history_length);
        let at_once = configuration.is_some_and(|it| it.return_immediately);
        let want = if at_once { Want::Created } else { Want::Settled };
        let mut response = match Box::pin(self.take_turn(caller, request, want)).await? {
            Turn::Started(_, run, answer) => self.drive(run, answer).await?,
            Turn::Recorded(key, slots) => {
                let (mut fold, _) = admit::answered(&key.id, &slots, caller);
                match fold.reply.take() {
                    Some(message) => SendMessageResponse::Message(message),
                    // As it was answered first.
                    None if at_once => {
                        let begun = admit::begun(&key.id, &slots, caller);
                        SendMessageResponse::Task(Box::new(begun.task))
                    }
                    None => SendMessageResponse::Task(Box::new(fold.task)),
                }
            }
        };
        if let SendMessageResponse::Task(task) = &mut response {
            admit::trim_history(task, history);
            size::within(task, self.limits.answer)?;
        }
        Ok(response)
    }

    /// Section 3.1.2: the task first, then each recorded event.
    pub(crate) async fn send_streaming(
        &self,
        caller: &Arc<Caller>,
        request: SendMessageRequest,
    ) -> Result<Events, Error> {
        let open = self.streams.open(&caller.owner, self.limits.streams_per_caller)?;
        let history = request.configuration.as_ref().and_then(|it| it.history_length);
        let ends = EndsAt {
            input_required: true,
            auth_required: caller.streams_end == StreamsEnd::AtRest,
            time: self.ends(caller, Duration::ZERO),
        };
        let (key, mut task, cursor, tail) =
            match Box::pin(self.take_turn(caller, request, Want::Stream)).await? {
                Turn::Started(key, run, answer) => {
                    // A reader may stall; a run may not.
                    self.runs.spawn(run);
                    match answer.await.map_err(|_| lost_run())?? {
                        Answer::Stream { task, cursor, tail } => {
                            let seen = cursor.version;
                            let tail = self.tail_with_takeover(key.clone(), seen, tail, caller);
                            (key, *task, cursor, tail)
                        }
                        Answer::Message(message) => return Ok(only_message(message)),
                        Answer::Task(_) => return Err(lost_run()),
                    }
                }
                Turn::Recorded(key, slots) => {
                    let (mut fold, answered) = admit::answered(&key.id, &slots, caller);
                    if let Some(message) = fold.reply.take() {
                        return Ok(only_message(message));
                    }
                    let begun = admit::begun(&key.id, &slots, caller);
                    // After an event that it has seen, if that is one of its own before the last.
                    let seen = caller.resume.filter(|seen| match answered {
                        true => (begun.cursor..fold.cursor).contains(seen),
                        false => (begun.cursor..=fold.cursor).contains(seen),
                    });
                    if let Some(seen) = seen {
                        let tail = tail_from(&self.store, &key, seen);
                        let tail =
                            self.tail_with_takeover(key.clone(), fold.cursor.version, tail, caller);
                        let source = Source { key, tail, ends, _open: open };
                        return Ok(self.follow(source, seen, false));
                    }
                    let tail = tail_from(&self.store, &key, begun.cursor);
                    let tail =
                        self.tail_with_takeover(key.clone(), begun.cursor.version, tail, caller);
                    (key, begun.task, begun.cursor, tail)
                }
            };
        admit::trim_history(&mut task, history);
        self.events_from(Source { key, tail, ends, _open: open }, task, cursor)
    }

    /// Drives a run until its answer is there. A caller that leaves earlier changes nothing: the
    /// run goes on.
    async fn drive(
        &self,
        run: BoxFuture<'static, ()>,
        mut answer: AnswerReceiver,
    ) -> Result<SendMessageResponse, Error> {
        let mut driven = Driven { run: Some(run), runs: self.runs.clone() };
        let answer = tokio::select! {
            biased;
            answer = &mut answer => answer,
            // It has answered before it ended.
            () = &mut driven => answer.await,
        };
        match answer.map_err(|_| lost_run())?? {
            Answer::Message(message) => Ok(SendMessageResponse::Message(message)),
            Answer::Task(task) | Answer::Stream { task, .. } => Ok(SendMessageResponse::Task(task)),
        }
    }
}

/// A run that its waiter polls, and that goes on by itself once there is none.
struct Driven {
    run: Option<BoxFuture<'static, ()>>,
    runs: TaskTracker,
}

impl Future for Driven {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(run) = &mut self.run else { return Poll::Ready(()) };
        let poll = run.as_mut().poll(context);
        if poll.is_ready() {
            self.run = None;
        }
        poll
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        // Outside of a runtime there is nothing left to run on.
        if let (Some(run), Ok(runtime)) = (self.run.take(), tokio::runtime::Handle::try_current()) {
            self.runs.spawn_on(run, &runtime);
        }
    }
}

fn only_message(message: Arc<Message>) -> Events {
    let response = StreamResponse::Message(message);
    Events(stream::iter([Ok(Event { cursor: None, response, last: true })]).boxed())
}

fn lost_run() -> Error {
    Error::internal("a run ended without an answer")
}
