//! What is recorded.
//!
//! Owns: the entries, and what each ends. Must never know: what they make of a task.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::{
    call::{ReplyAddress, TraceContext},
    types::{
        Json, Message, Metadata, SendMessageConfiguration, TaskArtifactUpdateEvent, TaskState,
        TaskStatusUpdateEvent, Timestamp,
    },
};

/// One recorded fact. As it is stored it is an object with one member, whose name is its kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Entry {
    /// A message was admitted; the first one makes the task. Boxed: it would be the largest by far.
    Submitted(Box<Submitted>),
    /// A runner began to work on the newest message.
    Started(Started),
    /// The state changed.
    Status(Arc<TaskStatusUpdateEvent>),
    /// An artifact was made or grew.
    Artifact(Arc<TaskArtifactUpdateEvent>),
    /// The message was answered without a task: what stands before in this journal is no task.
    Replied(Arc<Message>),
    /// A runner is at work, although it has had nothing to record for a while.
    Heartbeat(Heartbeat),
    /// The request's key, after which this journal is called, stands for a message to another
    /// task: there is no task here.
    KeyUsed(KeyUsed),
    /// A runner's host stopped before the work was done, which is nobody's fault: the next attempt may
    /// begin at once.
    Released(Released),
    /// A request canceled the task: the status that stands behind it in the same append.
    CancelRequested(CancelRequested),
    /// A step of the work on the newest message is done.
    Step(Step),
    /// Inside which steps the entries behind it in the same append were told.
    Within(Within),
    /// Of a kind that a newer build records, and this one does not know: it is kept and passed over.
    #[serde(untagged)]
    Unknown(Unknown),
}

impl Entry {
    /// Whether the head changes with it.
    pub fn changes_head(&self) -> bool {
        match self {
            Self::Submitted(_) | Self::Status(_) | Self::Replied(_) | Self::KeyUsed(_) => true,
            // No host has it any more.
            Self::Released(_) => true,
            // What the attempt before it recorded is taken back.
            Self::Started(started) => started.attempt > 1,
            Self::Artifact(_)
            | Self::Heartbeat(_)
            | Self::CancelRequested(_)
            | Self::Step(_)
            | Self::Within(_)
            | Self::Unknown(_) => false,
        }
    }

    /// Whether a task's history is told by it.
    pub(super) fn tells_history(&self) -> bool {
        match self {
            Self::Submitted(_) | Self::Replied(_) => true,
            // What the attempt before it said is taken back.
            Self::Started(started) => started.attempt > 1,
            entry => entry.status_message().is_some(),
        }
    }

    /// The message of the status that it sets, if it sets one.
    pub(crate) fn status_message(&self) -> Option<&Arc<Message>> {
        if let Self::Status(event) = self { event.status.message.as_ref() } else { None }
    }

    /// Whether anybody but a runner hears of it: what is only the runner's own makes no task.
    pub(crate) fn is_told(&self) -> bool {
        !matches!(self, Self::Heartbeat(_) | Self::Released(_) | Self::Step(_) | Self::Within(_))
    }

    /// Whether the work on the newest message ends with it.
    pub fn ends_run(&self) -> bool {
        match self {
            Self::Status(event) => ends_run(event.status.state),
            Self::Replied(_) => true,
            _ => false,
        }
    }
}

/// After AUTH_REQUIRED the agent may go on by itself (specification section 7.6); the rest are ends
/// of a run.
pub(super) fn ends_run(state: TaskState) -> bool {
    state.is_terminal() || state == TaskState::InputRequired
}

/// A message, and what is to be known about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Submitted {
    /// The message, with its task's and context's ids filled in.
    pub message: Arc<Message>,
    /// The request's key, by which a redelivery of it is recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Arc<str>>,
    /// How the answer is wanted, for the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Arc<SendMessageConfiguration>>,
    /// The request's own metadata, for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Until when the client waits for the answer, for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The extensions that the caller knows, for the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Arc<str>>,
    /// The distributed trace that the request is part of, for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// The protocol binding that the request came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<Arc<str>>,
    /// Where it is answered, for whoever goes on after the one who was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ReplyAddress>,
    /// When.
    pub at: Timestamp,
}

impl Submitted {
    /// A message alone.
    pub fn new(message: Arc<Message>, at: Timestamp) -> Self {
        Self {
            message,
            request: None,
            configuration: None,
            metadata: None,
            expires: None,
            extensions: Vec::new(),
            trace: None,
            transport: None,
            reply_to: None,
            at,
        }
    }
}

impl From<Submitted> for Entry {
    fn from(submitted: Submitted) -> Self {
        Self::Submitted(Box::new(submitted))
    }
}

/// An attempt has started: its runner holds the lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// Whose: unique, so that two attempts that start at the same instant differ.
    pub runner: Arc<str>,
    /// The process that it runs in, by a name that no other has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Arc<str>>,
    /// 1 at first; more when an earlier runner died or was fenced off. What earlier attempts at
    /// the same message recorded no longer counts.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
}

/// Which request a cancel was, so that a redelivery of it is answered as the first one was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CancelRequested {
    /// The request's key.
    pub request: Arc<str>,
}

/// Renews the lease: a runner that records nothing for [`Limits::lease`](crate::Limits::lease)
/// counts as dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Whose.
    pub runner: Arc<str>,
    /// When.
    pub at: Timestamp,
}

/// Ends an attempt without an outcome: whoever looks may begin the next one, without waiting for the
/// lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Released {
    /// Whose.
    pub runner: Arc<str>,
    /// When.
    pub at: Timestamp,
}

/// A step is done: no later attempt at the same message does it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The name that the agent's author gave it; from the second of a name on, numbered.
    pub name: Arc<str>,
    /// What it came to.
    pub value: Json,
    /// When.
    pub at: Timestamp,
}

/// Inside which steps something was told: with them it is told again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Within {
    /// Their names, the innermost last; none for what stands in no step.
    pub steps: Vec<Arc<str>>,
}

/// An entry whose kind is not known here.
#[derive(Clone, Debug, PartialEq)]
pub struct Unknown {
    /// Its kind.
    pub kind: Arc<str>,
    /// What it holds.
    pub content: Json,
}

impl Serialize for Unknown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(&self.kind, &self.content)])
    }
}

/// Where a request's key was used, if not for a new task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyUsed {
    /// The task that the message was sent to.
    pub task_id: Arc<str>,
    /// When.
    pub at: Timestamp,
}
