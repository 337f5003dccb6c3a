//! The one request handler under every transport.
//!
//! Owns: each operation's flow over the journal, and who may see which task. Must never know: how a
//! call arrived, what an agent does, how a store stores.

use std::{pin::pin, sync::Arc};

use futures_util::FutureExt;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use crate::{
    agent::Scope,
    agent::{AgentExecutor, RequestContext},
    auth::owner::Callers,
    call::{Call, Caller, Events, Reply, StreamsEnd},
    engine::follow::{self, EndsAt, tail_from},
    engine::page::PageKey,
    engine::takeover::Watch,
    engine::writer::{Ledger, Refused},
    env::Env,
    error::{Error, ErrorKind},
    limits::Limits,
    store::{Journal, TaskStore},
    task::admit,
    task::{CancelRequested, Entry, Fold, TaskKey},
    types::{
        AgentCard, AgentInterface, CancelTaskRequest, GetTaskRequest, SubscribeToTaskRequest, Task,
        TaskState,
    },
};

/// Serves every operation for one agent: an executor, a store and a card. Cheap to clone; all
/// clones are one handler.
///
/// ```
/// use std::sync::Arc;
/// use a2a_core::{
///     AgentCard, AgentError, AgentExecutor, Call, Caller, DefaultRequestHandler, EventQueue,
///     MemoryStore, Message, Part, Reply, RequestContext, SendMessageRequest,
///     SendMessageResponse, async_trait,
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
/// let message = Message::user("message-1", vec![Part::text("hello")]);
/// let request = SendMessageRequest { message, ..Default::default() };
/// let reply = handler.call(Caller::default(), Call::SendMessage(request)).await?;
/// let Reply::Sent(SendMessageResponse::Task(task)) = reply else {
///     panic!("the agent answers with a task")
/// };
/// assert_eq!(task.status.message.unwrap().text(), "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DefaultRequestHandler {
    pub(crate) card: Arc<AgentCard>,
    pub(crate) executor: Arc<dyn AgentExecutor>,
    pub(crate) store: Arc<dyn TaskStore>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) env: Env,
    /// Runs that go on without their caller.
    pub(crate) runs: TaskTracker,
    pub(crate) closing: CancellationToken,
    pub(crate) pages: Arc<PageKey>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) callers: Callers,
    check_media_types: bool,
}

impl DefaultRequestHandler {
    /// A handler for this agent, with default limits and the system's clock.
    pub fn new(
        card: AgentCard,
        executor: Arc<dyn AgentExecutor>,
        store: Arc<dyn TaskStore>,
    ) -> Self {
        Self {
            pages: Arc::new(PageKey::new(card.name.as_bytes())),
            card: Arc::new(card),
            executor,
            store,
            limits: Arc::default(),
            env: Env::system(),
            runs: TaskTracker::new(),
            closing: CancellationToken::new(),
            watch: Arc::default(),
            callers: Callers::default(),
            check_media_types: true,
        }
    }

