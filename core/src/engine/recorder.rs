//! Records what a run says: group commit, and the ends of a run.
//!
//! Owns: taking the events that are queued, appending them as one slot, folding them; renewing the
//! lease by heartbeats; what ends a run (an outcome, a failure, the time limit, a cancel or a
//! takeover); and the answer to the waiter. Must never know: how an executor is run, transports.

use std::{sync::Arc, time::Instant};

use tokio::sync::{mpsc, oneshot};

use super::{
    follow::{self, Tail},
    state::now,
    writer::{Writer, keeps_run},
};
use crate::{
    agent::{Emitted, Scope},
    error::{AgentError, Error, ErrorKind},
    limits::Limits,
    store::AppendError,
    task::{Cursor, Entry, Heartbeat, Slot},
    types::{Message, Part, Task, TaskState},
};

/// When the waiter wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// When the task has come to rest.
    Settled,
    /// As soon as there is a task.
    Created,
    /// As soon as there is a task, as it was before its first event; the events are followed in the
    /// journal.
    Stream,
}

/// The answer.
pub(crate) enum Answer {
    Message(Arc<Message>),
    Task(Box<Task>),
    /// The tail is taken before anything can drop the journal.
    Stream {
        task: Box<Task>,
        cursor: Cursor,
        tail: Tail,
    },
}

/// Where a run sends its answer.
pub(crate) type AnswerSender = oneshot::Sender<Result<Answer, Error>>;
/// Where its waiter has the answer from.
pub(crate) type AnswerReceiver = oneshot::Receiver<Result<Answer, Error>>;

const NOT_VALID: &str = "The agent's answer was not valid.";
const NO_OUTCOME: &str = "The agent stopped without an outcome.";
const OUT_OF_TIME: &str = "The agent ran out of time.";
const TOO_LARGE: &str = "The agent's answer was too large to record.";

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By an outcome of its own; the executor may still be finishing.
    Outcome,
    /// From outside: the executor is to be dropped.
    Stopped,
}

/// What is to be recorded next.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    /// What follows the entries, if the run is over with them.
    end: Option<BatchEnd>,
}

enum BatchEnd {
    /// The executor returned, or said its last word.
    Executor(Result<(), AgentError>),
    /// Time is up.
    OutOfTime,
    /// Another writer ended the task or took over the run.
    Conflict,
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
    /// When the lease is to be renewed.
    pub(crate) next_heartbeat: Instant,
    pub(crate) limits: Arc<Limits>,
    pub(crate) deadline: Instant,
    /// When a stream begins at the latest.
    pub(crate) stream_due: Instant,
    pub(crate) want: Want,
    pub(crate) answer: Option<AnswerSender>,
    /// Where the journal stood when this run began.
    pub(crate) begun: Cursor,
}

impl Recorder {
    /// Records until the run is over, and how it ended.
    pub(crate) async fn record(mut self) -> (End, Self) {
        loop {
            let mut batch = self.next().await;
            let end = self.conclude(&mut batch);
            if end == Some(End::Stopped) {
                return (End::Stopped, self);
            }
            if batch.entries.is_empty() && end.is_none() && self.owes_task() && !self.writer.listed
            {
                // Only its start is recorded: with this the task is there for everyone to see.
                batch.entries.push(self.scope.status(TaskState::Submitted, None));
            }
            let owed = end.is_none() && !self.writer.pending.is_empty();
            if (owed || !batch.entries.is_empty())
                && let Err(error) = self.append(batch.entries).await
            {
                self.stop(error).await;
                return (End::Stopped, self);
            }
            self.answer_if_due(end.is_some());
            if end.is_some() {
                return (End::Outcome, self);
            }
        }
    }

    /// Whether the waiter is owed the task before any event of it: a stream waits for
    /// the first event only so long, since a reply without a task would be its one event.
    fn owes_task(&self) -> bool {
        let due = match self.want {
            Want::Settled => false,
            Want::Created => true,
            Want::Stream => now() >= self.stream_due,
        };
        due && self.answer.is_some()
    }

