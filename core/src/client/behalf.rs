//! What an agent asks another agent on behalf of its own caller.
//!
//! Owns: that it lives in a conversation of that caller's at the other agent, under keys of that
//! caller's, and what the caller's own credentials take to travel on. Must never know: transports.
//!
//! To the other agent all that an agent asks comes from one caller: the agent. Two callers who choose
//! the same `contextId` would meet there, and one would answer the other's open question. So each
//! caller's conversation is another one there, whose name is made of the tenant, the owner and the
//! context: none of them can choose another's.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};

use super::{Client, Parameters, Transport};
use crate::{
    agent::RequestContext,
    call::{Call, Events, Reply},
    env::named_id,
    error::{Error, ErrorKind},
    types::{GetTaskRequest, StreamResponse},
};

impl Client {
    /// The same client for what an agent asks on behalf of its own caller: of whoever this run is for.
    ///
    /// Messages belong to the one conversation that the caller's own has at the other agent, whatever
    /// `contextId` they name, and an idempotency key is that conversation's. Tasks of other
    /// conversations are not found and not listed.
    ///
    /// ```
    /// use a2a_core::{
    ///     AgentError, AgentExecutor, EventQueue, Message, RequestContext, SendMessageRequest,
    ///     SendMessageResponse, async_trait, client::Client,
    /// };
    ///
    /// struct Broker(Client);
    ///
    /// #[async_trait]
    /// impl AgentExecutor for Broker {
    ///     async fn execute(
    ///         &self,
    ///         context: RequestContext,
    ///         queue: EventQueue,
    ///     ) -> Result<(), AgentError> {
    ///         let message = Message::user("quote", context.message().parts.clone());
    ///         let request = SendMessageRequest { message, ..Default::default() };
    ///         let asked = self.0.on_behalf_of(&context).send(request).await;
    ///         match asked.map_err(|error| AgentError::new(error.to_string()))? {
    ///             SendMessageResponse::Message(answer) => queue.complete(answer.text()).await?,
    ///             SendMessageResponse::Task(task) => queue.complete(&*task.id).await?,
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn on_behalf_of(&self, context: &RequestContext) -> Self {
        let transport = Arc::new(OnBehalf {
            transport: Arc::clone(&self.transport),
            conversation: joined(&[
                context.tenant(),
                &context.caller().owner,
                context.context_id(),
            ]),
        });
        Self { transport, parameters: self.parameters.clone() }
    }

    /// The same client with the credentials of the agent's own caller in place of its own: they travel
    /// on with each of its calls, and with no other client's. Without any of the caller's, it has its
    /// own: another runner's attempt at a message has lost them.
    ///
    /// They go to the origin that the client was made for, or that [`Connector::bearer_to`] names:
    /// calls fail with [`ErrorKind::PermissionDenied`] where a card led elsewhere. The other agent
    /// must take them, so its audience must be theirs.
    ///
    /// [`Connector::bearer_to`]: super::Connector::bearer_to
    #[must_use]
    pub fn with_credentials_of(mut self, context: &RequestContext) -> Self {
        self.parameters.credentials.clone_from(&context.caller().credentials);
        self
    }
}

/// Whether a caller's credentials may go where a client leads.
///
/// # Errors
/// [`ErrorKind::PermissionDenied`] when not.
pub(super) fn may_travel(may_bear: bool) -> Result<(), Error> {
    let sentence = "The agent's card leads to an origin that nobody asked for, where a caller's \
                    credentials do not go.";
    may_bear.then_some(()).ok_or_else(|| Error::new(ErrorKind::PermissionDenied, sentence))
}

/// An agent as it is asked on behalf of a caller.
#[derive(Debug)]
struct OnBehalf {
    transport: Arc<dyn Transport>,
    /// The caller's own: the tenant, the owner and the context.
    conversation: String,
}

impl OnBehalf {
    fn named(&self, role: &str, name: &str) -> Arc<str> {
        named_id(&joined(&[role, &self.conversation, name]))
    }

    /// The conversation at the other agent.
    fn conversation(&self) -> Arc<str> {
        self.named("context", "")
    }

    /// Looks at a task before it is changed.
    async fn look(&self, parameters: &Parameters, call: &Call, id: Arc<str>) -> Result<(), Error> {
        let tenant = call.tenant().cloned();
        let get = Call::GetTask(GetTaskRequest { tenant, id, history_length: Some(0) });
        let parameters = Parameters { resume: None, idempotency_key: None, ..parameters.clone() };
        match self.transport.call(&parameters, get).await? {
            Reply::Task(task) => own(&self.conversation(), &task.id, &task.context_id),
            _ => Err(super::another_kind()),
        }
    }
}

#[async_trait]
impl Transport for OnBehalf {
    async fn call(&self, parameters: &Parameters, mut call: Call) -> Result<Reply, Error> {
        let key = parameters.idempotency_key.as_ref().map(|key| self.named("key", key));
        let parameters = Parameters { idempotency_key: key, ..parameters.clone() };
        let conversation = self.conversation();
        let subscribes = matches!(call, Call::SubscribeToTask(_));
        let changed = match &mut call {
            Call::SendMessage(request) | Call::SendStreamingMessage(request) => {
                request.message.context_id = Some(Arc::clone(&conversation));
                None
            }
            Call::ListTasks(request) => {
                request.context_id = Some(Arc::clone(&conversation));
                None
            }
            Call::CancelTask(request) => Some(Arc::clone(&request.id)),
            Call::CreateTaskPushNotificationConfig(config) => config.task_id.clone(),
            Call::GetTaskPushNotificationConfig(it) => Some(Arc::clone(&it.task_id)),
            Call::ListTaskPushNotificationConfigs(it) => Some(Arc::clone(&it.task_id)),
            Call::DeleteTaskPushNotificationConfig(it) => Some(Arc::clone(&it.task_id)),
            _ => None,
        };
        if let Some(id) = changed {
            self.look(&parameters, &call, id).await?;
        }
        Ok(match self.transport.call(&parameters, call).await? {
            Reply::Task(task) => {
                own(&conversation, &task.id, &task.context_id)?;
                Reply::Task(task)
            }
            Reply::Events(events) if subscribes => Reply::Events(own_events(conversation, events)),
            reply => reply,
        })
    }
}

/// A task of another conversation is not found. A server may leave the context out.
fn own(conversation: &str, id: &str, context_id: &str) -> Result<(), Error> {
    match context_id.is_empty() || context_id == conversation {
        true => Ok(()),
        false => Err(Error::task_not_found(id)),
    }
}

/// The events up to one of another conversation.
fn own_events(conversation: Arc<str>, events: Events) -> Events {
    let items = stream::unfold(Some((events.0, conversation)), |reading| async move {
        let (mut events, conversation) = reading?;
        let item = events.next().await?.and_then(|event| {
            let (id, context_id) = match &event.response {
                StreamResponse::Task(task) => (&task.id, &task.context_id),
                StreamResponse::StatusUpdate(update) => (&update.task_id, &update.context_id),
                StreamResponse::ArtifactUpdate(update) => (&update.task_id, &update.context_id),
                StreamResponse::Message(_) => return Ok(event),
            };
            own(&conversation, id, context_id).map(|()| event)
        });
        let goes_on = item.is_ok();
        Some((item, goes_on.then_some((events, conversation))))
    });
    Events(items.boxed())
}

/// Lengths first: no text of one can look like a piece of another.
fn joined(texts: &[&str]) -> String {
    texts.iter().map(|text| format!("{}|{text}", text.len())).collect()
}
