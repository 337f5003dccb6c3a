//! Taking over orphans: work whose runner is gone, or has released it.
//!
//! Owns: how those who read a task notice that its lease has expired, and what becomes of the work.
//! No clocks of different machines are compared: a journal is an orphan when this process saw
//! nothing appended to it for a lease, or when its runner said so. Must never know: transports, how
//! a run records.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream};

use super::{
    answer::Want, ends::OUT_OF_TIME, follow::Tail, start::Start, state::Engine, writer::Writer,
};
use crate::{
    call::{Caller, IdempotencyKey},
    error::Error,
    store::{AppendError, Journal, ReadLimit, StoreError},
    task::{
        Entry, Fold, Head, Phase, Slot, TaskKey, Version,
        admit::{self, Admission},
    },
    types::{Message, Part, SendMessageRequest, TaskState},
};

impl Engine {
    /// Every reader of a task looks whether its lease has expired since the last read. If so, the
    /// work is taken over beside the answer: where there is no [`Sweeper`](crate::Sweeper), as in a
    /// function, a client that polls finds its task done all the same.
    pub(super) fn take_over_if_expired(&self, key: &TaskKey, fold: &Fold, caller: &Caller) {
        if !fold.is_settled() {
            self.take_over_if_silent(key, fold.cursor.version, fold.work.released, caller);
        }
    }

    /// The same for work that is not done, whose journal stands at that version.
    pub(super) fn take_over_if_silent(
        &self,
        key: &TaskKey,
        seen: Version,
        released: bool,
        caller: &Caller,
    ) {
        if !released && !self.liveness.lease_expired(key, seen, self.limits.lease) {
            return;
        }
        let (engine, key, caller) = (self.clone(), key.clone(), caller.clone());
        self.runs.spawn(async move { engine.try_take_over(&key, seen, &caller).await });
    }

    /// Whether a running task was released by the host that had it, with that slot as its newest.
    pub(super) async fn is_released(
        &self,
        key: &TaskKey,
        head: &Head,
        newest: Version,
    ) -> Result<bool, StoreError> {
        if head.host.is_some() {
            return Ok(false);
        }
        let page = self.store.read_page(key, newest.saturating_sub(1), ReadLimit::SLOT).await?;
        Ok(page.is_some_and(|page| !page.more && admit::is_released(&page.slots)))
    }

    /// The same tail. When it brings nothing for a lease, or that the work is released, the work is
    /// taken over if it is an orphan. `seen` is the journal's version where the tail begins or later.
    pub(super) fn tail_with_takeover(
        &self,
        key: TaskKey,
        seen: Version,
        tail: Tail,
        caller: &Caller,
    ) -> Tail {
        let watched = Watched { engine: self.clone(), key, caller: caller.clone(), seen, tail };
        stream::unfold((watched, false), |(mut watched, released)| async move {
            let slot = watched.next(released).await?;
            let released = slot.as_ref().is_ok_and(|slot| {
                watched.seen = watched.seen.max(slot.version);
                slot.entries.iter().any(|entry| matches!(entry, Entry::Released(_)))
            });
            Some((slot, (watched, released)))
        })
        .boxed()
    }

    async fn try_take_over(&self, key: &TaskKey, seen: Version, reader: &Caller) {
        // Rare, and large: boxed, so that a reader who waits stays small.
        if let Err(error) = Box::pin(self.take_over(key, seen, reader)).await {
            tracing::warn!(task = %key.id, %error, "work could not be taken over");
        }
    }

    /// Takes over an orphan: starts another attempt, or fails the task when there is none left.
    /// `seen` is the journal's version at the beginning of a lease in which nothing was appended;
    /// or after which it was released; when there is more by now, a run is at work. The end of the
    /// call which takes it over, if one does, cuts the attempt: to read a task never fails it.
    /// Answers whether it was taken over.
    pub(super) async fn take_over(
        &self,
        key: &TaskKey,
        seen: Version,
        reader: &Caller,
    ) -> Result<bool, Error> {
        let cut = [reader.deadline, reader.cut].into_iter().flatten().min();
        let reader = Caller { cut, ..Caller::default() };
        if self.ends(&reader, Duration::ZERO).is_cut() {
            return Ok(false);
        }
        // All of it is read only where there is something to be done.
        let newer = self.store.read_page(key, seen, ReadLimit::SLOT).await?;
        let at_work = |journal: &Journal| {
            journal.slots.is_empty()
                && matches!(journal.head.phase, Phase::Running | Phase::Claimed)
        };
        if !newer.as_ref().is_some_and(at_work) {
            return Ok(false);
        }
        let Some(journal) = self.store.read(key, 0).await? else { return Ok(false) };
        let fold = Fold::replay(Arc::clone(&key.id), &journal.slots);
        let listed = journal.head.phase.is_listed();
        let writer = self.writer(key, &journal.head.owner, fold, listed);
        if writer.fold.cursor.version != seen || writer.fold.is_settled() {
            return Ok(false);
        }
        let Some(submitted) = admit::newest(&journal.slots) else { return Ok(false) };
        let attempt = writer.fold.work.attempt;
        tracing::warn!(task = %key.id, attempt, "an orphan is taken over");
        let next = admit::next_attempt(&writer.fold, &self.limits);
        if next == Admission::GiveUp {
            return self.fail_orphan(writer).await.map(|()| true);
        }
        let caller = Arc::new(Caller {
            owner: Arc::clone(&journal.head.owner),
            key: submitted.request.clone().map(IdempotencyKey::new),
            expires: submitted.expires,
            extensions: submitted.extensions.clone(),
            trace: submitted.trace.clone(),
            transport: submitted.transport.clone(),
            reply_to: submitted.reply_to.clone(),
            ..reader
        });
        let request = SendMessageRequest {
            tenant: None,
            message: Message::clone(&submitted.message),
            configuration: submitted.configuration.as_deref().cloned(),
            metadata: submitted.metadata.clone(),
        };
        let start = Start::new(next, writer, &journal.slots);
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
        let sentence = match writer.fold.work.spent() >= self.limits.run_time {
            true => OUT_OF_TIME,
            false => "The agent could not finish this, although it was tried several times.",
        };
        let message = scope.message(vec![Part::text(sentence)], true);
        let failed = scope.status(TaskState::Failed, Some(message));
        match writer.append(vec![failed], true, |_| false).await {
            Ok(()) | Err(AppendError::Conflict) => Ok(()),
            Err(AppendError::Store(error)) => Err(error.into()),
            Err(AppendError::TooLarge) => Err(Error::internal("a sentence is too large to record")),
        }
    }
}

/// A tail whose reader looks after the work that it tells of.
struct Watched {
    engine: Engine,
    key: TaskKey,
    caller: Caller,
    seen: Version,
    tail: Tail,
}

impl Watched {
    async fn next(&mut self, released: bool) -> Option<Result<Slot, StoreError>> {
        // Most slots are there already, and need no timer.
        if let Some(slot) = self.tail.next().now_or_never() {
            return slot;
        }
        if released {
            self.engine.try_take_over(&self.key, self.seen, &self.caller).await;
        }
        loop {
            match tokio::time::timeout(self.engine.limits.lease, self.tail.next()).await {
                Ok(slot) => return slot,
                Err(_) => self.engine.try_take_over(&self.key, self.seen, &self.caller).await,
            }
        }
    }
}
