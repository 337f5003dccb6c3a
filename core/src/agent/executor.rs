//! What an agent's author writes, and what it is given.
//!
//! Owns: the trait and its context. Must never know: journals' slots, transports.

use std::{fmt, sync::Arc, time::Instant};

use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    agent::{EventQueue, Steps},
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
    /// None where there is no run, as for a clean-up.
    pub(crate) steps: Option<Arc<Steps>>,
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

    /// When the run is ended, whatever it has: by its own time, or its host's as far as that is
    /// known.
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

    /// Does work that is not to be done twice: a model's answer, a payment, a peer's call. Its value
    /// is recorded in the task's journal before this returns, and the next attempt at the same
    /// message, after a crash, a shutdown or the end of an invocation, gets it from there without
    /// doing the work.
    ///
    /// ```
    /// use a2a_core::{AgentError, AgentExecutor, EventQueue, RequestContext, async_trait};
    ///
    /// struct Author;
    /// # async fn ask(_: String) -> Result<String, AgentError> { Ok(String::new()) }
    ///
    /// #[async_trait]
    /// impl AgentExecutor for Author {
    ///     async fn execute(
    ///         &self,
    ///         context: RequestContext,
    ///         queue: EventQueue,
    ///     ) -> Result<(), AgentError> {
    ///         let draft = context.step("draft", ask(context.text())).await?;
    ///         // Cheap, and the same each time: it needs no step.
    ///         let question = format!("Is this correct? {draft}");
    ///         let (facts, style) = tokio::try_join!(
    ///             context.step("facts", ask(question.clone())),
    ///             context.step("style", ask(question)),
    ///         )?;
    ///         Ok(queue.complete(format!("{draft}\n{facts}\n{style}")).await?)
    ///     }
    /// }
    /// ```
    ///
    /// Inside a step belongs what has an effect, costs something, or comes out differently each time
    /// (the time, a random number). All else is simply done again: the next attempt begins at the
    /// beginning, and passes over the steps that are done. So what decides which steps are called
    /// must come from the message, the task before it, or steps.
    ///
    /// - A step's *name* is its identity, with how often that name was called before in the run:
    ///   steps of one name must be called in the same order at each attempt.
    /// - The *value* is any serde type that reads as it was written in JSON, at most
    ///   [`Limits::entry`](crate::Limits::entry) large. It is seen by no caller.
    /// - A step that *fails*, or that is dropped because the task is canceled or its time is over, is
    ///   not done. One whose process dies at its very end may be done once more: give a service that
    ///   can tell, such as one of payments, [`task_id`](Self::task_id) and the step's name as its
    ///   idempotency key.
    /// - What the agent *emits* inside a step is told at once, and is told again by an attempt that
    ///   takes the step from the journal. It must be emitted by the step's own future, not by a task
    ///   that this spawns.
    ///
    /// # Errors
    /// The work's own; and as an [`AgentError`] when the task no longer takes events, the value
    /// cannot be recorded or is not one of this type, or there are too many steps
    /// ([`Limits::steps`](crate::Limits::steps)). An agent passes it on with `?`.
    pub fn step<T, E, W>(
        &self,
        name: &str,
        work: W,
    ) -> impl Future<Output = Result<T, E>> + use<T, E, W>
    where
        T: Serialize + DeserializeOwned,
        E: From<AgentError>,
        W: Future<Output = Result<T, E>>,
    {
        let step = self.steps.as_ref().map(|steps| steps.next(name));
        // It may be large, and steps may stand in steps.
        let work = Box::pin(work);
        async move {
            match step {
                Some(step) => step?.run(work).await,
                None => work.await,
            }
        }
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
