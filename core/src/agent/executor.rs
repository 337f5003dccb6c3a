//! What an agent's author writes, and what it is given.
//!
//! Owns: the trait and its context. Must never know: journals' slots, transports.

use std::{fmt, sync::Arc, time::Instant};

use async_trait::async_trait;

use crate::{
    agent::EventQueue,
    call::Caller,
    error::AgentError,
    store::{ListQuery, StoreError, TaskStore},
    task::{Fold, TaskKey},
    types::{Message, Metadata, SendMessageConfiguration, Task},
};

/// An agent: it reads a message and says what comes of it.
///
/// One executor serves every transport and all tasks at once. It keeps nothing about a task itself:
/// what it needs comes in the [`RequestContext`], because the next message may meet another
/// process.
///
/// ```
/// use a2a_core::{AgentError, AgentExecutor, EventQueue, RequestContext, async_trait};
///
/// struct Hello;
///
/// #[async_trait]
/// impl AgentExecutor for Hello {
///     async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
///         queue.complete(format!("Hello, {}!", context.text())).await?;
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait AgentExecutor: Send + Sync + 'static {
    /// Works on one message. What it puts in the queue is the task's life, in that order; the run
    /// must bring the task to an end or to a question. The future is dropped when the task is
    /// canceled.
    ///
    /// # Errors
    /// An error fails the task with its public sentence; so do a panic, a return without an
    /// outcome, and running out of time.
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError>;

    /// Cleans up after a cancel, on the instance that was asked to cancel, which need not be the
    /// one that was running. The task is canceled already. A redelivered cancel cleans up once
    /// more.
    ///
    /// # Errors
    /// An error is logged.
    async fn cancel(&self, context: RequestContext) -> Result<(), AgentError> {
        let _ = context;
        Ok(())
    }
}

/// What an agent is given: the message, what came before it, and who asks.
#[derive(Clone)]
pub struct RequestContext {
    pub(crate) message: Arc<Message>,
    pub(crate) task: Option<Arc<Task>>,
    pub(crate) key: TaskKey,
    pub(crate) context_id: Arc<str>,
    pub(crate) caller: Arc<Caller>,
    pub(crate) attempt: u32,
    pub(crate) deadline: Instant,
    pub(crate) configuration: Option<Arc<SendMessageConfiguration>>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) store: Arc<dyn TaskStore>,
    pub(crate) max_related: u32,
}

impl RequestContext {
    /// The message to work on.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The message's text parts, joined by line breaks.
    pub fn text(&self) -> String {
        self.message.text()
    }

    /// The task as it stood before this message; none at its first.
    pub fn task(&self) -> Option<&Task> {
        self.task.as_deref()
    }

    /// The task's id.
    pub fn task_id(&self) -> &str {
        &self.key.id
    }

    /// The conversation's id.
    pub fn context_id(&self) -> &str {
        &self.context_id
    }

    /// The tenant, empty for none.
    pub fn tenant(&self) -> &str {
        &self.key.tenant
    }

    /// Who asks.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// 1, or more when an earlier runner died over this message: outside effects may be there
    /// already.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// When the run is ended, whatever it has.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How the caller wants to be answered, for example in which media types.
    pub fn configuration(&self) -> Option<&SendMessageConfiguration> {
        self.configuration.as_deref()
    }

    /// The request's own metadata.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// The other tasks of this conversation, newest first, at most
    /// [`Limits::related`](crate::Limits::related).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn related(&self) -> Result<Vec<Task>, AgentError> {
        self.read_related().await.map_err(|error| {
            AgentError::new("Earlier tasks of this conversation could not be read.")
                .with_source(error)
        })
    }

    async fn read_related(&self) -> Result<Vec<Task>, StoreError> {
        let query = ListQuery {
            tenant: Arc::clone(&self.key.tenant),
            owner: Arc::clone(&self.caller.owner),
            context_id: Some(Arc::clone(&self.context_id)),
            state: None,
            since: None,
            after: None,
            // One more than asked for, since this task may be among them.
            limit: self.max_related + 1,
        };
        let mut tasks = Vec::new();
        for (id, _) in self.store.list(&query).await?.rows {
            if id == self.key.id || tasks.len() == self.max_related as usize {
                continue;
            }
            let key = TaskKey { tenant: Arc::clone(&self.key.tenant), id: Arc::clone(&id) };
            if let Some(journal) = self.store.read(&key, 0).await? {
                tasks.push(Fold::replay(id, &journal.slots).task);
            }
        }
        Ok(tasks)
    }
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter
            .debug_struct("RequestContext")
            .field("key", &self.key)
            .field("context_id", &self.context_id)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
