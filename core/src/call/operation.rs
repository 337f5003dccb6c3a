//! One call, one reply: what every transport decodes to and encodes from.
//!
//! Owns: the operations as values. Must never know: method names, paths, headers (they are
//! `wire`'s).

use std::{fmt, sync::Arc};

use futures_util::stream::BoxStream;

use super::cursor::Cursor;
use crate::{
    error::Error,
    types::{
        AgentCard, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest,
        GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest,
        ListTaskPushNotificationConfigsRequest, ListTaskPushNotificationConfigsResponse,
        ListTasksRequest, ListTasksResponse, SendMessageRequest, SendMessageResponse,
        StreamResponse, SubscribeToTaskRequest, Task, TaskPushNotificationConfig,
    },
};

/// An operation of the protocol with its parameters (specification section 3.1).
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Section 3.1.1.
    SendMessage(SendMessageRequest),
    /// Section 3.1.2.
    SendStreamingMessage(SendMessageRequest),
    /// Section 3.1.3.
    GetTask(GetTaskRequest),
    /// Section 3.1.4.
    ListTasks(ListTasksRequest),
    /// Section 3.1.5.
    CancelTask(CancelTaskRequest),
    /// Section 3.1.6.
    SubscribeToTask(SubscribeToTaskRequest),
    /// Section 3.1.7.
    CreateTaskPushNotificationConfig(TaskPushNotificationConfig),
    /// Section 3.1.8.
    GetTaskPushNotificationConfig(GetTaskPushNotificationConfigRequest),
    /// Section 3.1.9.
    ListTaskPushNotificationConfigs(ListTaskPushNotificationConfigsRequest),
    /// Section 3.1.10.
    DeleteTaskPushNotificationConfig(DeleteTaskPushNotificationConfigRequest),
    /// Section 3.1.11.
    GetExtendedAgentCard(GetExtendedAgentCardRequest),
    /// The public card, section 8.2.
    GetAgentCard,
}

impl Call {
    /// The operation's name in the log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::SendMessage(_) => "send",
            Self::SendStreamingMessage(_) => "stream",
            Self::GetTask(_) => "get",
            Self::ListTasks(_) => "list",
            Self::CancelTask(_) => "cancel",
            Self::SubscribeToTask(_) => "subscribe",
            Self::CreateTaskPushNotificationConfig(_) => "push create",
            Self::GetTaskPushNotificationConfig(_) => "push get",
            Self::ListTaskPushNotificationConfigs(_) => "push list",
            Self::DeleteTaskPushNotificationConfig(_) => "push delete",
            Self::GetExtendedAgentCard(_) => "extended card",
            Self::GetAgentCard => "card",
        }
    }

    /// The tenant named in the parameters.
    pub fn tenant(&self) -> Option<&Arc<str>> {
        match self {
            Self::SendMessage(request) | Self::SendStreamingMessage(request) => &request.tenant,
            Self::GetTask(request) => &request.tenant,
            Self::ListTasks(request) => &request.tenant,
            Self::CancelTask(request) => &request.tenant,
            Self::SubscribeToTask(request) => &request.tenant,
            Self::CreateTaskPushNotificationConfig(request) => &request.tenant,
            Self::GetTaskPushNotificationConfig(request) => &request.tenant,
            Self::ListTaskPushNotificationConfigs(request) => &request.tenant,
            Self::DeleteTaskPushNotificationConfig(request) => &request.tenant,
            Self::GetExtendedAgentCard(request) => &request.tenant,
            Self::GetAgentCard => &None,
        }
        .as_ref()
    }

    /// Where the parameters name their tenant; none for the public card, which has none.
    pub(crate) fn tenant_mut(&mut self) -> Option<&mut Option<Arc<str>>> {
        Some(match self {
            Self::SendMessage(request) | Self::SendStreamingMessage(request) => &mut request.tenant,
            Self::GetTask(request) => &mut request.tenant,
            Self::ListTasks(request) => &mut request.tenant,
            Self::CancelTask(request) => &mut request.tenant,
            Self::SubscribeToTask(request) => &mut request.tenant,
            Self::CreateTaskPushNotificationConfig(request) => &mut request.tenant,
            Self::GetTaskPushNotificationConfig(request) => &mut request.tenant,
            Self::ListTaskPushNotificationConfigs(request) => &mut request.tenant,
            Self::DeleteTaskPushNotificationConfig(request) => &mut request.tenant,
            Self::GetExtendedAgentCard(request) => &mut request.tenant,
            Self::GetAgentCard => return None,
        })
    }

    /// Whether the reply is a stream of events.
    pub fn is_streaming(&self) -> bool {
        self.reply_kind() == ReplyKind::Events
    }

    /// What the reply is when nothing goes wrong.
    pub fn reply_kind(&self) -> ReplyKind {
        match self {
            Self::SendMessage(_) => ReplyKind::Sent,
            Self::SendStreamingMessage(_) | Self::SubscribeToTask(_) => ReplyKind::Events,
            Self::GetTask(_) | Self::CancelTask(_) => ReplyKind::Task,
            Self::ListTasks(_) => ReplyKind::Tasks,
            Self::CreateTaskPushNotificationConfig(_) | Self::GetTaskPushNotificationConfig(_) => {
                ReplyKind::PushConfig
            }
            Self::ListTaskPushNotificationConfigs(_) => ReplyKind::PushConfigs,
            Self::DeleteTaskPushNotificationConfig(_) => ReplyKind::Nothing,
            Self::GetExtendedAgentCard(_) | Self::GetAgentCard => ReplyKind::Card,
        }
    }
}

/// What a call answers.
#[derive(Debug)]
pub enum Reply {
    /// To a send.
    Sent(SendMessageResponse),
    /// To a get or a cancel.
    Task(Box<Task>),
    /// To a list.
    Tasks(ListTasksResponse),
    /// To a streaming send or a subscription.
    Events(Events),
    /// To creating or getting a push configuration.
    PushConfig(TaskPushNotificationConfig),
    /// To listing push configurations.
    PushConfigs(ListTaskPushNotificationConfigsResponse),
    /// To deleting a push configuration.
    Nothing,
    /// To asking for a card.
    Card(Arc<AgentCard>),
}

/// Which [`Reply`] answers a call: what a client reads an answer as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// [`Reply::Sent`].
    Sent,
    /// [`Reply::Task`].
    Task,
    /// [`Reply::Tasks`].
    Tasks,
    /// [`Reply::Events`].
    Events,
    /// [`Reply::PushConfig`].
    PushConfig,
    /// [`Reply::PushConfigs`].
    PushConfigs,
    /// [`Reply::Nothing`].
    Nothing,
    /// [`Reply::Card`].
    Card,
}

/// A stream of recorded events. It never ends before its last one, unless the server shuts down
/// while no run is at work on the task; an `Err` is its last item.
pub struct Events(pub BoxStream<'static, Result<Event, Error>>);

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("Events")
    }
}

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Where in the journal it is; none for an answer without a task.
    pub cursor: Option<Cursor>,
    /// What happened.
    pub response: StreamResponse,
    /// Whether it is the stream's last.
    pub last: bool,
}
