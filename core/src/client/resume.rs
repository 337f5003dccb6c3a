//! Streams that are continued where they broke off.
//!
//! Owns: how the rest of a broken stream is come by, and that no event is read twice. Must never
//! know: which failure is a break (`failure`), bytes.
//!
//! A stream that breaks off before its last event is continued by a subscription to its task, after
//! the last event that had an id. Where an agent gives no ids, the subscription begins with the task
//! as it stands, which tells all that was missed; and so does the task itself, where it has ended
//! and has no more subscriptions.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use super::{
    Parameters, Transport,
    failure::{backoff, ends_stream, is_break, may_retry},
};
use crate::{
    call::{Call, Event, Events, Reply},
    error::{Error, ErrorKind},
    task::Cursor,
    types::{GetTaskRequest, StreamResponse, SubscribeToTaskRequest, TaskState},
};

/// The whole stream that the call asked for, of which these events are the beginning.
pub(super) fn continued(
    transport: Arc<dyn Transport>,
    parameters: Parameters,
    call: Call,
    events: Events,
) -> Events {
    let cursor = parameters.resume;
    let task = match &call {
        Call::SubscribeToTask(request) => Some(Arc::clone(&request.id)),
        _ => None,
    };
    let reading = Reading {
        transport,
        parameters,
        call,
        events,
        task,
        cursor,
        state: TaskState::Unspecified,
        resumed: false,
        tries: 0,
    };
    let items = stream::unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        let item = reading.next().await?;
        let goes_on = matches!(item, Ok(Event { last: false, .. }));
        Some((item, goes_on.then_some(reading)))
    });
    Events(items.boxed())
}

struct Reading {
    transport: Arc<dyn Transport>,
    parameters: Parameters,
    call: Call,
    events: Events,
    /// The task, once it is known.
    task: Option<Arc<str>>,
    /// The last event that had an id.
    cursor: Option<Cursor>,
    /// The task's last known state.
    state: TaskState,
    resumed: bool,
    /// How often it was tried to continue since there was news.
    tries: u32,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Event, Error>> {
        loop {
            let why = match self.events.0.next().await {
                Some(Ok(event)) if self.is_known(&event) => continue,
                Some(Ok(event)) => return Some(Ok(self.noted(event))),
                Some(Err(error)) if is_break(&error) => error,
                Some(Err(error)) => return Some(Err(error)),
                None if self.is_at_rest() => return None,
                None => Error::new(
                    ErrorKind::Unavailable,
                    "The agent's stream ended before its task did.",
                ),
            };
            match self.reopened(why).await {
                Ok(events) => self.events = events,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn is_known(&self, event: &Event) -> bool {
        matches!((event.cursor, self.cursor), (Some(new), Some(known)) if new <= known)
    }

    fn noted(&mut self, mut event: Event) -> Event {
        let of_send = matches!(self.call, Call::SendStreamingMessage(_));
        event.last |= ends_stream(of_send, &event.response);
        match &event.response {
            StreamResponse::Task(task) => {
                self.task = Some(Arc::clone(&task.id));
                self.state = task.status.state;
                // Before it was continued, a stream may begin with what the message found.
                let asks = self.state == TaskState::InputRequired;
                event.last |= of_send && self.resumed && asks;
            }
            StreamResponse::StatusUpdate(update) => {
                self.task = Some(Arc::clone(&update.task_id));
                self.state = update.status.state;
                self.tries = 0;
            }
            StreamResponse::ArtifactUpdate(update) => {
                self.task = Some(Arc::clone(&update.task_id));
                self.tries = 0;
            }
            StreamResponse::Message(_) => {}
        }
        self.cursor = event.cursor.or(self.cursor);
        event
    }

    /// Whether nothing need follow where the agent ends the stream.
    fn is_at_rest(&self) -> bool {
        matches!(self.state, TaskState::InputRequired | TaskState::AuthRequired)
    }

    /// The rest of the stream, or why there is none.
    async fn reopened(&mut self, mut why: Error) -> Result<Events, Error> {
        loop {
            self.tries += 1;
            let unknown = self.task.is_none();
            if self.tries >= self.parameters.tries
                || (unknown && !may_retry(&self.parameters, &self.call, &why))
            {
                return Err(why);
            }
            tracing::debug!(error = %why, tries = self.tries, "a stream is continued");
            tokio::time::sleep(backoff(self.tries)).await;
            match self.rest().await {
                Err(error) if is_break(&error) => why = error,
                outcome => {
                    self.resumed = true;
                    return outcome;
                }
            }
        }
    }

    async fn rest(&mut self) -> Result<Events, Error> {
        let (transport, parameters) = (Arc::clone(&self.transport), self.parameters.clone());
        let Some(id) = self.task.clone() else {
            return asked(&*transport, &parameters, self.call.clone()).await;
        };
        let tenant = self.call.tenant().cloned();
        let subscribe = SubscribeToTaskRequest { tenant: tenant.clone(), id: Arc::clone(&id) };
        let after = Parameters { resume: self.cursor, ..parameters.clone() };
        match asked(&*transport, &after, Call::SubscribeToTask(subscribe)).await {
            // It has ended, or is not to be followed.
            Err(error) if error.kind() == ErrorKind::UnsupportedOperation => {
                let get = GetTaskRequest { tenant, id, history_length: None };
                asked(&*transport, &parameters, Call::GetTask(get)).await
            }
            outcome => outcome,
        }
    }
}

/// What a call answers as a stream.
async fn asked(
    transport: &dyn Transport,
    parameters: &Parameters,
    call: Call,
) -> Result<Events, Error> {
    match transport.call(parameters, call).await? {
        Reply::Events(events) => Ok(events),
        Reply::Task(task) => {
            let event = Event { cursor: None, response: StreamResponse::Task(task), last: false };
            Ok(Events(stream::iter([Ok(event)]).boxed()))
        }
        _ => Err(super::another_kind()),
    }
}
