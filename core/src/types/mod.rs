//! The A2A 1.0 data model (specification section 4), whose serde form *is* the 1.0 wire form.
//!
//! Owns: the shape of every object, and reading and writing it as ProtoJSON does. Must never know:
//! what makes a request well-formed (that is `call`'s), methods, paths, error codes, tasks' life,
//! stores, the clock.
//!
//! Reading is lenient where ProtoJSON is (camelCase and snake_case names, enum names and numbers,
//! base64 and base64url with or without padding, numbers as strings, `null` for "unset", unknown
//! fields ignored) and writing is strict: camelCase, enum names, UTC timestamps with milliseconds.
//! [`Json`] keeps `data` and `metadata` exactly as they were sent, so an integer past 2^53
//! survives.
//!
//! Cheap to clone by design: texts are `Arc<str>`, bytes are [`Bytes`](bytes::Bytes), messages and
//! events are held in `Arc`. The journal, the fold and every reader share one copy of what an agent
//! said.

mod artifact;
mod card;
mod event;
mod json;
mod message;
mod proto;
mod push;
mod request;
mod security;
mod task;
mod timestamp;

pub use artifact::Artifact;
pub use card::{
    AgentCapabilities, AgentCard, AgentCardSignature, AgentExtension, AgentInterface,
    AgentProvider, AgentSkill,
};
pub(crate) use event::KnownEvent;
pub use event::{
    SendMessageResponse, StreamResponse, TaskArtifactUpdateEvent, TaskStatusUpdateEvent,
};
pub use json::{Json, Metadata};
pub use message::{Message, Part, PartContent, Role};
pub(crate) use proto::{read_base64, write_base64};
pub use push::{
    AuthenticationInfo, DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest, ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse, TaskPushNotificationConfig,
};
pub use request::{
    CancelTaskRequest, GetExtendedAgentCardRequest, GetTaskRequest, ListTasksRequest,
    ListTasksResponse, SendMessageConfiguration, SendMessageRequest, SubscribeToTaskRequest,
};
pub use security::{OAuthFlow, OAuthFlows, Scopes, SecurityRequirement, SecurityScheme};
pub use task::{Task, TaskState, TaskStatus};
pub use timestamp::Timestamp;
