//! Records what a run says: group commit, and the ends of a run.
//!
//! Owns: taking the events that are queued, appending them as one slot, folding them; renewing the
//! lease by heartbeats; and what ends a run (an outcome, a failure, its time, a cancel or a
//! takeover). Must never know: how an executor is run, when an answer is due, transports.

use std::{sync::Arc, time::Instant};

use tokio::sync::mpsc;

use super::{
    answer::Waiter,
    batch::{Batch, BatchEnd},
    ends::{Ends, OUT_OF_TIME, Over, interrupted},
    follow::{self, Tail},
    host::Host,
    state::now,
    writer::{Writer, keeps_run},
};
use crate::{
    agent::{Emitted, Scope},
    error::{AgentError, Error, ErrorKind},
    limits::Limits,
    store::AppendError,
    task::{Cursor, Entry, Heartbeat, Released, Slot},
    types::{Message, Part, TaskState},
};

const NO_OUTCOME: &str = "The agent stopped without an outcome.";
const TOO_LARGE: &str = "The agent's answer was too large to record.";

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By an outcome of its own; the executor may still be finishing.
    Outcome,
    /// From outside: the executor is to be dropped.
    Stopped,
    /// By its host: so is the executor, and the next attempt goes on.
    Released,
}

/// One run's journal, and its waiter.
pub(crate) struct Recorder {
    pub(crate) writer: Writer,
    /// What other writers append, once the journal can be known to them.
    pub(crate) tail: Option<Tail>,
    pub(crate) events: mpsc::Receiver<Emitted>,
    pub(crate) scope: Scope,
    /// This run's name in its `Started` entry.
    pub(crate) runner: Arc<str>,
    /// Where it is in hand until its end is recorded.
    pub(crate) host: Arc<Host>,
    /// When the lease is to be renewed.
    pub(crate) next_heartbeat: Instant,
    pub(crate) limits: Arc<Limits>,
    pub(crate) ends: Ends,
    pub(crate) waiter: Waiter,
}

impl Recorder {
    /// Records until the run is over, and how it ended.
    pub(crate) async fn record(mut self: Box<Self>) -> (End, Box<Self>) {
        loop {
            let mut batch = self.next().await;
            let end = self.conclude(&mut batch);
            if end == Some(End::Stopped) {
                return (End::Stopped, self);
            }
            let is_owed = self.waiter.is_owed_task();
            if !batch.is_told() && end.is_none() && is_owed && !self.writer.listed {
                // Only its start is recorded: with this the task is there for everyone to see.
                batch.entries.push(self.scope.status(TaskState::Submitted, None));
            }
            let owed = end.is_none() && is_owed && !self.writer.pending.is_empty();
            if (owed || !batch.entries.is_empty())
                && let Err(error) = self.append(batch.entries, owed).await
            {
                self.stop(error).await;
                return (End::Stopped, self);
            }
            if end.is_some() {
                self.host.ended(&self.runner);
            }
            for recorded in batch.awaited {
                // A step whose future was dropped meanwhile is done all the same.
                let _ = recorded.send(());
            }
            self.waiter.answer_if_due(&mut self.writer, end.is_some());
            let Some(end) = end else { continue };
            if end == End::Released {
                self.waiter.send(Err(interrupted()));
            }
            return (end, self);
        }
    }

    /// Waits for events, and takes what is there up to a batch's bounds.
    async fn next(&mut self) -> Batch {
        let mut batch = Batch::default();
        if let Ok(first) = self.events.try_recv() {
            batch.fill(first, &mut self.events, &self.limits);
        } else if !self.waiter.is_owed_task() {
            self.wait(&mut batch).await;
        }
        // Asked last, so that what was said in time counts, and each time, since an executor may
        // never fall silent.
        if batch.end.is_none() {
            batch.end = self.ends.over().map(BatchEnd::Over);
        }
        batch
    }

    /// Waits until the executor emits an event, another writer appends, or it is time.
    async fn wait(&mut self, batch: &mut Batch) {
        let seen = self.writer.fold.cursor.version;
        // A task that is not recorded can be ended or taken over by no other writer.
        let recorded = seen > 0;
        if recorded && self.tail.is_none() {
            self.tail = Some(self.writer.tail());
        }
        let listens = self.waiter.awaits_stream();
        let stream_due = self.waiter.stream_due;
        tokio::select! {
            biased;
            event = self.events.recv() => match event {
                Some(event) => batch.fill(event, &mut self.events, &self.limits),
                None => batch.end = Some(BatchEnd::Executor(Ok(()))),
            },
            slot = follow::next_slot(&mut self.tail, seen) => {
                batch.end = self.fold_in(slot).then_some(BatchEnd::Conflict);
            }
            () = self.ends.come() => {}
            () = tokio::time::sleep_until(stream_due.into()), if listens => {}
            () = tokio::time::sleep_until(self.next_heartbeat.into()), if recorded => {
                let (runner, at) = (Arc::clone(&self.runner), self.scope.env.now());
                batch.entries.push(Entry::Heartbeat(Heartbeat { runner, at }));
            }
        }
    }

