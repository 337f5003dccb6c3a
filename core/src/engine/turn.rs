//! Claims: which journal a message goes to, whose turn it is, and the run that follows.
//!
//! Owns: admission against the journal, what a caller's key stands for, and recording the claim to
//! work on a message. Must never know: what is answered, how a run records, transports.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::BoxFuture};
use tokio::sync::oneshot;

use crate::{
    agent::RequestContext,
    agent::Scope,
    call::Caller,
    engine::recorder::{Answer, Want, now},
    engine::run::Run,
    engine::writer::{Ledger, Refused},
    error::{Error, ErrorKind},
    handler::DefaultRequestHandler,
    store::Journal,
    task::admit::{self, Admission},
    task::{Entry, Fold, KeyUsed, Slot, Started, Submitted, TaskKey},
    types::{Message, SendMessageRequest, Task, TaskState},
};

/// What admission leads to.
pub(crate) enum Admitted {
    /// A run on that task, to be driven, and where its answer comes.
    Begun(TaskKey, BoxFuture<'static, ()>, Reply),
    /// The journal of an earlier delivery, which is answered or is being worked on.
    Known(TaskKey, Vec<Slot>),
}

type Reply = oneshot::Receiver<Result<Answer, Error>>;

impl DefaultRequestHandler {
    /// Finds or makes the message's journal, waits for its turn and claims the work on it.
    pub(crate) async fn admit(
        &self,
        caller: &Arc<Caller>,
        mut request: SendMessageRequest,
        want: Want,
    ) -> Result<Admitted, Error> {
        let named = request.message.task_id.take();
        let tenant = request.tenant.clone().unwrap_or_default();
        let id = match (&named, &caller.key) {
            (Some(id), _) => Arc::clone(id),
            (None, Some(request_key)) => request_key.id("task"),
            (None, None) => self.env.id(),
        };
        let key = TaskKey { tenant, id };
        let deadline = self.deadline(caller);
        let expired = self.is_expired(caller);
        let mut journal = None;
        if named.is_some() {
            let found = self.read_owned(&key, caller).await?;
            if !Fold::replay(Arc::clone(&key.id), &found.slots).is_task() {
                return Err(Error::task_not_found(&key.id));
            }
            journal = Some(found);
        } else if expired {
            // It is not begun. But it may have been, before.
            journal = Some(self.read_owned(&key, caller).await.map_err(not_begun)?);
        }
        // The first may only tell that the request is known already.
        let mut tries = self.limits.append_tries.max(2);
        while tries > 0 {
            let (slots, claimed) =
                journal.take().map_or_else(Default::default, |journal: Journal| {
                    (journal.slots, !journal.head.phase.is_listed())
                });
            let ledger = self.ledger(&key, &caller.owner, &slots, claimed);
            let decision = match slots.is_empty() {
                true => Admission::Begin,
                false => {
                    admit::message(&slots, &ledger.fold, &request.message, caller, &self.limits)?
                }
            };
            if expired && matches!(decision, Admission::Begin | Admission::Wait) {
                return Err(Error::expired());
            }
            match decision {
                Admission::Answered => return Ok(Admitted::Known(key, slots)),
                // It is a task already, and whoever wants to see it at work need not wait.
                Admission::Join if want != Want::Settled && !claimed => {
                    return Ok(Admitted::Known(key, slots));
                }
                // Waiting is bounded by the deadline, not by how often the task changes meanwhile.
                Admission::Join | Admission::Wait => {
                    let any = decision == Admission::Join && want != Want::Settled;
                    // Rare, and large: boxed, so that a call that need not wait stays small.
                    Box::pin(self.wait_turn(ledger, any, caller, deadline)).await?;
                }
                Admission::GiveUp => Box::pin(self.fail_orphan(ledger)).await?,
                Admission::Begin | Admission::Restart(_) => {
                    if named.is_some() && decision == Admission::Begin {
                        self.use_key(caller, &key).await?;
                    }
                    let claim = Claim::new(decision, ledger, &slots);
                    if let Some((run, answer)) = self.begin(caller, claim, &request, want).await? {
                        return Ok(Admitted::Begun(key, run, answer));
                    }
                    tries -= 1;
                }
            }
            journal = Some(self.read_owned(&key, caller).await?);
        }
        Err(Error::new(ErrorKind::Unavailable, "The task is too busy; try again."))
    }

