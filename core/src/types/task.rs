//! Tasks.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Artifact, Message, Metadata, Timestamp,
    proto::{self, ProtoEnum, nullable, unset},
};

/// Where a task stands (specification section 4.1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Not said.
    #[default]
    Unspecified,
    /// Accepted, not begun.
    Submitted,
    /// The agent is at work.
    Working,
    /// Finished well.
    Completed,
    /// Finished badly.
    Failed,
    /// Stopped by a client.
    Canceled,
    /// Waiting for the client's answer.
    InputRequired,
    /// The agent would not do it.
    Rejected,
    /// Waiting for the client to authorise something.
    AuthRequired,
}

impl TaskState {
    /// Completed, failed, canceled or rejected: the task never changes again (section 3.4.2).
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled | Self::Rejected)
    }

    /// Waiting for the client: input or authorisation required.
    pub fn is_interrupted(self) -> bool {
        matches!(self, Self::InputRequired | Self::AuthRequired)
    }

    /// The name on the wire, for example `TASK_STATE_WORKING`.
    pub fn name(self) -> &'static str {
        Self::VALUES[self as usize].1
    }
}

impl ProtoEnum for TaskState {
    const EXPECTING: &'static str = "a task state such as TASK_STATE_WORKING";
    const VALUES: &'static [(Self, &'static str, i64)] = &[
        (Self::Unspecified, "TASK_STATE_UNSPECIFIED", 0),
        (Self::Submitted, "TASK_STATE_SUBMITTED", 1),
        (Self::Working, "TASK_STATE_WORKING", 2),
        (Self::Completed, "TASK_STATE_COMPLETED", 3),
        (Self::Failed, "TASK_STATE_FAILED", 4),
        (Self::Canceled, "TASK_STATE_CANCELED", 5),
        (Self::InputRequired, "TASK_STATE_INPUT_REQUIRED", 6),
        (Self::Rejected, "TASK_STATE_REJECTED", 7),
        (Self::AuthRequired, "TASK_STATE_AUTH_REQUIRED", 8),
    ];
}

impl Serialize for TaskState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for TaskState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        proto::enumeration(deserializer)
    }
}

/// A state, what the agent said with it, and since when (specification section 4.1.2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskStatus {
    /// The state.
    pub state: TaskState,
    /// What the agent said with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Arc<Message>>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
}

/// A unit of work (specification section 4.1.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Task {
    /// Made by the server.
    #[serde(deserialize_with = "nullable")]
    pub id: Arc<str>,
    /// The conversation it belongs to.
    #[serde(alias = "context_id", deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub context_id: Arc<str>,
    /// Where it stands.
    #[serde(deserialize_with = "nullable")]
    pub status: TaskStatus,
    /// What it made.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub artifacts: Vec<Artifact>,
    /// What was said, oldest first; the current status's message is in the status.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub history: Vec<Arc<Message>>,
    /// Data of extensions, keyed by their URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}