    /// Makes of how a batch ends an entry, where it must be one: no run ends without an outcome.
    fn conclude(&mut self, batch: &mut Batch) -> Option<End> {
        let end = batch.end.take()?;
        let outcome = match end {
            BatchEnd::Conflict => return Some(End::Stopped),
            BatchEnd::Over(Over::Cut) => return Some(self.release(batch)),
            BatchEnd::Over(Over::OutOfTime) => Err(AgentError::new(OUT_OF_TIME)),
            BatchEnd::Executor(outcome) => outcome,
        };
        self.events.close();
        self.settle_reply(batch);
        let state = batch.last_state().unwrap_or_else(|| self.state());
        if state.is_terminal() {
            return Some(End::Outcome);
        }
        let sentence = match outcome {
            // A question with `?` behind it: the run ended as it should.
            Ok(()) if state.is_interrupted() => return Some(End::Outcome),
            Ok(()) => NO_OUTCOME.to_owned(),
            Err(error) if error.is_stopped() => NO_OUTCOME.to_owned(),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let task = &*self.writer.key.id;
                tracing::error!(task, %error, cause, "an executor failed");
                error.message().to_owned()
            }
        };
        batch.entries.push(self.failed(sentence));
        Some(End::Outcome)
    }

    /// Ends the run without an outcome: its host's end is not the agent's fault.
    fn release(&mut self, batch: &mut Batch) -> End {
        self.events.close();
        if self.writer.fold.cursor.version == 0 {
            // Nobody has heard of it, and no redelivery could find it.
            batch.entries.clear();
            self.writer.pending.clear();
            return End::Released;
        }
        let state = batch.last_state().unwrap_or_else(|| self.state());
        if !state.is_interrupted() {
            let (runner, at) = (Arc::clone(&self.runner), self.scope.env.now());
            batch.entries.push(Entry::Released(Released { runner, at }));
        }
        End::Released
    }

    /// The state before this batch. A run that has recorded nothing has not come to rest, whatever
    /// rest it began from.
    fn state(&self) -> TaskState {
        if self.writer.fold.cursor == self.waiter.begun {
            return TaskState::Submitted;
        }
        self.writer.fold.task.status.state
    }

    /// A reply stays one only where there is no task yet; otherwise it is the task's last word.
    fn settle_reply(&self, batch: &mut Batch) {
        let Some(Entry::Replied(message)) = batch.entries.last() else { return };
        let no_task = !self.writer.listed || self.writer.fold.messages == 0;
        if no_task && batch.entries.iter().filter(|entry| entry.is_told()).count() == 1 {
            return;
        }
        let mut message = Message::clone(message);
        message.task_id = Some(Arc::clone(&self.scope.task_id));
        batch.entries.pop();
        batch.entries.push(self.scope.status(TaskState::Completed, Some(message)));
    }

    fn failed(&self, sentence: String) -> Entry {
        let message = self.scope.message(vec![Part::text(sentence)], true);
        self.scope.status(TaskState::Failed, Some(message))
    }

    /// Records the entries; with nothing that callers hear of there is a task only if it is `owed`.
    async fn append(&mut self, entries: Vec<Entry>, owed: bool) -> Result<(), AppendError> {
        if let [Entry::Replied(message)] = &*entries
            && self.writer.fold.messages == 0
        {
            // Without a key no redelivery can ask for it, so there is nothing to record.
            self.writer.fold.reply = Some(Arc::clone(message));
            return Ok(());
        }
        self.host.saw(&self.runner, &self.writer.key, self.limits.lease);
        if self.writer.fold.cursor.version > 0 {
            // What has begun is worth waiting for, but not beyond its time.
            let left = self.ends.first().saturating_duration_since(now());
            self.writer.outage = self.limits.run_outage.min(left).max(self.limits.call_outage);
        }
        let appended = if !owed && !entries.iter().any(Entry::is_told) {
            // A reply without a task must stay possible.
            let listed = self.writer.listed && self.writer.fold.messages > 0;
            self.writer.append(entries, listed, keeps_run).await
        } else if self.waiter.awaits_stream() {
            self.append_for_stream(entries).await
        } else {
            self.writer.append(entries, true, keeps_run).await
        };
        self.next_heartbeat = now() + self.limits.lease / 3;
        appended
    }

    /// The stream begins with the task as it was before the first event, so that every event is
    /// seen.
    async fn append_for_stream(&mut self, entries: Vec<Entry>) -> Result<(), AppendError> {
        let mut before = self.writer.fold.clone();
        let version = before.cursor.version + 1;
        for (index, entry) in (0..).zip(&self.writer.pending) {
            before.apply(Cursor { version, index }, entry);
        }
        self.writer.append(entries, true, keeps_run).await?;
        if self.writer.fold.reply.is_none() {
            self.waiter.begin_stream(&self.writer, Box::new(before.task), before.cursor);
        }
        Ok(())
    }

    /// Adds another writer's slot to the fold. Answers whether the run is over.
    fn fold_in(&mut self, slot: Option<Slot>) -> bool {
        let Some(slot) = slot else { return false };
        self.writer.fold_in(&slot);
        !keeps_run(&slot)
    }

    /// Ends a run whose events could not be appended.
    async fn stop(&mut self, error: AppendError) {
        match error {
            AppendError::Conflict => {}
            AppendError::TooLarge => {
                tracing::error!(task = %self.writer.key.id, "the events are too large for the store");
                let failed = self.failed(TOO_LARGE.to_owned());
                match self.append(vec![failed], false).await {
                    Ok(()) => self.waiter.answer_if_due(&mut self.writer, true),
                    Err(error) => self.answer_unrecorded(error),
                }
            }
            error @ AppendError::Store(_) => self.answer_unrecorded(error),
        }
    }

    /// Tells the waiter why there is no outcome.
    fn answer_unrecorded(&mut self, error: AppendError) {
        tracing::error!(task = %self.writer.key.id, ?error, "a run's events could not be recorded");
        let error = match error {
            AppendError::Store(error) => error.into(),
            AppendError::Conflict => {
                Error::new(ErrorKind::Unavailable, "The task changed meanwhile; try again.")
            }
            AppendError::TooLarge => {
                Error::new(ErrorKind::TooLarge, "The message is too large to record.")
            }
        };
        self.waiter.send(Err(error));
    }
}
