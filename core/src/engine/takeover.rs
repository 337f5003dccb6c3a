//! Taking over orphans: work whose runner is gone.
//!
//! Owns: how those who read a task notice that its lease has expired, and what becomes of the work.
//! No clocks of different machines are compared: a journal is an orphan when this process saw
//! nothing appended to it for a lease. Must never know: transports, how a run records.

use std::{sync::Arc, time::Instant};

use futures_util::{FutureExt, StreamExt, stream};

use super::{follow::Tail, recorder::Want, start::Start, state::Engine, writer::Writer};
use crate::{
    call::{Caller, IdempotencyKey},
    error::Error,
    store::AppendError,
    task::{
        Fold, TaskKey, Version,
        admit::{self, Admission},
    },
    types::{Message, Part, SendMessageRequest, TaskState},
};

impl Engine {
    /// Every reader of a task looks whether its lease has expired since the last read. If so, the
    /// work is taken over beside the answer: where there is no [`Sweeper`](crate::Sweeper), as in a
    /// function, a client that polls finds its task done all the same.
    pub(super) fn take_over_if_expired(&self, key: &TaskKey, fold: &Fold, caller: &Caller) {
        let seen = fold.cursor.version;
        if fold.is_settled() || !self.liveness.lease_expired(key, seen, self.limits.lease) {
            return;
        }
        let (engine, key, deadline) = (self.clone(), key.clone(), caller.deadline);
        self.runs.spawn(async move {
            if let Err(error) = engine.take_over(&key, seen, deadline).await {
                tracing::warn!(task = %key.id, %error, "work could not be taken over");
            }
        });
    }

    /// The same tail. When it brings nothing for a lease, the work is taken over if it is an orphan.
    /// `seen` is the journal's version where the tail begins or later.
    pub(super) fn tail_with_takeover(
        &self,
        key: TaskKey,
        seen: Version,
        tail: Tail,
        caller: &Caller,
    ) -> Tail {
        let state = (self.clone(), key, seen, tail, caller.deadline);
        let slots = stream::unfold(
            state,
            |(engine, key, mut seen, mut tail, deadline)| async move {
                let slot = loop {
                    // Most slots are there already, and need no timer.
                    if let Some(slot) = tail.next().now_or_never() {
                        break slot?;
                    }
                    match tokio::time::timeout(engine.limits.lease, tail.next()).await {
                        Ok(slot) => break slot?,
                        Err(_) => {
                            if let Err(error) = engine.take_over(&key, seen, deadline).await {
                                tracing::warn!(task = %key.id, %error, "work could not be taken over");
                            }
                        }
                    }
                };
                if let Ok(slot) = &slot {
                    seen = seen.max(slot.version);
                }
                Some((slot, (engine, key, seen, tail, deadline)))
            },
        );
        slots.boxed()
    }

    /// Takes over an orphan: starts another attempt, or fails the task after
    /// [`Limits::attempts`](crate::Limits::attempts). `seen` is the journal's version at the
    /// beginning of a lease in which nothing was appended; when there is more by now, a run is at
    /// work. `deadline` is that of the call which takes it over, if one does. Answers whether it was
    /// taken over.
    pub(super) async fn take_over(
        &self,
        key: &TaskKey,
        seen: Version,
        deadline: Option<Instant>,
    ) -> Result<bool, Error> {
        let Some(journal) = self.store.read(key, 0).await? else { return Ok(false) };
        let fold = Fold::replay(Arc::clone(&key.id), &journal.slots);
        let listed = journal.head.phase.is_listed();
        let writer = self.writer(key, &journal.head.owner, fold, listed);
        if writer.fold.cursor.version != seen || writer.fold.is_settled() {
            return Ok(false);
        }
        let Some(submitted) = admit::newest(&journal.slots) else { return Ok(false) };
        let attempt = writer.fold.attempt.unwrap_or(0);
        tracing::warn!(task = %key.id, attempt, "an orphan is taken over");
        if attempt >= self.limits.attempts {
            return self.fail_orphan(writer).await.map(|()| true);
        }
        let caller = Arc::new(Caller {
            owner: Arc::clone(&journal.head.owner),
            key: submitted.request.clone().map(IdempotencyKey::new),
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
        let start = Start::new(Admission::Restart(attempt + 1), writer, &journal.slots);
        match self.start(&caller, start, &request, Want::Settled).await? {
            // It has no waiter.
            Some((run, _)) => _ = self.runs.spawn(run),
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Gives up: after the last attempt the task fails.
    pub(super) async fn fail_orphan(&self, mut writer: Writer) -> Result<(), Error> {
        let scope = self.scope(&writer);
        let sentence = "The agent could not finish this, although it was tried several times.";
        let message = scope.message(vec![Part::text(sentence)], true);
        let failed = scope.status(TaskState::Failed, Some(message));
        match writer.append(vec![failed], true, |_| false).await {
            Ok(()) | Err(AppendError::Conflict) => Ok(()),
            Err(AppendError::Store(error)) => Err(error.into()),
            Err(AppendError::TooLarge) => Err(Error::internal("a sentence is too large to record")),
        }
    }
}
