//! The one request handler under every transport.
//!
//! Owns: the agent's card, who its callers are, and which operation of the engine serves a call.
//! Must never know: how a call arrived, how an operation is done.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;
use tracing::Instrument;

#[cfg(feature = "bearer")]
use crate::auth::bearer::Bearer;
use crate::{
    agent::AgentExecutor,
    auth::{Identity, Login},
    call::{Call, Caller, Events, IdempotencyKey, Reply, check},
    engine::{Engine, PageKey, Sweeper, until},
    env::Env,
    error::{Error, ErrorKind},
    limits::Limits,
    store::TaskStore,
    types::{AgentCard, AgentInterface, Timestamp},
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
    card: Arc<AgentCard>,
    engine: Engine,
    identity: Identity,
    check_media_types: bool,
}

impl DefaultRequestHandler {
    /// A handler for this agent, with default limits and the system's clock.
    pub fn new(
        card: AgentCard,
        executor: Arc<dyn AgentExecutor>,
        store: Arc<dyn TaskStore>,
    ) -> Self {
        let engine = Engine::new(executor, store, PageKey::new(card.name.as_bytes()));
        let (card, identity) = (Arc::new(card), Identity::default());
        Self { card, engine, identity, check_media_types: true }
    }

    /// The same handler within these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.engine.limits = Arc::new(limits);
        self
    }

    /// The same handler with this clock and these ids.
    #[must_use]
    pub fn with_env(mut self, env: Env) -> Self {
        self.engine.env = env;
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
    /// Without one they are signed with the agent's name: that finds mistakes, but a caller who
    /// knows it can make tokens of their own. Those lead through nobody's list but their own.
    #[must_use]
    pub fn with_secret(mut self, secret: &[u8]) -> Self {
        self.engine.page_key = Arc::new(PageKey::new(secret));
        self
    }

    /// The same handler, whose agent is also reached there, as its card says then.
    #[must_use]
    pub fn also_at(mut self, interface: AgentInterface) -> Self {
        Arc::make_mut(&mut self.card).supported_interfaces.push(interface);
        self
    }

    /// The same handler for callers who say who they are by credentials of their own: over HTTP in
    /// the header `Authorization`, over Kafka in the record's header `authorization`. The check is
    /// given that header, if there is one, and the time, and answers whose tasks the call is about.
    /// Without one the transport's own authentication decides, where there is any.
    #[must_use]
    pub fn authenticated_by(
        mut self,
        check: impl Fn(Option<&[u8]>, Timestamp) -> Result<Arc<str>, Error> + Send + Sync + 'static,
    ) -> Self {
        let check = move |authorization: Option<&[u8]>, now| {
            Ok(Login { owner: check(authorization, now)?, expires: None })
        };
        self.identity = Identity::checked_by(check);
        self
    }

    /// The same handler for callers who bring such a token, over each transport; its card says so
    /// (specification section 4.5), and stays public. Over HTTP a stream ends with its token.
    #[cfg(feature = "bearer")]
    #[must_use]
    pub fn with_bearer(mut self, bearer: Bearer) -> Self {
        Bearer::declare(Arc::make_mut(&mut self.card));
        self.identity = Identity::checked_by(move |it, now| bearer.login(it, now));
        self
    }

    /// The agent's public card.
    pub fn card(&self) -> &Arc<AgentCard> {
        &self.card
    }

    /// The bounds this handler works within.
    pub fn limits(&self) -> &Limits {
        &self.engine.limits
    }

    /// The time by the handler's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.engine.env.now()
    }

    /// The owner a call acts for, by the credentials it came with, judged at that time, or else as the
    /// transport says.
    pub(crate) fn owner(
        &self,
        of_transport: &Arc<str>,
        authorization: Option<&[u8]>,
        at: impl FnOnce() -> Timestamp,
    ) -> Result<Arc<str>, Error> {
        self.login(of_transport, authorization, at).map(|login| login.owner)
    }

    /// The same, and until when.
    pub(crate) fn login(
        &self,
        of_transport: &Arc<str>,
        authorization: Option<&[u8]>,
        at: impl FnOnce() -> Timestamp,
    ) -> Result<Login, Error> {
        self.identity.login(of_transport, authorization, at)
    }

    /// Whether an earlier delivery of that call was recorded for that owner.
    pub(crate) async fn is_recorded(
        &self,
        owner: &Arc<str>,
        call: &Call,
        key: &IdempotencyKey,
    ) -> Result<bool, Error> {
        self.engine.is_recorded(owner, call, key).await
    }

    /// Serves one call.
    ///
    /// # Errors
    /// Every error of the specification's section 3.3.2 in its place; the cause of a fault of the
    /// server's is logged and not told.
    pub async fn call(&self, caller: Caller, call: Call) -> Result<Reply, Error> {
        let (operation, login_expires) = (call.name(), caller.login_expires);
        // At debug: a span that nobody reads costs a fast call a tenth of its time.
        let span = tracing::debug_span!("call", operation, owner = %caller.owner);
        let outcome = match self.is_expired(&caller, &call) {
            Err(refused) => Err(refused),
            Ok(is_expired) => {
                // Pinned where it is: it is large, and would be moved twice.
                let outcome = pin!(self.serve(Arc::new(caller), call)).instrument(span).await;
                outcome.map_err(|error| match error.kind() {
                    ErrorKind::Internal | ErrorKind::Unavailable => error,
                    _ if is_expired => Error::expired(),
                    _ => error,
                })
            }
        };
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
        match (outcome, login_expires) {
            (Ok(Reply::Events(events)), Some(at)) => Ok(Reply::Events(self.while_in(events, at))),
            (outcome, _) => outcome,
        }
    }

    /// The events for as long as their reader is known to be who it was.
    fn while_in(&self, events: Events, expires: Timestamp) -> Events {
        let left = expires.as_millis().saturating_sub(self.now().as_millis());
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        let sentence = "The stream's credentials have expired: continue it with new ones.";
        match Instant::now().checked_add(left) {
            Some(at) => until(events, at, Error::new(ErrorKind::Unauthenticated, sentence)),
            None => events,
        }
    }

    /// Whether the call is past its deadline, by which it is refused unless it may have its answer
    /// already: what was begun in time. Errors have an order: the protocol's, the deadline's, the
    /// call's own, the task's.
    fn is_expired(&self, caller: &Caller, call: &Call) -> Result<bool, Error> {
        check::protocol(call, caller, &self.card, self.limits())?;
        let is_expired = self.engine.is_expired(caller);
        let may_be_recorded = matches!(
            call,
            Call::SendMessage(_) | Call::SendStreamingMessage(_) | Call::CancelTask(_)
        );
        if is_expired && !may_be_recorded { Err(Error::expired()) } else { Ok(is_expired) }
    }

    async fn serve(&self, caller: Arc<Caller>, call: Call) -> Result<Reply, Error> {
        check::call(&call, &self.card, self.limits())?;
        if let Call::SendMessage(request) | Call::SendStreamingMessage(request) = &call
            && self.check_media_types
        {
            check::media_types(request, &self.card)?;
        }
        let engine = &self.engine;
        // Boxed but for the most frequent: a call is no larger than that one is.
        match call {
            Call::SendMessage(request) => engine.send(&caller, request).await.map(Reply::Sent),
            Call::SendStreamingMessage(request) => {
                Box::pin(engine.send_streaming(&caller, request)).await.map(Reply::Events)
            }
            Call::GetTask(request) => engine.get_task(&caller, &request).await.map(Reply::Task),
            Call::ListTasks(request) => {
                Box::pin(engine.list_tasks(&caller, request)).await.map(Reply::Tasks)
            }
            Call::CancelTask(request) => {
                Box::pin(engine.cancel_task(&caller, &request)).await.map(Reply::Task)
            }
            Call::SubscribeToTask(request) => {
                Box::pin(engine.subscribe(&caller, &request)).await.map(Reply::Events)
            }
            Call::GetAgentCard => Ok(Reply::Card(Arc::clone(&self.card))),
            // `check::call` refuses the rest, each with its own error.
            _ => Err(Error::new(ErrorKind::UnsupportedOperation, "This agent does not do this.")),
        }
    }

    /// What looks for orphans of this handler's agent, and takes them over.
    pub fn sweeper(&self) -> Sweeper {
        Sweeper::new(self.engine.clone())
    }

    /// The same handler for one invocation: [`settled`](Self::settled) on it waits for this
    /// invocation's runs only.
    #[must_use]
    pub fn invocation(&self) -> Self {
        Self { engine: self.engine.invocation(), ..self.clone() }
    }

    /// Waits until every run that goes on without its caller has ended. A function calls it before
    /// it returns, because nothing outlives the invocation.
    pub async fn settled(&self) {
        self.engine.settled().await;
    }

    /// Whether no run goes on without its caller now.
    pub fn is_settled(&self) -> bool {
        self.engine.runs.is_empty()
    }

    /// How much work was not seen to its end since [`invocation`](Self::invocation): its run was
    /// released, or another's was still at work. A record whose work is among it is to be
    /// redelivered, although it may have its answer.
    pub fn released(&self) -> usize {
        self.engine.released.load(Ordering::Relaxed)
    }

    /// Releases every run that is not done, and lets none begin: each is recorded as released, so
    /// that the next attempt begins at once wherever somebody looks, and who waits for one gets a
    /// retriable error. For a server whose time to drain is over; [`settled`](Self::settled) then
    /// waits until all is recorded.
    pub fn release(&self) {
        self.engine.release.cancel();
    }

    /// Ends the streams of tasks that no run is at work on. Calls in progress go on; so do runs.
    pub fn shut_down(&self) {
        self.engine.shutdown.cancel();
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
