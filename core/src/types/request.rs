//! What each operation takes, and what listing answers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Message, Metadata, Task, TaskPushNotificationConfig, TaskState, Timestamp,
    proto::{integer, nullable, text, unset},
    timestamp::at_least,
};

/// A message for the agent (specification section 3.2.1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SendMessageRequest {
    /// The tenant, as the agent card's interface names it.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<Arc<str>>,
    /// The message; required.
    #[serde(deserialize_with = "nullable")]
    pub message: Message,
    /// How to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<SendMessageConfiguration>,
    /// Data of extensions, keyed by their URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// How a send is answered (specification section 3.2.2).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SendMessageConfiguration {
    /// Media types the client can read; a hint to the agent.
    #[serde(
        alias = "accepted_output_modes",
        deserialize_with = "nullable",
        skip_serializing_if = "unset"
    )]
    pub accepted_output_modes: Vec<Arc<str>>,
    /// Where to post the task's updates.
    #[serde(alias = "task_push_notification_config", skip_serializing_if = "Option::is_none")]
    pub task_push_notification_config: Option<TaskPushNotificationConfig>,
    /// At most this many of the newest messages in the answer's history; unset: all; 0: none.
    #[serde(alias = "history_length", deserialize_with = "integer", skip_serializing_if = "unset")]
    pub history_length: Option<i32>,
    /// Whether to answer as soon as the task exists, instead of when it has come to rest.
    #[serde(
        alias = "return_immediately",
        deserialize_with = "nullable",
        skip_serializing_if = "unset"
    )]
    pub return_immediately: bool,
}

/// Which task to show (specification section 3.1.3).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GetTaskRequest {
    /// The tenant, as the agent card's interface names it.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<Arc<str>>,
    /// The task's id; required.
    #[serde(deserialize_with = "nullable")]
    pub id: Arc<str>,
    /// At most this many of the newest messages in the history; unset: all; 0: none.
    #[serde(alias = "history_length", deserialize_with = "integer", skip_serializing_if = "unset")]
    pub history_length: Option<i32>,
}

/// Which tasks to list (specification section 3.1.4).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListTasksRequest {
    /// The tenant, as the agent card's interface names it.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<Arc<str>>,
    /// Only tasks of this conversation.
    #[serde(alias = "context_id", deserialize_with = "text", skip_serializing_if = "unset")]
    pub context_id: Option<Arc<str>>,
    /// Only tasks in this state; unspecified: in any.
    #[serde(skip_serializing_if = "unset")]
    pub status: TaskState,
    /// 1 to 100; unset: 50.
    #[serde(alias = "page_size", deserialize_with = "integer", skip_serializing_if = "unset")]
    pub page_size: Option<i32>,
    /// The `nextPageToken` of the page before; unset: the first page.
    #[serde(alias = "page_token", deserialize_with = "text", skip_serializing_if = "unset")]
    pub page_token: Option<Arc<str>>,
    /// At most this many of the newest messages in each history; unset: all; 0: none.
    #[serde(alias = "history_length", deserialize_with = "integer", skip_serializing_if = "unset")]
    pub history_length: Option<i32>,
    /// Only tasks whose status is from this time or later; read up to the next millisecond.
    #[serde(
        alias = "status_timestamp_after",
        deserialize_with = "at_least",
        skip_serializing_if = "unset"
    )]
    pub status_timestamp_after: Option<Timestamp>,
    /// Whether to show artifacts.
    #[serde(
        alias = "include_artifacts",
        deserialize_with = "nullable",
        skip_serializing_if = "unset"
    )]
    pub include_artifacts: bool,
}

/// A page of tasks (specification section 3.1.4), newest status first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListTasksResponse {
    /// The tasks.
    #[serde(deserialize_with = "nullable")]
    pub tasks: Vec<Task>,
    /// Asks for the next page; empty on the last one.
    #[serde(alias = "next_page_token", deserialize_with = "nullable")]
    pub next_page_token: String,
    /// The page size that was used.
    #[serde(alias = "page_size", deserialize_with = "nullable")]
    pub page_size: i32,
    /// How many tasks the filter finds in all.
    #[serde(alias = "total_size", deserialize_with = "nullable")]
    pub total_size: i32,
}

/// Which task to cancel (specification section 3.1.5).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CancelTaskRequest {
    /// The tenant, as the agent card's interface names it.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<Arc<str>>,
    /// The task's id; required.
    #[serde(deserialize_with = "nullable")]
    pub id: Arc<str>,
    /// Data of extensions, keyed by their URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
}

/// Which task to follow (specification section 3.1.6).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscribeToTaskRequest {
    /// The tenant, as the agent card's interface names it.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<Arc<str>>,
    /// The task's id; required.
    #[serde(deserialize_with = "nullable")]
    pub id: Arc<str>,
}

/// Asks for the card that authenticated callers see (specification section 3.1.11).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GetExtendedAgentCardRequest {
    /// The tenant, as the agent card's interface names it.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<Arc<str>>,
}
