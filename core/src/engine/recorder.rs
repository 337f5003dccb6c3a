//! Records what a run says: group commit, and the ends of a run.
//!
//! Owns: taking whatever events wait, appending them as one slot, folding them; what ends a run (an
//! outcome, a failure, the time limit, a cancel or another runner); and the answer to whoever
//! waits. Must never know: how an executor is run, transports.

use std::{sync::Arc, time::Instant};

use tokio::sync::{mpsc, oneshot};

use crate::{
    agent::{Emitted, Scope},
    engine::follow::{self, Tail},
    engine::writer::{Ledger, Refused},
    error::{AgentError, Error, ErrorKind},
    limits::Limits,
    task::{Cursor, Entry, Heartbeat, Slot},
    types::{Message, Part, Task, TaskState},
};

/// When whoever waits wants the answer.
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
    /// Somebody else ended the task or took over the run.
    Overtaken,
}

/// One run's journal, and whoever waits for it.
pub(crate) struct Recorder {
    pub(crate) ledger: Ledger,
    /// What others write to the journal, once it can be known to others.
    pub(crate) others: Option<Tail>,
    pub(crate) events: mpsc::Receiver<Emitted>,
    pub(crate) scope: Scope,
    /// What this run's claim calls it.
    pub(crate) runner: Arc<str>,
    /// When it must show a sign of life.
    pub(crate) beat: Instant,
    pub(crate) limits: Arc<Limits>,
    pub(crate) deadline: Instant,
    /// When a stream begins at the latest.
    pub(crate) patience: Instant,
    pub(crate) want: Want,
    pub(crate) answer: Option<oneshot::Sender<Result<Answer, Error>>>,
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
            if batch.entries.is_empty() && end.is_none() && self.owes_task() && self.ledger.claimed
            {
                // It is claimed, and nothing has come of it: with this it is there for everyone to
                // see.
                batch.entries.push(self.scope.status(TaskState::Submitted, None));
            }
            let owed = end.is_none() && !self.ledger.pending.is_empty();
            if (owed || !batch.entries.is_empty())
                && let Err(refused) = self.append(batch.entries).await
            {
                return (self.give_up(refused).await, self);
            }
            self.answer_if_due(end.is_some());
            if end.is_some() {
                return (End::Outcome, self);
            }
        }
    }

    /// Whether somebody waits for the task to be there, whatever comes of it: a stream waits for
    /// the first event only so long, since a reply without a task would be its one event.
    fn owes_task(&self) -> bool {
        let due = match self.want {
            Want::Settled => false,
            Want::Created => true,
            Want::Stream => now() >= self.patience,
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

    /// Waits until the executor says something, somebody else does, or it is time.
    async fn wait(&mut self, batch: &mut Batch) {
        let seen = self.ledger.fold.cursor.version;
        // A task that is not recorded can be ended or missed by nobody else.
        let recorded = seen > 0;
        if recorded && self.others.is_none() {
            self.others = Some(self.ledger.tail());
        }
        let listens = self.want == Want::Stream && self.answer.is_some();
        tokio::select! {
            biased;
            event = self.events.recv() => match event {
                Some(event) => self.fill(batch, event),
                None => batch.end = Some(BatchEnd::Executor(Ok(()))),
            },
            slot = follow::next_slot(&mut self.others, seen) => {
                batch.end = self.others_wrote(slot).then_some(BatchEnd::Overtaken);
            }
            () = tokio::time::sleep_until(self.deadline.into()) => {}
            () = tokio::time::sleep_until(self.patience.into()), if listens => {}
            () = tokio::time::sleep_until(self.beat.into()), if recorded => {
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
            BatchEnd::Overtaken => return Some(End::Stopped),
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
                let task = &*self.ledger.key.id;
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
        if self.ledger.fold.cursor == self.begun {
            return TaskState::Submitted;
        }
        self.ledger.fold.task.status.state
    }

    /// A reply stays one only where there is no task yet; otherwise it is the task's last word.
    fn settle_reply(&self, batch: &mut Batch) {
        let Some(Entry::Replied(message)) = batch.entries.last() else { return };
        let no_task = self.ledger.claimed || self.ledger.fold.messages == 0;
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

    async fn append(&mut self, entries: Vec<Entry>) -> Result<(), Refused> {
        if let [Entry::Replied(message)] = &*entries
            && self.ledger.fold.messages == 0
        {
            // Nobody can ask for it again, so there is nothing to record.
            self.ledger.fold.reply = Some(Arc::clone(message));
            return Ok(());
        }
        if self.ledger.fold.cursor.version > 0 {
            // What has begun is worth waiting for, but not beyond its time.
            let left = self.deadline.saturating_duration_since(now());
            self.ledger.patience = self.limits.outage.min(left).max(self.limits.store_patience);
        }
        let appended = if let [Entry::Heartbeat(_)] = &*entries {
            // A sign of life alone makes no task of a claim.
            let listed = !self.ledger.claimed;
            self.ledger.append(entries, listed, may_go_on).await
        } else if self.want == Want::Stream && self.answer.is_some() {
            self.append_for_stream(entries).await
        } else {
            self.ledger.append(entries, true, may_go_on).await
        };
        self.beat = now() + self.limits.lease / 3;
        appended
    }

    /// The stream begins with the task as it was before the first event, so that every event is
    /// seen.
    async fn append_for_stream(&mut self, entries: Vec<Entry>) -> Result<(), Refused> {
        let mut before = self.ledger.fold.clone();
        let version = before.cursor.version + 1;
        for (index, entry) in (0..).zip(&self.ledger.pending) {
            before.apply(Cursor { version, index }, entry);
        }
        self.ledger.append(entries, true, may_go_on).await?;
        if self.ledger.fold.reply.is_none() {
            let task = Box::new(before.task);
            let cursor = before.cursor;
            let tail = follow::tail_from(&self.ledger.store, &self.ledger.key, cursor);
            self.send(Ok(Answer::Stream { task, cursor, tail }));
        }
        Ok(())
    }

    /// Something came of it that this run did not write. Answers whether the run is over.
    fn others_wrote(&mut self, slot: Option<Slot>) -> bool {
        let Some(slot) = slot else { return false };
        let go_on = may_go_on(&slot);
        self.ledger.fold_in(&slot);
        !go_on
    }

    fn answer_if_due(&mut self, ended: bool) {
        if self.answer.is_none() {
            return;
        }
        if let Some(message) = self.ledger.fold.reply.take() {
            return self.send(Ok(Answer::Message(message)));
        }
        match self.want {
            Want::Settled if !self.ledger.fold.is_settled() => {}
            Want::Settled | Want::Created => {
                let task = &mut self.ledger.fold.task;
                // The last look at the fold needs no copy.
                let task = if ended { std::mem::take(task) } else { task.clone() };
                self.send(Ok(Answer::Task(Box::new(task))));
            }
            // The task was there before this run, and its agent is silent.
            Want::Stream if self.owes_task() && !self.ledger.claimed => {
                let fold = &self.ledger.fold;
                let (task, cursor) = (Box::new(fold.task.clone()), fold.cursor);
                let tail = follow::tail_from(&self.ledger.store, &self.ledger.key, cursor);
                self.send(Ok(Answer::Stream { task, cursor, tail }));
            }
            // With its first event.
            Want::Stream => {}
        }
    }

    /// Somebody else brings the task to its rest; whoever waits here is told when it is there.
    pub(crate) async fn follow_to_answer(&mut self) {
        if self.answer.is_none() {
            return;
        }
        let rest = if self.ledger.fold.is_settled() {
            Ok(std::mem::take(&mut self.ledger.fold))
        } else {
            let Ledger { store, key, .. } = &self.ledger;
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
                (None, Want::Stream) => self.stream_of_others().await,
                (None, _) => Ok(Answer::Task(Box::new(fold.task))),
            },
        };
        self.send(answer);
    }

    /// What others made of the message since this run began, event by event: a second delivery is
    /// told the same.
    async fn stream_of_others(&mut self) -> Result<Answer, Error> {
        let (Ledger { store, key, .. }, cursor) = (&self.ledger, self.begun);
        let tail = follow::tail_from(store, key, cursor);
        let task = Box::new(follow::task_at(&**store, key, cursor).await?);
        Ok(Answer::Stream { task, cursor, tail })
    }

    async fn give_up(&mut self, refused: Refused) -> End {
        match refused {
            Refused::Overtaken => {}
            Refused::TooLarge => {
                tracing::error!(task = %self.ledger.key.id, "the events are too large for the store");
                let failed = self.failed(TOO_LARGE.to_owned());
                match self.append(vec![failed]).await {
                    Ok(()) => self.answer_if_due(true),
                    Err(refused) => self.lose(refused),
                }
            }
            refused @ Refused::Store(_) => self.lose(refused),
        }
        End::Stopped
    }

    /// The store is away: the run stops here, and whoever waits is told to try again.
    fn lose(&mut self, refused: Refused) {
        tracing::error!(task = %self.ledger.key.id, ?refused, "a run's events could not be recorded");
        let error = match refused {
            Refused::Store(error) => error.into(),
            Refused::Overtaken => {
                Error::new(ErrorKind::Unavailable, "The task changed meanwhile; try again.")
            }
            Refused::TooLarge => {
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

/// The runtime's clock, which its timers go by and a test can hold still.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Whether a run goes on after what somebody else wrote: not when the task has ended, and not when
/// another runner has begun.
fn may_go_on(slot: &Slot) -> bool {
    !slot.entries.iter().any(|entry| entry.ends_run() || matches!(entry, Entry::Started(_)))
}