    /// A key of the caller's own stands for one request. The journal that is called after it would
    /// be a new task's; for a message to another task it says so, before that task's own journal
    /// does. Who is stopped between the two finds it there and goes on.
    ///
    /// # Errors
    /// When it stands for something else.
    async fn use_key(&self, caller: &Caller, used_for: &TaskKey) -> Result<(), Error> {
        let Some(request_key) = caller.key.as_ref().filter(|key| !key.takes_over()) else {
            return Ok(());
        };
        let key = TaskKey { id: request_key.id("task"), ..used_for.clone() };
        let mut ledger = self.ledger(&key, &caller.owner, &[], false);
        let task_id = Arc::clone(&used_for.id);
        let used = Entry::KeyUsed(KeyUsed { task_id, at: self.env.now() });
        match ledger.append(vec![used], false, |_| false).await {
            Ok(()) => Ok(()),
            Err(Refused::Overtaken) if ledger.fold.used_for.as_ref() == Some(&used_for.id) => {
                Ok(())
            }
            Err(Refused::Overtaken) => Err(admit::key_is_taken()),
            Err(Refused::Store(error)) => Err(error.into()),
            Err(Refused::TooLarge) => Err(Error::internal("a task's id is too large to record")),
        }
    }

    /// Records the message and the claim to work on it. `None` when somebody else was first.
    pub(crate) async fn begin(
        &self,
        caller: &Arc<Caller>,
        claim: Claim,
        request: &SendMessageRequest,
        want: Want,
    ) -> Result<Option<(BoxFuture<'static, ()>, Reply)>, Error> {
        let Claim { mut ledger, before, attempt } = claim;
        let scope = self.scope(caller, &ledger, &request.message);
        let message = Arc::new(Message {
            task_id: Some(Arc::clone(&scope.task_id)),
            context_id: Some(Arc::clone(&scope.context_id)),
            ..request.message.clone()
        });
        let new = attempt == 1 && before.is_none();
        let context = RequestContext {
            message,
            task: before,
            key: ledger.key.clone(),
            context_id: Arc::clone(&scope.context_id),
            caller: Arc::clone(caller),
            attempt,
            deadline: self.deadline(caller),
            configuration: request.configuration.clone().map(Arc::new),
            metadata: request.metadata.clone(),
            store: Arc::clone(&self.store),
            max_related: self.limits.related,
        };
        let runner = self.env.id();
        let entries = self.claim(&context, &scope, &runner);
        if new && caller.key.is_none() {
            // Nobody else can know this id: the claim is recorded together with what comes of it.
            ledger.pending = entries;
        } else {
            // A reply without a task must stay possible, so a claim alone is not listed.
            let listed = !new && !ledger.claimed;
            match ledger.append(entries, listed, |_| false).await {
                Ok(()) => {}
                Err(Refused::Overtaken) => return Ok(None),
                Err(Refused::TooLarge) => {
                    let sentence = "The message is too large to record.";
                    return Err(Error::new(ErrorKind::TooLarge, sentence));
                }
                Err(Refused::Store(error)) => return Err(error.into()),
            }
        }
        let (answer, receiver) = oneshot::channel();
        let (executor, limits) = (Arc::clone(&self.executor), Arc::clone(&self.limits));
        let run = Run { ledger, executor, context, scope, runner, limits, want, answer };
        Ok(Some((Box::pin(run.drive()), receiver)))
    }

    /// The entries of a claim: the message, unless it is recorded already, and that work on it
    /// begins.
    fn claim(&self, context: &RequestContext, scope: &Scope, runner: &Arc<str>) -> Vec<Entry> {
        let at = self.env.now();
        let attempt = context.attempt;
        let mut entries = Vec::with_capacity(3);
        if attempt == 1 {
            entries.push(Entry::Submitted(Submitted {
                message: Arc::clone(&context.message),
                request: context.caller.key.as_ref().map(|key| Arc::clone(key.as_str())),
                configuration: context.configuration.clone(),
                metadata: context.metadata.clone(),
                expires: context.caller.expires,
                at,
            }));
        }
        entries.push(Entry::Started(Started { runner: Arc::clone(runner), attempt, at }));
        if context.task.is_some() {
            entries.push(scope.status(TaskState::Working, None));
        }
        entries
    }

