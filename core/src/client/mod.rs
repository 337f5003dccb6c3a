//! A client of any A2A agent, over any transport.
//!
//! Owns: the operations as an application calls them, and that each reply is of its call's kind.
//! Must never know: bytes, sockets, method names, paths and codes (those are a [`Transport`]'s and
//! `wire`'s).
//!
//! It is the server, read backwards: a [`Transport`] takes one [`Call`] and gives one [`Reply`], as
//! the handler does. So a [`DefaultRequestHandler`] is a transport too, to whom nothing is far.
//! [`Client::connect`] finds the way to an agent far away.

mod behalf;
pub mod bounds;
mod connect;
mod failure;
mod http;
mod jsonrpc;
#[cfg(feature = "client-kafka")]
pub mod kafka;
mod lazy;
mod origin;
mod rest;
mod resume;
mod retry;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    call::{Call, Caller, Credentials, Events, IdempotencyKey, Reply},
    error::{Error, ErrorKind},
    handler::DefaultRequestHandler,
    task::Cursor,
    types::{
        AgentCard, CancelTaskRequest, DeleteTaskPushNotificationConfigRequest,
        GetExtendedAgentCardRequest, GetTaskPushNotificationConfigRequest, GetTaskRequest,
        ListTaskPushNotificationConfigsRequest, ListTaskPushNotificationConfigsResponse,
        ListTasksRequest, ListTasksResponse, SendMessageRequest, SendMessageResponse,
        SubscribeToTaskRequest, Task, TaskPushNotificationConfig,
    },
};

pub use connect::Connector;

/// A way to one agent.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Makes one call and gives its reply, of the call's kind: [`Reply::Sent`] to a send,
    /// [`Reply::Events`] to a stream, and so on.
    ///
    /// # Errors
    /// The agent's own error as the agent told it; [`ErrorKind::Unavailable`] when the agent is not
    /// reached, [`ErrorKind::DeadlineExceeded`] when no answer came in time,
    /// [`ErrorKind::InvalidAgentResponse`] when what came is no answer.
    async fn call(&self, parameters: &Parameters, call: Call) -> Result<Reply, Error>;
}

/// What travels beside a call (specification section 3.2.6).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Parameters {
    /// How long the whole call may take; of a stream, how long until its first event, and between
    /// two signs of life.
    pub timeout: Duration,
    /// `A2A-Extensions`: the URIs the client knows.
    pub extensions: Vec<Arc<str>>,
    /// A name for this request, 1 to 255 printable ASCII characters, under which it may be sent
    /// again: it is executed once.
    pub idempotency_key: Option<Arc<str>>,
    /// Where a stream is continued: after this event.
    pub resume: Option<Cursor>,
    /// The place in a distributed trace (W3C Trace Context).
    pub traceparent: Option<Arc<str>>,
    /// Whose credentials travel in place of the client's own; see
    /// [`Client::with_credentials_of`].
    pub(crate) credentials: Option<Credentials>,
    /// How often a call is made at most where the agent is not reached and that is safe, and a
    /// broken stream continued without news; 1 is never again. Over Kafka, and in one process, the
    /// timeout alone counts.
    pub tries: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            extensions: Vec::new(),
            idempotency_key: None,
            resume: None,
            traceparent: None,
            credentials: None,
            tries: 4,
        }
    }
}

/// A client of one agent. Cheap to clone.
///
/// ```
/// use std::sync::Arc;
/// use a2a_core::{
///     AgentCard, AgentError, AgentExecutor, DefaultRequestHandler, EventQueue, MemoryStore,
///     Message, Part, RequestContext, SendMessageRequest, SendMessageResponse, async_trait,
///     client::Client,
/// };
///
/// struct Echo;
///
/// #[async_trait]
/// impl AgentExecutor for Echo {
///     async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
///         Ok(queue.complete(context.text()).await?)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), a2a_core::Error> {
/// let store = Arc::new(MemoryStore::default());
/// let handler = DefaultRequestHandler::new(AgentCard::default(), Arc::new(Echo), store);
/// // Here the agent is in this process; another transport is another line here, and no other.
/// let client = Client::new(Arc::new(handler));
/// let message = Message::user("message-1", vec![Part::text("hello")]);
/// let request = SendMessageRequest { message, ..Default::default() };
/// let SendMessageResponse::Task(task) = client.send(request).await? else {
///     panic!("the agent answers with a task")
/// };
/// assert_eq!(task.status.message.unwrap().text(), "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<dyn Transport>,
    parameters: Parameters,
}

