//! The executor's end of its one channel.
//!
//! Owns: the verbs an agent speaks in. Must never know: what becomes of
//! an event (the run loop records it), the store, the transports.

use std::{fmt, sync::Arc};

use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use super::scope::{Emitted, Scope};
use crate::{
    error::AgentError,
    task::{Entry, Step},
    types::{Artifact, Json, Message, Part, TaskArtifactUpdateEvent, TaskState},
};

/// Where an agent's events go. Every verb waits while the queue is full, so an agent is never
/// faster than the store for long, and answers [`Stopped`] once its task takes no more events:
/// `?` then ends the agent.
///
/// ```no_run
/// # use a2a_core::{Artifact, EventQueue, Part, Stopped};
/// # async fn work(queue: EventQueue) -> Result<(), Stopped> {
/// queue.working("Counting...").await?;
/// queue.artifact(Artifact::new("count", vec![Part::text("one, ")])).await?;
/// queue.last("count", "two").await?;
/// queue.complete(()).await
/// # }
/// ```
#[derive(Clone)]
pub struct EventQueue {
    sender: mpsc::Sender<Emitted>,
    scope: Arc<Scope>,
}

const NOT_VALID: &str = "The agent's answer was not valid.";

/// The task no longer takes events: it has ended, was canceled, or another runner has taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task no longer takes events")]
pub struct Stopped;

impl From<Stopped> for AgentError {
    fn from(stopped: Stopped) -> Self {
        Self::stopped(stopped.to_string())
    }
}

/// What an agent says: a text, parts, or `()` for nothing.
#[derive(Clone, Debug, Default)]
pub struct Content(Vec<Part>);

impl From<()> for Content {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Part::text(text).into()
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Part::text(text).into()
    }
}

impl From<Part> for Content {
    fn from(part: Part) -> Self {
        Self(vec![part])
    }
}

impl From<Vec<Part>> for Content {
    fn from(parts: Vec<Part>) -> Self {
        Self(parts)
    }
}

impl EventQueue {
    /// A queue that holds at most `bound` events, and where they come out.
    pub(crate) fn new(scope: Scope, bound: usize) -> (Self, mpsc::Receiver<Emitted>) {
        let (sender, receiver) = mpsc::channel(bound);
        (Self { sender, scope: Arc::new(scope) }, receiver)
    }

    /// The agent is at work.
    ///
    /// # Errors
    /// [`Stopped`] when the task no longer takes events; so with every verb.
    pub async fn working(&self, content: impl Into<Content>) -> Result<(), Stopped> {
        self.status(TaskState::Working, content.into()).await
    }

    /// The agent needs an answer of its client's to go on. The work on this message ends; the
    /// answer comes as a new message.
    ///
    /// # Errors
    /// [`Stopped`] when the task no longer takes events.
    pub async fn require_input(&self, content: impl Into<Content>) -> Result<(), Stopped> {
        self.status(TaskState::InputRequired, content.into()).await
    }

    /// The agent needs an authorisation, which is given outside of the protocol (specification
    /// section 7.6). It may wait for it and go on, or return: then the client's next message
    /// continues.
    ///
    /// # Errors
    /// [`Stopped`] when the task no longer takes events.
    pub async fn require_auth(&self, content: impl Into<Content>) -> Result<(), Stopped> {
        self.status(TaskState::AuthRequired, content.into()).await
    }

    /// The task has ended well.
    ///
    /// # Errors
    /// [`Stopped`] when the task no longer takes events.
    pub async fn complete(&self, content: impl Into<Content>) -> Result<(), Stopped> {
        self.status(TaskState::Completed, content.into()).await
    }

    /// The task has ended badly, and this is why.
    ///
    /// # Errors
    /// [`Stopped`] when the task no longer takes events.
    pub async fn fail(&self, content: impl Into<Content>) -> Result<(), Stopped> {
        self.status(TaskState::Failed, content.into()).await
    }

    /// The agent will not do this, and this is why.
    ///
    /// # Errors
    /// [`Stopped`] when the task no longer takes events.
    pub async fn reject(&self, content: impl Into<Content>) -> Result<(), Stopped> {
        self.status(TaskState::Rejected, content.into()).await
    }

    /// Answers without a task, which must be the agent's first and only event. In a task that is
    /// there already it completes the task with that message.
    ///
    /// # Errors
    /// [`Stopped`] when the task no longer takes events.
    pub async fn reply(&self, content: impl Into<Content>) -> Result<(), Stopped> {
        let Content(parts) = content.into();
        if parts.is_empty() {
            return self.refuse("a reply without any part").await;
        }
        self.emit(Entry::Replied(Arc::new(self.message(parts, false)))).await
    }

    /// Makes an artifact, or replaces the one of that id.
    ///
    /// # Errors
    /// [`Stopped`] when the task no longer takes events.
    pub async fn artifact(&self, artifact: Artifact) -> Result<(), Stopped> {
        self.artifact_event(artifact, false, false).await
    }