    pub(crate) fn scope(&self, caller: &Caller, ledger: &Ledger, message: &Message) -> Scope {
        let context_id = match (&message.context_id, &caller.key) {
            _ if ledger.fold.messages > 0 => Arc::clone(&ledger.fold.task.context_id),
            (Some(id), _) => Arc::clone(id),
            (None, Some(key)) => key.id("context"),
            (None, None) => self.env.id(),
        };
        Scope {
            task_id: Arc::clone(&ledger.key.id),
            context_id,
            env: self.env.clone(),
            max_entry: self.limits.entry,
        }
    }

    pub(crate) fn ledger(
        &self,
        key: &TaskKey,
        owner: &Arc<str>,
        slots: &[Slot],
        claimed: bool,
    ) -> Ledger {
        Ledger {
            store: Arc::clone(&self.store),
            key: key.clone(),
            owner: Arc::clone(owner),
            fold: Fold::replay(Arc::clone(&key.id), slots),
            pending: Vec::new(),
            claimed,
            tries: self.limits.append_tries,
            patience: self.limits.store_patience,
        }
    }

    /// Waits until nobody is at work on the task, or until `any` slot comes. Work that nobody does
    /// any more is taken over.
    async fn wait_turn(
        &self,
        ledger: Ledger,
        any: bool,
        caller: &Caller,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut tail = ledger.tail();
        let mut seen = ledger.fold.cursor.version;
        let rests = |entry: &Entry| {
            let interrupts = matches!(entry, Entry::Status(it) if it.status.state.is_interrupted());
            interrupts || entry.ends_run()
        };
        let rest = async {
            loop {
                match tokio::time::timeout(self.limits.lease, tail.next()).await {
                    Ok(None) => return Ok(()),
                    Ok(Some(slot)) => {
                        let slot = slot?;
                        seen = slot.version;
                        if any || slot.entries.iter().any(rests) {
                            return Ok(());
                        }
                    }
                    Err(_) => _ = self.take_over(&ledger.key, seen, caller.deadline).await?,
                }
            }
        };
        tokio::time::timeout_at(deadline.into(), rest).await.unwrap_or_else(|_| {
            let sentence = "The agent is still at work on this task; try again later.";
            Err(Error::new(ErrorKind::Unavailable, sentence))
        })
    }

    /// When a run begun now must have its outcome.
    pub(crate) fn deadline(&self, caller: &Caller) -> Instant {
        /// As good as never.
        const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
        let longest = now() + self.limits.run_time.min(LONGEST);
        let margin = self.limits.deadline_margin;
        let of_call = caller.deadline.map(|at| at.checked_sub(margin).unwrap_or(at));
        let of_client = self.expiry(caller);
        [of_call, of_client].into_iter().flatten().fold(longest, Instant::min)
    }

    /// When nobody waits for the answer any more, by the client's own word.
    pub(crate) fn expiry(&self, caller: &Caller) -> Option<Instant> {
        let left = caller.expires?.as_millis().saturating_sub(self.env.now().as_millis());
        now().checked_add(Duration::from_millis(left.try_into().unwrap_or(0)))
    }

    /// Whether that has been.
    pub(crate) fn is_expired(&self, caller: &Caller) -> bool {
        caller.expires.is_some_and(|at| at <= self.env.now())
    }
}

/// A request that nobody has begun, after its deadline.
fn not_begun(error: Error) -> Error {
    if error.kind() == ErrorKind::TaskNotFound { Error::expired() } else { error }
}

/// A claim about to be made: on what, after which task, and which attempt it is.
pub(crate) struct Claim {
    ledger: Ledger,
    before: Option<Arc<Task>>,
    attempt: u32,
}

impl Claim {
    pub(crate) fn new(decision: Admission, mut ledger: Ledger, slots: &[Slot]) -> Self {
        let Admission::Restart(attempt) = decision else {
            let before = (ledger.fold.messages > 0).then(|| Arc::new(ledger.fold.task.clone()));
            return Self { ledger, before, attempt: 1 };
        };
        // What the attempt before recorded no longer counts, here as for every later reader.
        let cursor = ledger.fold.cursor;
        let (fold, before) = admit::restart(&ledger.key.id, slots);
        ledger.fold = Fold { cursor, ..fold };
        Self { ledger, before: before.map(Arc::new), attempt }
    }
}