impl Client {
    /// A client over this transport.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, parameters: Parameters::default() }
    }

    /// The same client with these parameters beside each call.
    #[must_use]
    pub fn with_parameters(mut self, parameters: Parameters) -> Self {
        self.parameters = parameters;
        self
    }

    /// What travels beside each call.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The same client for one request that may be sent again under this key, also by another
    /// process: it is executed once, and each time answered the same.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: impl Into<Arc<str>>) -> Self {
        self.parameters.idempotency_key = Some(key.into());
        self
    }

    /// Makes any call.
    ///
    /// # Errors
    /// As [`Transport::call`]; so with each operation.
    pub async fn call(&self, call: Call) -> Result<Reply, Error> {
        self.transport.call(&self.parameters, call).await
    }

    /// Sends a message and waits for what comes of it (specification section 3.1.1).
    ///
    /// # Errors
    /// As [`Transport::call`].
    pub async fn send(&self, request: SendMessageRequest) -> Result<SendMessageResponse, Error> {
        match self.call(Call::SendMessage(request)).await? {
            Reply::Sent(response) => Ok(response),
            _ => Err(another_kind()),
        }
    }

    /// Sends a message and follows what comes of it (specification section 3.1.2).
    ///
    /// # Errors
    /// As [`Transport::call`], also as the stream's last item.
    pub async fn stream(&self, request: SendMessageRequest) -> Result<Events, Error> {
        self.events(Call::SendStreamingMessage(request)).await
    }

    /// A task as it stands (specification section 3.1.3).
    ///
    /// # Errors
    /// As [`Transport::call`].
    pub async fn get(&self, request: GetTaskRequest) -> Result<Task, Error> {
        self.task(Call::GetTask(request)).await
    }

    /// A page of tasks (specification section 3.1.4).
    ///
    /// # Errors
    /// As [`Transport::call`].
    pub async fn list(&self, request: ListTasksRequest) -> Result<ListTasksResponse, Error> {
        match self.call(Call::ListTasks(request)).await? {
            Reply::Tasks(page) => Ok(page),
            _ => Err(another_kind()),
        }
    }

    /// Cancels a task and answers it as it stands then (specification section 3.1.5).
    ///
    /// # Errors
    /// As [`Transport::call`].
    pub async fn cancel(&self, request: CancelTaskRequest) -> Result<Task, Error> {
        self.task(Call::CancelTask(request)).await
    }

    /// Follows a task (specification section 3.1.6): from its present state, or after the event of
    /// that cursor.
    ///
    /// # Errors
    /// As [`Transport::call`], also as the stream's last item.
    pub async fn subscribe(
        &self,
        request: SubscribeToTaskRequest,
        after: Option<Cursor>,
    ) -> Result<Events, Error> {
        let mut client = self.clone();
        client.parameters.resume = after.or(client.parameters.resume);
        client.events(Call::SubscribeToTask(request)).await
    }

    /// Has a task's news pushed to a webhook (specification section 3.1.7).
    ///
    /// # Errors
    /// As [`Transport::call`].
    pub async fn create_push_config(
        &self,
        config: TaskPushNotificationConfig,
    ) -> Result<TaskPushNotificationConfig, Error> {
        self.push_config(Call::CreateTaskPushNotificationConfig(config)).await
    }

    /// One of a task's push configurations (specification section 3.1.8).
    ///
    /// # Errors
    /// As [`Transport::call`].
    pub async fn get_push_config(
        &self,
        request: GetTaskPushNotificationConfigRequest,
    ) -> Result<TaskPushNotificationConfig, Error> {
        self.push_config(Call::GetTaskPushNotificationConfig(request)).await
    }

    /// A task's push configurations (specification section 3.1.9).
    ///
    /// # Errors
    /// As [`Transport::call`].
    pub async fn list_push_configs(
        &self,
        request: ListTaskPushNotificationConfigsRequest,
    ) -> Result<ListTaskPushNotificationConfigsResponse, Error> {
        match self.call(Call::ListTaskPushNotificationConfigs(request)).await? {
            Reply::PushConfigs(page) => Ok(page),
            _ => Err(another_kind()),
        }
    }

    /// Deletes a push configuration (specification section 3.1.10).
    ///
    /// # Errors
    /// As [`Transport::call`].
    pub async fn delete_push_config(
        &self,
        request: DeleteTaskPushNotificationConfigRequest,
    ) -> Result<(), Error> {
        match self.call(Call::DeleteTaskPushNotificationConfig(request)).await? {
            Reply::Nothing => Ok(()),
            _ => Err(another_kind()),
        }
    }

    /// The agent's card for this caller (specification section 3.1.11).
    ///
    /// # Errors
    /// As [`Transport::call`].
    pub async fn extended_card(&self) -> Result<Arc<AgentCard>, Error> {
        self.card_of(Call::GetExtendedAgentCard(GetExtendedAgentCardRequest::default())).await
    }

    /// The agent's public card (specification section 8.2).
    ///
    /// # Errors
    /// As [`Transport::call`].
    pub async fn card(&self) -> Result<Arc<AgentCard>, Error> {
        self.card_of(Call::GetAgentCard).await
    }

    async fn events(&self, call: Call) -> Result<Events, Error> {
        match self.call(call).await? {
            Reply::Events(events) => Ok(events),
            _ => Err(another_kind()),
        }
    }

    async fn task(&self, call: Call) -> Result<Task, Error> {
        match self.call(call).await? {
            Reply::Task(task) => Ok(*task),
            _ => Err(another_kind()),
        }
    }

    async fn push_config(&self, call: Call) -> Result<TaskPushNotificationConfig, Error> {
        match self.call(call).await? {
            Reply::PushConfig(config) => Ok(config),
            _ => Err(another_kind()),
        }
    }

    async fn card_of(&self, call: Call) -> Result<Arc<AgentCard>, Error> {
        match self.call(call).await? {
            Reply::Card(card) => Ok(card),
            _ => Err(another_kind()),
        }
    }
}

