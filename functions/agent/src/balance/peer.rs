//! One question to the peer.
//!
//! Owns: that a question is asked once, however often this agent is run for it; that the peer's task
//! is recorded in this agent's own, where any instance finds it again; and what came of it. Must
//! never know: what a question means.
//!
//! The record is the artifact that tells of the question: its metadata names the peer's task. It is
//! there as soon as the peer has told its task's id.

use std::{sync::Arc, time::Duration};

use a2a_core::{
    AgentError, Artifact, Error, Event, EventQueue, Events, Message, Metadata, Part, PartContent,
    SendMessageRequest, Stopped, StreamResponse, Task, TaskArtifactUpdateEvent, TaskState,
    TaskStatus,
    client::Client,
    types::{CancelTaskRequest, GetTaskRequest, ListTasksRequest},
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// The name of the agent that is asked.
pub const PEER: &str = "data";

/// Under which key an artifact's metadata names the peer's task.
pub(super) const PEER_TASK: &str = "urn:a2a-serverless:peer-task:v1";

/// How long a question that nobody has heard of is waited for, to be canceled.
const ON_ITS_WAY: Duration = Duration::from_secs(3);

/// A question, as it goes to the peer.
pub(super) struct Asked {
    /// The artifact that tells of it.
    pub(super) artifact: String,
    /// What that artifact says first.
    pub(super) heading: String,
    /// A name for it that is the same each time this agent is run for the same message: what the
    /// peer is sent again under it, it does once.
    pub(super) key: String,
    /// The question itself.
    pub(super) parts: Vec<Part>,
    /// What the peer makes is this agent's answer, and not just its thinking.
    pub(super) passed_on: bool,
}

/// What came of a question.
pub(super) enum Answer {
    /// All that the peer made, and its last word.
    Done(Vec<Part>, Vec<Part>),
    /// The peer needs an answer or an authorisation first, and asks for it so.
    Waits(TaskState, Vec<Part>),
    /// There is no answer; why, in a sentence of the peer's or about it.
    None(String),
}

/// The id of the peer's task that this artifact tells of.
pub(super) fn task_of(artifact: &Artifact) -> Option<String> {
    let metadata = artifact.metadata.as_ref()?.json().to::<Value>().ok()?;
    Some(metadata.get(PEER_TASK)?.get("task")?.as_str()?.to_owned())
}

/// Ends the peer's work on that task, if it still does any.
pub(super) async fn cancel(peer: &Client, task: String) -> Result<(), Error> {
    let request = GetTaskRequest { id: task.as_str().into(), ..GetTaskRequest::default() };
    if peer.get(request).await?.status.state.is_terminal() {
        return Ok(());
    }
    let request = CancelTaskRequest { id: task.into(), ..CancelTaskRequest::default() };
    peer.cancel(request).await.map(drop)
}

/// Ends the peer's work on the questions of these keys, of which it has not told a task: they are on
/// their way to it, or its first word on the way back. So it is looked for what comes of them, for a
/// while: a task in this conversation with a message that is called after the key.
pub(super) async fn cancel_asked(peer: &Client, mut keys: Vec<String>) -> Result<(), Error> {
    let (until, mut pause) = (Instant::now() + ON_ITS_WAY, Duration::from_millis(20));
    while !keys.is_empty() {
        for task in peer.list(ListTasksRequest::default()).await?.tasks {
            let is_of = |key: &String| task.history.iter().any(|it| *it.message_id == **key);
            if let Some(place) = keys.iter().position(is_of) {
                keys.swap_remove(place);
                cancel(peer, task.id.to_string()).await?;
            }
        }
        if keys.is_empty() || Instant::now() + pause > until {
            break;
        }
        sleep(pause).await;
        pause *= 2;
    }
    Ok(())
}

impl Asked {
    /// Asks, and follows what comes of it into this agent's own task. `known` is the peer's task
    /// where this is an answer to it.
    pub(super) async fn ask(
        self,
        peer: &Client,
        known: Option<String>,
        queue: &EventQueue,
    ) -> Result<Answer, Stopped> {
        queue.artifact(self.told(known.as_deref())).await?;
        let task = known.as_deref().map(Arc::from);
        let following = Following { asked: &self, queue, task, made: Vec::new() };
        match self.begin(peer, known).await {
            Ok(events) => following.events(events).await,
            Err(error) => Ok(Answer::None(error.to_string())),
        }
    }

    async fn begin(&self, peer: &Client, known: Option<String>) -> Result<Events, Error> {
        if let Some(known) = &known {
            let request = GetTaskRequest { id: known.as_str().into(), ..Default::default() };
            let task = peer.get(request).await?;
            // It needed no answer, or has it from an earlier run of ours.
            if task.status.state.is_terminal() {
                let response = StreamResponse::Task(task.into());
                let event = Event { cursor: None, response, last: true };
                return Ok(Events(stream::iter([Ok(event)]).boxed()));
            }
        }
        let message = Message {
            task_id: known.map(Arc::from),
            ..Message::user(self.key.as_str(), self.parts.clone())
        };
        let request = SendMessageRequest { message, ..SendMessageRequest::default() };
        let peer = peer.clone().with_idempotency_key(self.key.as_str());
        peer.stream(request).await
    }

    /// The artifact that tells of this question.
    fn told(&self, task: Option<&str>) -> Artifact {
        let mut artifact = Artifact::new(&*self.artifact, vec![Part::text(&*self.heading)]);
        // A text in an object is always an object.
        artifact.metadata =
            task.and_then(|task| Metadata::new(&json!({ PEER_TASK: { "task": task } })).ok());
        artifact.named("Thinking")
    }
}

/// Following one answer.
struct Following<'a> {
    asked: &'a Asked,
    queue: &'a EventQueue,
    /// The peer's task, once it is recorded.
    task: Option<Arc<str>>,
    made: Vec<Part>,
}

