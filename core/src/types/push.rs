//! Push notification configurations.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::proto::{integer, nullable, text, unset};

/// Where to post a task's updates (specification section 4.3.1). It is the create request, the
/// stored object and the configuration inside a send alike.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaskPushNotificationConfig {
    /// The tenant, as the agent card's interface names it.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<Arc<str>>,
    /// Unique within the task; made by the server where it is absent.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub id: Option<Arc<str>>,
    /// Whose updates.
    #[serde(alias = "task_id", deserialize_with = "text", skip_serializing_if = "unset")]
    pub task_id: Option<Arc<str>>,
    /// Where to post; required.
    #[serde(deserialize_with = "nullable")]
    pub url: Arc<str>,
    /// Sent along, so that the receiver knows the sender.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub token: Option<Arc<str>>,
    /// How to authenticate to the receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<AuthenticationInfo>,
}

/// How to authenticate to a webhook (specification section 4.3.2).
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthenticationInfo {
    /// An HTTP authentication scheme such as `Bearer`; required.
    #[serde(deserialize_with = "nullable")]
    pub scheme: Arc<str>,
    /// What follows the scheme in the `Authorization` header. A secret.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub credentials: Option<Arc<str>>,
}

impl std::fmt::Debug for AuthenticationInfo {
    /// Leaves the credentials out: what is printed ends in logs.
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter
            .debug_struct("AuthenticationInfo")
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}

/// Which configuration to show (specification section 3.1.8).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GetTaskPushNotificationConfigRequest {
    /// The tenant, as the agent card's interface names it.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<Arc<str>>,
    /// The task's id; required.
    #[serde(alias = "task_id", deserialize_with = "nullable")]
    pub task_id: Arc<str>,
    /// The configuration's id; required.
    #[serde(deserialize_with = "nullable")]
    pub id: Arc<str>,
}

/// Which task's configurations to list (specification section 3.1.9).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListTaskPushNotificationConfigsRequest {
    /// The tenant, as the agent card's interface names it.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<Arc<str>>,
    /// The task's id; required.
    #[serde(alias = "task_id", deserialize_with = "nullable")]
    pub task_id: Arc<str>,
    /// How many at most.
    #[serde(alias = "page_size", deserialize_with = "integer", skip_serializing_if = "unset")]
    pub page_size: Option<i32>,
    /// The `nextPageToken` of the page before.
    #[serde(alias = "page_token", deserialize_with = "text", skip_serializing_if = "unset")]
    pub page_token: Option<Arc<str>>,
}

/// A page of configurations (specification section 3.1.9).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListTaskPushNotificationConfigsResponse {
    /// The configurations.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub configs: Vec<TaskPushNotificationConfig>,
    /// Asks for the next page; empty on the last one.
    #[serde(
        alias = "next_page_token",
        deserialize_with = "nullable",
        skip_serializing_if = "unset"
    )]
    pub next_page_token: String,
}

/// Which configuration to delete (specification section 3.1.10).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeleteTaskPushNotificationConfigRequest {
    /// The tenant, as the agent card's interface names it.
    #[serde(deserialize_with = "text", skip_serializing_if = "unset")]
    pub tenant: Option<Arc<str>>,
    /// The task's id; required.
    #[serde(alias = "task_id", deserialize_with = "nullable")]
    pub task_id: Arc<str>,
    /// The configuration's id; required.
    #[serde(deserialize_with = "nullable")]
    pub id: Arc<str>,
}