    /// The same handler within these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = Arc::new(limits);
        self
    }

    /// The same handler with this clock and these ids.
    #[must_use]
    pub fn with_env(mut self, env: Env) -> Self {
        self.env = env;
        self
    }

    /// Whether parts whose media type the card does not name are refused (specification section
    /// 3.3.2); they are, by default.
    #[must_use]
    pub fn check_media_types(mut self, check: bool) -> Self {
        self.check_media_types = check;
        self
    }

    /// The same handler with page tokens signed with this secret, which all instances must share.
    /// Without one they are signed with the agent's name: that finds mistakes, but whoever knows it
    /// can make tokens of their own. Those lead through nobody's list but their own.
    #[must_use]
    pub fn with_secret(mut self, secret: &[u8]) -> Self {
        self.pages = Arc::new(PageKey::new(secret));
        self
    }

    /// The same handler, whose agent is also reached there, as its card says then.
    #[must_use]
    pub fn also_at(mut self, interface: AgentInterface) -> Self {
        Arc::make_mut(&mut self.card).supported_interfaces.push(interface);
        self
    }

    /// The agent's public card.
    pub fn card(&self) -> &Arc<AgentCard> {
        &self.card
    }

    /// The bounds this handler works within.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Serves one call.
    ///
    /// # Errors
    /// Every error of the specification's section 3.3.2 in its place; the cause of a fault of the
    /// server's is logged and not told.
    pub async fn call(&self, caller: Caller, call: Call) -> Result<Reply, Error> {
        let operation = operation(&call);
        // At debug: a span that nobody reads costs a fast call a tenth of its time.
        let span = tracing::debug_span!("call", operation, owner = %caller.owner);
        // Pinned where it is: it is large, and would be moved twice.
        let outcome = pin!(self.serve(Arc::new(caller), call)).instrument(span).await;
        match &outcome {
            Err(error) if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Unavailable) => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                tracing::error!(operation, kind = ?error.kind(), cause, "a call failed");
            }
            Err(error) => {
                tracing::debug!(operation, kind = ?error.kind(), %error, "a call was refused");
            }
            Ok(_) => tracing::debug!(operation, "a call was served"),
        }
        outcome
    }

    async fn serve(&self, caller: Arc<Caller>, call: Call) -> Result<Reply, Error> {
        admit::call(&call, &caller, &self.card)?;
        if let Call::SendMessage(request) | Call::SendStreamingMessage(request) = &call
            && self.check_media_types
        {
            admit::media_types(request, &self.card)?;
        }
        let may_be_known = matches!(
            call,
            Call::SendMessage(_) | Call::SendStreamingMessage(_) | Call::CancelTask(_)
        );
        if !may_be_known && self.is_expired(&caller) {
            return Err(Error::expired());
        }
        match call {
            Call::SendMessage(request) => self.send(&caller, request).await.map(Reply::Sent),
            Call::SendStreamingMessage(request) => {
                self.send_streaming(&caller, request).await.map(Reply::Events)
            }
            Call::GetTask(request) => self.get_task(&caller, &request).await.map(Reply::Task),
            Call::ListTasks(request) => self.list_tasks(&caller, request).await.map(Reply::Tasks),
            Call::CancelTask(request) => self.cancel_task(&caller, &request).await.map(Reply::Task),
            Call::SubscribeToTask(request) => {
                let events = self.subscribe(&caller, &request).await?;
                let until = self.expiry(&caller);
                Ok(Reply::Events(follow::until(until, events)))
            }
            Call::GetAgentCard => Ok(Reply::Card(Arc::clone(&self.card))),
            // `admit::call` refuses the rest, each with its own error.
            _ => Err(Error::new(ErrorKind::UnsupportedOperation, "This agent does not do this.")),
        }
    }

    async fn get_task(
        &self,
        caller: &Caller,
        request: &GetTaskRequest,
    ) -> Result<Box<Task>, Error> {
        let key = admit::key(request.tenant.as_ref(), &request.id);
        let (_, fold) = self.load(&key, caller).await?;
        self.look_after(&key, &fold, caller);
        let mut task = fold.task;
        admit::trim_history(&mut task, request.history_length);
        Ok(Box::new(task))
    }

    async fn cancel_task(
        &self,
        caller: &Arc<Caller>,
        request: &CancelTaskRequest,
    ) -> Result<Box<Task>, Error> {
        let key = admit::key(request.tenant.as_ref(), &request.id);
        for _ in 0..self.limits.append_tries.max(1) {
            let (journal, fold) = self.load(&key, caller).await?;
            if let Some(task) = admit::canceled(&key.id, &journal.slots, caller) {
                // Whoever recorded it may have died before its clean-up.
                self.clean_up(caller, &key, &task, request).await;
                return Ok(Box::new(task));
            }
            if self.is_expired(caller) {
                return Err(Error::expired());
            }
            admit::cancel(&fold.task)?;
            let scope = Scope {
                task_id: Arc::clone(&key.id),
                context_id: Arc::clone(&fold.task.context_id),
                env: self.env.clone(),
                max_entry: self.limits.entry,
            };
            let mut ledger = Ledger {
                store: Arc::clone(&self.store),
                key: key.clone(),
                owner: journal.head.owner,
                fold,
                pending: Vec::new(),
                claimed: false,
                tries: self.limits.append_tries,
                patience: self.limits.store_patience,
            };
            let request_key = caller.key.as_ref().map(|key| Arc::clone(key.as_str()));
            let requested =
                request_key.map(|request| Entry::CancelRequested(CancelRequested { request }));
            let canceled = scope.status(TaskState::Canceled, None);
            let entries = requested.into_iter().chain([canceled]).collect();
            // Events of the run that come first do not matter; its end does, and so does another
            // attempt, with which they no longer count.
            let on_top = |slot: &crate::task::Slot| {
                let changes = |it: &Entry| it.ends_run() || matches!(it, Entry::Started(_));
                !slot.entries.iter().any(changes)
            };
            match ledger.append(entries, true, on_top).await {
                Ok(()) => {
                    let task = ledger.fold.task;
                    self.clean_up(caller, &key, &task, request).await;
                    return Ok(Box::new(task));
                }
                Err(Refused::Overtaken) => {}
                Err(Refused::Store(error)) => return Err(error.into()),
                Err(Refused::TooLarge) => return Err(Error::internal("a cancel is too large")),
            }
        }
        Err(Error::new(ErrorKind::Unavailable, "The task is too busy; try again."))
    }

    /// The executor's own clean-up; whatever becomes of it, the task is canceled.
    async fn clean_up(
        &self,
        caller: &Arc<Caller>,
        key: &TaskKey,
        task: &Task,
        request: &CancelTaskRequest,
    ) {
        let Some(message) =
            task.history.iter().rev().find(|it| it.role == crate::types::Role::User)
        else {
            return;
        };
        let now = tokio::time::Instant::now().into_std();
        let deadline = self.deadline(caller).min(now + self.limits.cancel_time);
        let context = RequestContext {
            message: Arc::clone(message),
            task: Some(Arc::new(task.clone())),
            key: key.clone(),
            context_id: Arc::clone(&task.context_id),
            caller: Arc::clone(caller),
            attempt: 1,
            deadline,
            configuration: None,
            metadata: request.metadata.clone(),
            store: Arc::clone(&self.store),
            max_related: self.limits.related,
        };
        let (executor, key) = (Arc::clone(&self.executor), key.clone());
        let limit = deadline.saturating_duration_since(now);
        let work = std::panic::AssertUnwindSafe(async move { executor.cancel(context).await });
        let cleaned = self.runs.spawn(async move {
            match tokio::time::timeout(limit, work.catch_unwind()).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => {
                    tracing::error!(task = %key.id, %error, "an agent's clean-up failed");
                }
                Ok(Err(_)) => tracing::error!(task = %key.id, "an agent's clean-up panicked"),
                Err(_) => tracing::error!(task = %key.id, "an agent's clean-up took too long"),
            }
        });
        // The caller waits for it, but it does not wait for the caller.
        let _ = cleaned.await;
    }

    async fn subscribe(
        &self,
        caller: &Caller,
        request: &SubscribeToTaskRequest,
    ) -> Result<Events, Error> {
        let key = admit::key(request.tenant.as_ref(), &request.id);
        let (_, fold) = self.load(&key, caller).await?;
        self.look_after(&key, &fold, caller);
        let tail_at = |cursor| {
            let tail = tail_from(&self.store, &key, cursor);
            self.tended(key.clone(), fold.cursor.version, tail, caller)
        };
        let at_rest = caller.streams_end == StreamsEnd::AtRest;
        let ends = EndsAt { input_required: at_rest, auth_required: at_rest };
        let state = fold.task.status.state;
        match caller.resume {
            Some(resume) if resume > fold.cursor => {
                Err(Error::invalid_field("Last-Event-ID", "is not of an event of this task"))
            }
            Some(resume) if resume < fold.cursor => {
                let tail = tail_at(resume);
                let follow = self.follow(key, tail, resume, ends, state.is_interrupted());
                Ok(Events(follow.events()))
            }
            // There is nothing left to hear of a task that has ended.
            _ if state.is_terminal() => Err(Error::new(
                ErrorKind::UnsupportedOperation,
                format!("The task {:?} has ended ({}).", request.id, state.name()),
            )),
            Some(resume) => {
                let tail = tail_at(resume);
                let follow = self.follow(key, tail, resume, ends, state.is_interrupted());
                Ok(Events(follow.events()))
            }
            None => {
                let tail = tail_at(fold.cursor);
                Ok(self.events_from(key, fold.task, fold.cursor, tail, ends))
            }
        }
    }

    /// A task this caller may see, folded.
    async fn load(&self, key: &TaskKey, caller: &Caller) -> Result<(Journal, Fold), Error> {
        let journal = self.read_owned(key, caller).await?;
        let fold = Fold::replay(Arc::clone(&key.id), &journal.slots);
        // A claim is a task once something has come of it; before that a reply without a task is
        // still possible.
        let visible = fold.is_task() && journal.head.phase.is_listed();
        if visible { Ok((journal, fold)) } else { Err(Error::task_not_found(&key.id)) }
    }

    /// THE ownership check: another owner's task does not exist.
    pub(crate) async fn read_owned(
        &self,
        key: &TaskKey,
        caller: &Caller,
    ) -> Result<Journal, Error> {
        let read = self.store.read(key, 0).await.inspect_err(|_| self.watch.forget());
        match read? {
            Some(journal) if journal.head.owner == caller.owner => Ok(journal),
            _ => Err(Error::task_not_found(&key.id)),
        }
    }

    /// The same handler for one invocation: [`settled`](Self::settled) on it waits for this
    /// invocation's runs only.
    #[must_use]
    pub fn invocation(&self) -> Self {
        Self { runs: TaskTracker::new(), ..self.clone() }
    }

    /// Waits until every run that goes on without its caller has ended. A function calls it before
    /// it returns, because nothing outlives the invocation.
    pub async fn settled(&self) {
        self.runs.close();
        self.runs.wait().await;
        self.runs.reopen();
    }

    /// Whether no run goes on without its caller now.
    pub fn is_settled(&self) -> bool {
        self.runs.is_empty()
    }

    /// Lets go of readers that wait for nobody's work. Calls in progress go on; so do runs.
    pub fn close(&self) {
        self.closing.cancel();
    }
}

impl std::fmt::Debug for DefaultRequestHandler {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter
            .debug_struct("DefaultRequestHandler")
            .field("agent", &self.card.name)
            .finish_non_exhaustive()
    }
}

/// For the log.
fn operation(call: &Call) -> &'static str {
    match call {
        Call::SendMessage(_) => "send",
        Call::SendStreamingMessage(_) => "stream",
        Call::GetTask(_) => "get",
        Call::ListTasks(_) => "list",
        Call::CancelTask(_) => "cancel",
        Call::SubscribeToTask(_) => "subscribe",
        Call::CreateTaskPushNotificationConfig(_) => "push create",
        Call::GetTaskPushNotificationConfig(_) => "push get",
        Call::ListTaskPushNotificationConfigs(_) => "push list",
        Call::DeleteTaskPushNotificationConfig(_) => "push delete",
        Call::GetExtendedAgentCard(_) => "extended card",
        Call::GetAgentCard => "card",
    }
}