    /// Adds parts to an artifact.
    ///
    /// # Errors
    /// [`Stopped`] when the task no longer takes events.
    pub async fn append(
        &self,
        artifact_id: impl Into<Arc<str>>,
        content: impl Into<Content>,
    ) -> Result<(), Stopped> {
        self.artifact_event(Artifact::new(artifact_id, content.into().0), true, false).await
    }

    /// Adds the last parts to an artifact.
    ///
    /// # Errors
    /// [`Stopped`] when the task no longer takes events.
    pub async fn last(
        &self,
        artifact_id: impl Into<Arc<str>>,
        content: impl Into<Content>,
    ) -> Result<(), Stopped> {
        self.artifact_event(Artifact::new(artifact_id, content.into().0), true, true).await
    }

    async fn artifact_event(
        &self,
        artifact: Artifact,
        append: bool,
        last_chunk: bool,
    ) -> Result<(), Stopped> {
        if artifact.artifact_id.is_empty() || artifact.parts.is_empty() {
            return self.refuse("an artifact without an id or without any part").await;
        }
        let (length, most) = (artifact.artifact_id.len(), self.scope.max_id);
        if length > most {
            return self.too_large("an artifact's id", length, most).await;
        }
        let event = TaskArtifactUpdateEvent {
            task_id: Arc::clone(&self.scope.task_id),
            context_id: Arc::clone(&self.scope.context_id),
            artifact,
            append,
            last_chunk,
            metadata: None,
        };
        self.emit(Entry::Artifact(Arc::new(event))).await
    }

    async fn status(&self, state: TaskState, Content(parts): Content) -> Result<(), Stopped> {
        let message = (!parts.is_empty()).then(|| self.message(parts, true));
        self.emit(self.scope.status(state, message)).await
    }

    fn message(&self, parts: Vec<Part>, of_task: bool) -> Message {
        self.scope.message(parts, of_task)
    }

    async fn emit(&self, entry: Entry) -> Result<(), Stopped> {
        let weight = entry.weight();
        if weight > self.scope.max_entry {
            return self.too_large("an event", weight, self.scope.max_entry).await;
        }
        self.send(Emitted::Entry(entry, self.scope.enclosing())).await
    }

    async fn send(&self, emitted: Emitted) -> Result<(), Stopped> {
        let emitted = match self.sender.try_send(emitted) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return self.stopped().await,
            Err(TrySendError::Full(emitted)) => emitted,
        };
        // Boxed, so that an agent whose events there is room for stays small.
        match Box::pin(self.sender.send(emitted)).await {
            Ok(()) => Ok(()),
            Err(_) => self.stopped().await,
        }
    }

    /// What its events share.
    pub(crate) fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// Records that a step is done, and returns once it is.
    pub(crate) async fn record(&self, name: Arc<str>, value: Json) -> Result<(), AgentError> {
        let step = Step { name, value, at: self.scope.env.now() };
        let weight = step.weight();
        if weight > self.scope.max_entry {
            let why = format!("the value of the step {:?} has {weight} bytes", step.name);
            let told = too_large("a step's value", weight, self.scope.max_entry);
            return Err(told.with_source(why));
        }
        let (sender, recorded) = oneshot::channel();
        self.send(Emitted::Step(step, sender)).await?;
        Ok(recorded.await.map_err(|_| Stopped)?)
    }

    /// Tells once more, as of now, what an earlier attempt told inside a step.
    pub(crate) async fn tell_again(&self, entry: Entry) -> Result<(), Stopped> {
        let entry = match entry {
            Entry::Status(event) => {
                let mut event = Arc::unwrap_or_clone(event);
                event.status.timestamp = Some(self.scope.env.now());
                Entry::Status(Arc::new(event))
            }
            entry => entry,
        };
        self.emit(entry).await
    }

    /// An agent that goes on in spite of it must not keep the thread to itself.
    async fn stopped(&self) -> Result<(), Stopped> {
        tokio::task::yield_now().await;
        Err(Stopped)
    }

    async fn refuse(&self, why: &str) -> Result<(), Stopped> {
        self.fail_with(AgentError::new(NOT_VALID).with_source(why.to_owned())).await
    }

    async fn too_large(&self, what: &str, bytes: usize, most: usize) -> Result<(), Stopped> {
        self.fail_with(too_large(what, bytes, most)).await
    }

    async fn fail_with(&self, error: AgentError) -> Result<(), Stopped> {
        // The run fails with it, so there is nothing to go on with.
        let _ = Box::pin(self.sender.send(Emitted::Refused(error))).await;
        self.stopped().await
    }

    /// Tells the run loop how the executor ended; which may have gone by then.
    pub(crate) async fn returned(&self, outcome: Result<(), AgentError>) {
        let _ = self.sender.send(Emitted::Returned(outcome)).await;
    }
}

fn too_large(what: &str, bytes: usize, most: usize) -> AgentError {
    AgentError::new(format!(
        "The agent's answer was too large: {what} of {bytes} bytes, and the limit is {most}."
    ))
}

impl fmt::Debug for EventQueue {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("EventQueue")
            .field("task_id", &self.scope.task_id)
            .finish_non_exhaustive()
    }
}