fn another_kind() -> Error {
    Error::new(ErrorKind::InvalidAgentResponse, "The agent's answer is of another kind of call.")
}

/// An agent in this process.
#[async_trait]
impl Transport for DefaultRequestHandler {
    async fn call(&self, parameters: &Parameters, call: Call) -> Result<Reply, Error> {
        let Parameters { extensions, resume, idempotency_key, credentials, .. } = parameters;
        // Who is in this process needs none; who brings some is judged by them.
        let owner = credentials.as_ref().map(|credentials| {
            let authorization = Some(credentials.expose().as_bytes());
            self.owner(&Arc::default(), authorization, || self.now())
        });
        let owner = owner.transpose()?.unwrap_or_default();
        let key = idempotency_key.as_deref().map(|key| {
            let key = IdempotencyKey::of_caller(&self.card().name, &owner, key);
            key.map_err(|why| Error::invalid_field("idempotency_key", why))
        });
        let caller = Caller {
            owner: Arc::clone(&owner),
            credentials: credentials.clone(),
            extensions: extensions.clone(),
            resume: *resume,
            key: key.transpose()?,
            ..Caller::default()
        };
        let calling = self.call(caller, call);
        tokio::time::timeout(parameters.timeout, calling).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::DeadlineExceeded, "The agent did not answer in time."))
        })
    }
}
