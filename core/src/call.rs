//! One call, one reply: what every transport decodes to and encodes from.
//!
//! Owns: the operations as values. Must never know: method names, paths, headers (they are
//! `wire`'s).

use std::{fmt, sync::Arc, time::Instant};

use futures_util::stream::BoxStream;
use uuid::Uuid;

use crate::{
    env,
    error::Error,
    task::Cursor,
    types::{
        AgentCard, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest,
        GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest,
        ListTaskPushNotificationConfigsRequest, ListTaskPushNotificationConfigsResponse,
        ListTasksRequest, ListTasksResponse, SendMessageRequest, SendMessageResponse,
        StreamResponse, SubscribeToTaskRequest, Task, TaskPushNotificationConfig, Timestamp,
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

/// Who calls, and how they want to be answered: what travels beside the parameters (specification
/// section 3.2.6).
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Whose tasks these are. Callers never see tasks of another owner; the empty owner is the
    /// anonymous caller.
    pub owner: Arc<str>,
    /// `A2A-Version` as it was sent, if it was.
    pub version: Option<Arc<str>>,
    /// `A2A-Extensions`: the URIs the caller knows.
    pub extensions: Vec<Arc<str>>,
    /// When the call's answer must be recorded at the latest: the transport's own end, such as an
    /// invocation's.
    pub deadline: Option<Instant>,
    /// When nobody waits for the answer any more, as the client says, by the clock on the wall. A
    /// request that comes later is not begun; work that has begun ends by then.
    pub expires: Option<Timestamp>,
    /// What makes this delivery of the call the same as an earlier one.
    pub key: Option<RequestKey>,
    /// Where a returning reader of a stream left off (`Last-Event-ID`).
    pub resume: Option<Cursor>,
    /// When the caller's streams end.
    pub streams_end: StreamsEnd,
}

impl Caller {
    /// The owner's name for a subject of an issuer of tokens, whoever checked the token: so one
    /// caller is the same behind every gateway and over every transport.
    pub fn named(issuer: &str, subject: &str) -> Arc<str> {
        format!("{issuer}#{subject}").into()
    }
}

/// When a subscription ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamsEnd {
    /// When the task has ended. For transports where the client can send the next message
    /// meanwhile.
    #[default]
    AtTerminal,
    /// When nobody is at work on the task. For transports that answer in order, where the client's
    /// next message waits behind the stream.
    AtRest,
}

/// The identity of a request that may be delivered more than once. The ids it derives are the same
/// at each delivery, so a second one meets the first one's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    name: Arc<str>,
    /// What all ids go back to: to hash the name for each of them would be a fifth of a short
    /// answer's time.
    digest: Uuid,
    takes_over: bool,
}

impl RequestKey {
    /// The key for the request of this name, unique among all requests to one store, such as a
    /// Kafka record's position. A second delivery means that the first one was given up: it takes
    /// over at once.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self::named(name.into(), true)
    }

    fn named(name: Arc<str>, takes_over: bool) -> Self {
        Self { digest: env::named(&name), name, takes_over }
    }

    /// The key a caller gives a request to one agent, so that it may send it again: another caller's
    /// same key is another key. The first delivery may still be served, so a second one waits for it.
    ///
    /// # Errors
    /// What such a key is made of, when this is none.
    pub fn of_caller(agent: &str, owner: &str, key: &str) -> Result<Self, &'static str> {
        let printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !printable || !(1..=255).contains(&key.len()) {
            return Err("must be 1 to 255 printable ASCII characters");
        }
        // Lengths first: no text of one can look like a piece of another.
        let name = format!("key|{}|{}|{agent}{owner}{key}", agent.len(), owner.len());
        Ok(Self::named(name.into(), false))
    }

    /// The key as text.
    pub fn as_str(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether a second delivery means that the first one was given up.
    pub fn takes_over(&self) -> bool {
        self.takes_over
    }

    /// The id this request gives to the thing it makes in that role, for example its `task`.
    pub fn id(&self, role: &str) -> Arc<str> {
        env::id_in_role(&self.digest, role)
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

/// A stream of recorded events. It never ends before its last one, unless the server closes while
/// nobody is at work on the task; an `Err` is its last item.
pub struct Events(pub BoxStream<'static, Result<Event, Error>>);

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("Events")
    }
}

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its place in the journal; none for an answer without a task.
    pub cursor: Option<Cursor>,
    /// What happened.
    pub response: StreamResponse,
    /// Whether it is the stream's last.
    pub last: bool,
}
