//! Taking over work that nobody does any more.
//!
//! Owns: how a runner that is gone is noticed by those who read its task, and what becomes of its
//! work. No clocks of different machines are compared: a journal counts as orphaned when this
//! process saw nothing come of it for a lease. Must never know: transports, how a run records.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::Instant;

use crate::{
    call::{Caller, RequestKey},
    engine::follow::Tail,
    engine::recorder::Want,
    engine::turn::Claim,
    engine::writer::Refused,
    error::Error,
    handler::DefaultRequestHandler,
    task::admit::{self, Admission},
    task::{Fold, TaskKey, Version},
    types::{Message, Part, SendMessageRequest, TaskState},
};

impl DefaultRequestHandler {
    /// Whoever shows a task looks whether somebody is at work on it, by what the last one who
    /// showed it saw. If not, the work is taken over beside the answer: where there is no
    /// [`Sweeper`](crate::Sweeper), as in a function, a client that asks again and again finds its
    /// task done all the same.
    pub(crate) fn look_after(&self, key: &TaskKey, fold: &Fold, caller: &Caller) {
        let seen = fold.cursor.version;
        if fold.is_settled() || !self.watch.is_silent(key, seen, self.limits.lease) {
            return;
        }
        let (handler, key, deadline) = (self.clone(), key.clone(), caller.deadline);
        self.runs.spawn(async move {
            if let Err(error) = handler.take_over(&key, seen, deadline).await {
                tracing::warn!(task = %key.id, %error, "work could not be taken over");
            }
        });
    }

    /// The same tail. When it brings nothing for a lease, its reader looks whether the work is to be
    /// taken over. `seen` is the journal's version where the tail begins or later.
    pub(crate) fn tended(&self, key: TaskKey, seen: Version, tail: Tail, caller: &Caller) -> Tail {
        let state = (self.clone(), key, seen, tail, caller.deadline);
        let slots = stream::unfold(
            state,
            |(handler, key, mut seen, mut tail, deadline)| async move {
                let slot = loop {
                    // Most are there already, and want no timer.
                    if let Some(slot) = tail.next().now_or_never() {
                        break slot?;
                    }
                    match tokio::time::timeout(handler.limits.lease, tail.next()).await {
                        Ok(slot) => break slot?,
                        Err(_) => {
                            if let Err(error) = handler.take_over(&key, seen, deadline).await {
                                tracing::warn!(task = %key.id, %error, "work could not be taken over");
                            }
                        }
                    }
                };
                if let Ok(slot) = &slot {
                    seen = seen.max(slot.version);
                }
                Some((slot, (handler, key, seen, tail, deadline)))
            },
        );
        slots.boxed()
    }

    /// Takes over the work on a task whose runner is gone: begins it again, or fails the task when
    /// that was tried often enough. `seen` is the journal's version at the beginning of a lease in
    /// which nothing was added; when there is more by now, somebody is at work. `deadline` is that
    /// of the call which takes it over, if one does. Answers whether it was taken over.
    pub(crate) async fn take_over(
        &self,
        key: &TaskKey,
        seen: Version,
        deadline: Option<std::time::Instant>,
    ) -> Result<bool, Error> {
        let Some(journal) = self.store.read(key, 0).await? else { return Ok(false) };
        let claimed = !journal.head.phase.is_listed();
        let ledger = self.ledger(key, &journal.head.owner, &journal.slots, claimed);
        if ledger.fold.cursor.version != seen || ledger.fold.is_settled() {
            return Ok(false);
        }
        let Some(submitted) = admit::newest(&journal.slots) else { return Ok(false) };
        let attempt = ledger.fold.attempt.unwrap_or(0);
        tracing::warn!(task = %key.id, attempt, "a runner is gone; its work is taken over");
        if attempt >= self.limits.attempts {
            return self.fail_orphan(ledger).await.map(|()| true);
        }
        let caller = Arc::new(Caller {
            owner: Arc::clone(&journal.head.owner),
            key: submitted.request.clone().map(RequestKey::new),
            deadline,
            expires: submitted.expires,
            ..Caller::default()
        });
        let request = SendMessageRequest {
            tenant: None,
            message: Message::clone(&submitted.message),
            configuration: submitted.configuration.as_deref().cloned(),
            metadata: submitted.metadata.clone(),
        };
        let claim = Claim::new(Admission::Restart(attempt + 1), ledger, &journal.slots);
        match self.begin(&caller, claim, &request, Want::Settled).await? {
            // Nobody waits for its answer.
            Some((run, _)) => _ = self.runs.spawn(run),
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Its runners died too often: the task ends here.
    pub(crate) async fn fail_orphan(
        &self,
        mut ledger: crate::engine::writer::Ledger,
    ) -> Result<(), Error> {
        let scope = self.scope(&Caller::default(), &ledger, &Message::default());
        let sentence = "The agent could not finish this, although it was tried several times.";
        let message = scope.message(vec![Part::text(sentence)], true);
        let failed = scope.status(TaskState::Failed, Some(message));
        match ledger.append(vec![failed], true, |_| false).await {
            Ok(()) | Err(Refused::Overtaken) => Ok(()),
            Err(Refused::Store(error)) => Err(error.into()),
            Err(Refused::TooLarge) => Err(Error::internal("a sentence is too large to record")),
        }
    }
}

/// How journals at work stood when this process first showed them so; those of the last while.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<HashMap<TaskKey, (Version, Instant)>>);

impl Watch {
    /// How many are remembered.
    const KEPT: usize = 4_096;

    /// Whether the journal stands where it stood a lease ago. What is said once is not said again
    /// for another lease.
    fn is_silent(&self, key: &TaskKey, version: Version, lease: Duration) -> bool {
        let (mut seen, now) = (self.lock(), Instant::now());
        if let Some((known, since)) = seen.get_mut(key) {
            let silent = *known == version && now - *since >= lease;
            if silent || *known != version {
                (*known, *since) = (version, now);
            }
            return silent;
        }
        if seen.len() >= Self::KEPT {
            // Whoever still asks for them begins anew.
            seen.retain(|_, (_, since)| now - *since < lease);
        }
        if seen.len() < Self::KEPT {
            seen.insert(key.clone(), (version, now));
        }
        false
    }

    /// While the store is away nobody can show a sign of life: everybody is given a new lease.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskKey, (Version, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