    /// Waits for events, and takes what is there up to a batch's bounds.
    async fn next(&mut self) -> Batch {
        let mut batch = Batch::default();
        if let Ok(first) = self.events.try_recv() {
            self.fill(&mut batch, first);
        } else if !self.owes_task() {
            self.wait(&mut batch).await;
        }
        // Asked last, so that what was said in time counts, and each time, since an executor may
        // never fall silent.
        if now() >= self.deadline && batch.end.is_none() {
            batch.end = Some(BatchEnd::OutOfTime);
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
        let listens = self.want == Want::Stream && self.answer.is_some();
        tokio::select! {
            biased;
            event = self.events.recv() => match event {
                Some(event) => self.fill(batch, event),
                None => batch.end = Some(BatchEnd::Executor(Ok(()))),
            },
            slot = follow::next_slot(&mut self.tail, seen) => {
                batch.end = self.fold_in(slot).then_some(BatchEnd::Conflict);
            }
            () = tokio::time::sleep_until(self.deadline.into()) => {}
            () = tokio::time::sleep_until(self.stream_due.into()), if listens => {}
            () = tokio::time::sleep_until(self.next_heartbeat.into()), if recorded => {
                let (runner, at) = (Arc::clone(&self.runner), self.scope.env.now());
                batch.entries.push(Entry::Heartbeat(Heartbeat { runner, at }));
            }
        }
    }

    /// Takes what waits, up to a batch's bounds or the end of the run.
    fn fill(&mut self, batch: &mut Batch, first: Emitted) {
        let mut bytes = 0;
        let mut event = Some(first);
        while let Some(emitted) = event {
            match emitted {
                Emitted::Entry(entry) => {
                    bytes += entry.weight();
                    batch.end = entry.ends_run().then_some(BatchEnd::Executor(Ok(())));
                    batch.entries.push(entry);
                }
                Emitted::Refused(why) => {
                    let error = AgentError::new(NOT_VALID).with_source(why);
                    batch.end = Some(BatchEnd::Executor(Err(error)));
                }
                Emitted::Returned(outcome) => batch.end = Some(BatchEnd::Executor(outcome)),
            }
            let full =
                batch.entries.len() >= self.limits.batch_events || bytes >= self.limits.batch_bytes;
            if full || batch.end.is_some() {
                return;
            }
            event = self.events.try_recv().ok();
        }
    }

    /// Makes of how a batch ends an entry, where it must be one: no run ends without an outcome.
    fn conclude(&mut self, batch: &mut Batch) -> Option<End> {
        let end = batch.end.take()?;
        let outcome = match end {
            BatchEnd::Conflict => return Some(End::Stopped),
            BatchEnd::OutOfTime => Err(AgentError::new(OUT_OF_TIME)),
            BatchEnd::Executor(outcome) => outcome,
        };
        self.events.close();
        self.settle_reply(batch);
        let last_state = batch.entries.iter().rev().find_map(|entry| match entry {
            Entry::Status(event) => Some(event.status.state),
            Entry::Replied(_) => Some(TaskState::Completed),
            _ => None,
        });
        let state = last_state.unwrap_or_else(|| self.state());
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

    /// The state before this batch. A run that has recorded nothing has not come to rest, whatever
    /// rest it began from.
    fn state(&self) -> TaskState {
        if self.writer.fold.cursor == self.begun {
            return TaskState::Submitted;
        }
        self.writer.fold.task.status.state
    }

    /// A reply stays one only where there is no task yet; otherwise it is the task's last word.
    fn settle_reply(&self, batch: &mut Batch) {
        let Some(Entry::Replied(message)) = batch.entries.last() else { return };
        let no_task = !self.writer.listed || self.writer.fold.messages == 0;
        if no_task && batch.entries.len() == 1 {
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

    async fn append(&mut self, entries: Vec<Entry>) -> Result<(), AppendError> {
        if let [Entry::Replied(message)] = &*entries
            && self.writer.fold.messages == 0
        {
            // Without a key no redelivery can ask for it, so there is nothing to record.
            self.writer.fold.reply = Some(Arc::clone(message));
            return Ok(());
        }
        if self.writer.fold.cursor.version > 0 {
            // What has begun is worth waiting for, but not beyond its time.
            let left = self.deadline.saturating_duration_since(now());
            self.writer.outage = self.limits.run_outage.min(left).max(self.limits.call_outage);
        }
        let appended = if let [Entry::Heartbeat(_)] = &*entries {
            // A heartbeat alone makes no task.
            self.writer.append(entries, self.writer.listed, keeps_run).await
        } else if self.want == Want::Stream && self.answer.is_some() {
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
            let task = Box::new(before.task);
            let cursor = before.cursor;
            let tail = follow::tail_from(&self.writer.store, &self.writer.key, cursor);
            self.send(Ok(Answer::Stream { task, cursor, tail }));
        }
        Ok(())
    }

    /// Adds another writer's slot to the fold. Answers whether the run is over.
    fn fold_in(&mut self, slot: Option<Slot>) -> bool {
        let Some(slot) = slot else { return false };
        self.writer.fold_in(&slot);
        !keeps_run(&slot)
    }

    fn answer_if_due(&mut self, ended: bool) {
        if self.answer.is_none() {
            return;
        }
        if let Some(message) = self.writer.fold.reply.take() {
            return self.send(Ok(Answer::Message(message)));
        }
        match self.want {
            Want::Settled if !self.writer.fold.is_settled() => {}
            Want::Settled | Want::Created => {
                let task = &mut self.writer.fold.task;
                // The last look at the fold needs no copy.
                let task = if ended { std::mem::take(task) } else { task.clone() };
                self.send(Ok(Answer::Task(Box::new(task))));
            }
            // The task was there before this run, and its agent is silent.
            Want::Stream if self.owes_task() && self.writer.listed => {
                let fold = &self.writer.fold;
                let (task, cursor) = (Box::new(fold.task.clone()), fold.cursor);
                let tail = follow::tail_from(&self.writer.store, &self.writer.key, cursor);
                self.send(Ok(Answer::Stream { task, cursor, tail }));
            }
            // With its first event.
            Want::Stream => {}
        }
    }

    /// Another runner settles the task; the waiter is told when it has.
    pub(crate) async fn follow_to_answer(&mut self) {
        if self.answer.is_none() {
            return;
        }
        let rest = if self.writer.fold.is_settled() {
            Ok(std::mem::take(&mut self.writer.fold))
        } else {
            let Writer { store, key, .. } = &self.writer;
            let settled = follow::settled(store, key, self.begun.version);
            tokio::time::timeout_at(self.deadline.into(), settled).await.unwrap_or_else(|_| {
                let sentence = "The agent is still at work on this task; try again later.";
                Err(Error::new(ErrorKind::Unavailable, sentence))
            })
        };
        let answer = match rest {
            Err(error) => Err(error),
            Ok(mut fold) => match (fold.reply.take(), self.want) {
                (Some(message), _) => Ok(Answer::Message(message)),
                (None, Want::Stream) => self.stream_from_start().await,
                (None, _) => Ok(Answer::Task(Box::new(fold.task))),
            },
        };
        self.send(answer);
    }

    /// What any runner recorded of the message since this run began, event by event: a redelivery is
    /// told the same.
    async fn stream_from_start(&mut self) -> Result<Answer, Error> {
        let (Writer { store, key, .. }, cursor) = (&self.writer, self.begun);
        let tail = follow::tail_from(store, key, cursor);
        let task = Box::new(follow::task_at(&**store, key, cursor).await?);
        Ok(Answer::Stream { task, cursor, tail })
    }

    /// Ends a run whose events could not be appended.
    async fn stop(&mut self, error: AppendError) {
        match error {
            AppendError::Conflict => {}
            AppendError::TooLarge => {
                tracing::error!(task = %self.writer.key.id, "the events are too large for the store");
                let failed = self.failed(TOO_LARGE.to_owned());
                match self.append(vec![failed]).await {
                    Ok(()) => self.answer_if_due(true),
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
        self.send(Err(error));
    }

    fn send(&mut self, answer: Result<Answer, Error>) {
        // A client that has left changes nothing.
        if let Some(sender) = self.answer.take() {
            let _ = sender.send(answer);
        }
    }
}