impl Following<'_> {
    async fn events(mut self, mut events: Events) -> Result<Answer, Stopped> {
        while let Some(event) = events.0.next().await {
            let answer = match event.map(|event| event.response) {
                Err(error) => Some(Answer::None(error.to_string())),
                Ok(StreamResponse::Message(message)) => {
                    Some(Answer::Done(Vec::new(), message.parts.clone()))
                }
                Ok(StreamResponse::Task(task)) => self.task(&task).await?,
                Ok(StreamResponse::StatusUpdate(update)) => self.status(&update.status).await?,
                Ok(StreamResponse::ArtifactUpdate(update)) => {
                    self.artifact(&update).await?;
                    None
                }
            };
            if let Some(answer) = answer {
                return Ok(answer);
            }
        }
        Ok(Answer::None("Its answer broke off.".to_owned()))
    }

    /// The task as it stands: of one that was begun before, all there is already.
    async fn task(&mut self, task: &Task) -> Result<Option<Answer>, Stopped> {
        if self.task.as_ref() != Some(&task.id) {
            self.task = Some(Arc::clone(&task.id));
            self.queue.artifact(self.asked.told(Some(&task.id))).await?;
        }
        for artifact in &task.artifacts {
            let update =
                TaskArtifactUpdateEvent { artifact: artifact.clone(), ..Default::default() };
            self.artifact(&update).await?;
        }
        self.status(&task.status).await
    }

    async fn status(&self, status: &TaskStatus) -> Result<Option<Answer>, Stopped> {
        let said = status.message.as_ref().map_or_else(Vec::new, |it| it.parts.clone());
        Ok(match status.state {
            TaskState::Completed => Some(Answer::Done(self.made.clone(), said)),
            state if state.is_interrupted() => Some(Answer::Waits(state, said)),
            state if state.is_terminal() => {
                let said = Vec::from_iter(said.iter().filter_map(Part::as_text)).join(" ");
                let said = Some(said).filter(|said| !said.is_empty());
                Some(Answer::None(said.unwrap_or_else(|| format!("Its task is {}.", state.name()))))
            }
            _ => {
                self.thinking(&said).await?;
                None
            }
        })
    }

    /// What the peer makes: our answer, or something to judge by, or its thinking.
    async fn artifact(&mut self, update: &TaskArtifactUpdateEvent) -> Result<(), Stopped> {
        let artifact = &update.artifact;
        self.made.extend(artifact.parts.iter().cloned());
        let data = |part: &Part| matches!(part.content, PartContent::Data(_));
        if self.asked.passed_on {
            let (id, parts) = (&*artifact.artifact_id, artifact.parts.clone());
            return match (update.append, update.last_chunk) {
                (true, true) => self.queue.last(id, parts).await,
                (true, false) => self.queue.append(id, parts).await,
                (false, _) => self.queue.artifact(artifact.clone()).await,
            };
        }
        match artifact.parts.iter().any(data) {
            true => Ok(()),
            false => self.thinking(&artifact.parts).await,
        }
    }

    async fn thinking(&self, parts: &[Part]) -> Result<(), Stopped> {
        match parts {
            [] => Ok(()),
            parts => self.queue.append(&*self.asked.artifact, parts.to_vec()).await,
        }
    }
}

/// The sentence for a peer's task that could not be canceled.
pub(super) fn not_canceled(error: Error) -> AgentError {
    AgentError::new("The other agent's work could not be canceled.").with_source(error)
}
