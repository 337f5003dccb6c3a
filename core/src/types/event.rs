//! What a stream carries, and what a send answers.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, IgnoredAny, MapAccess, Visitor},
};

use super::{
    Artifact, Message, Metadata, Task, TaskStatus,
    proto::{nullable, unset},
};

/// A task's state changed (specification section 4.2.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskStatusUpdateEvent {
    /// Whose state.
    #[serde(alias = "task_id", deserialize_with = "nullable")]
    pub task_id: Arc<str>,
    /// The task's conversation.
    #[serde(alias = "context_id", deserialize_with = "nullable")]
    pub context_id: Arc<str>,
    /// The new status.
    #[serde(deserialize_with = "nullable")]
    pub status: TaskStatus,
    /// Data of extensions, keyed by their URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// A task's artifact grew (specification section 4.2.2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskArtifactUpdateEvent {
    /// Whose artifact.
    #[serde(alias = "task_id", deserialize_with = "nullable")]
    pub task_id: Arc<str>,
    /// The task's conversation.
    #[serde(alias = "context_id", deserialize_with = "nullable")]
    pub context_id: Arc<str>,
    /// The artifact, or the parts to add to it.
    #[serde(deserialize_with = "nullable")]
    pub artifact: Artifact,
    /// Whether the parts are added to the artifact of that id; otherwise it is created or
    /// replaced.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub append: bool,
    /// Whether this is the artifact's last piece.
    #[serde(alias = "last_chunk", deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub last_chunk: bool,
    /// Data of extensions, keyed by their URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// One event of a stream (specification section 3.2.3): exactly one of four.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StreamResponse {
    /// The task as it stands.
    Task(Box<Task>),
    /// An answer without a task.
    Message(Arc<Message>),
    /// The state changed.
    StatusUpdate(Arc<TaskStatusUpdateEvent>),
    /// An artifact grew.
    ArtifactUpdate(Arc<TaskArtifactUpdateEvent>),
}

/// What a send answers (specification section 3.1.1): a task or a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SendMessageResponse {
    /// The task the message began or continued.
    Task(Box<Task>),
    /// An answer without a task.
    Message(Arc<Message>),
}

impl<'de> Deserialize<'de> for StreamResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let payload = deserializer.deserialize_map(PayloadVisitor)?;
        payload.ok_or_else(|| de::Error::custom("expected a task, a message or an update"))
    }
}

/// An event as a client reads it: none where it is of a kind that is not known here.
pub(crate) struct KnownEvent(pub(crate) Option<StreamResponse>);

impl<'de> Deserialize<'de> for KnownEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PayloadVisitor).map(Self)
    }
}

impl<'de> Deserialize<'de> for SendMessageResponse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match StreamResponse::deserialize(deserializer)? {
            StreamResponse::Task(task) => Ok(Self::Task(task)),
            StreamResponse::Message(message) => Ok(Self::Message(message)),
            _ => Err(de::Error::custom("expected a task or a message, not an update")),
        }
    }
}

/// Written by hand for the reason given at [`Part`](super::Part)'s.
struct PayloadVisitor;

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum PayloadField {
    Task,
    Message,
    #[serde(alias = "status_update")]
    StatusUpdate,
    #[serde(alias = "artifact_update")]
    ArtifactUpdate,
    #[serde(other)]
    Unknown,
}

impl<'de> Visitor<'de> for PayloadVisitor {
    type Value = Option<StreamResponse>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("an object with one of task, message, statusUpdate, artifactUpdate")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut payload = None;
        while let Some(field) = map.next_key()? {
            let found = match field {
                PayloadField::Task => map.next_value::<Option<_>>()?.map(StreamResponse::Task),
                PayloadField::Message => {
                    map.next_value::<Option<_>>()?.map(StreamResponse::Message)
                }
                PayloadField::StatusUpdate => {
                    map.next_value::<Option<_>>()?.map(StreamResponse::StatusUpdate)
                }
                PayloadField::ArtifactUpdate => {
                    map.next_value::<Option<_>>()?.map(StreamResponse::ArtifactUpdate)
                }
                PayloadField::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                    None
                }
            };
            if found.is_some() && std::mem::replace(&mut payload, found).is_some() {
                return Err(de::Error::custom(
                    "expected only one of task, message and the updates",
                ));
            }
        }
        Ok(payload)
    }
}
