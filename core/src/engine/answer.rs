//! The answer to whoever waits for a run.
//!
//! Owns: when it is due, what it holds, and what the waiter hears where another runner settles the
//! task. Must never know: how events are recorded, executors, transports.

use std::{sync::Arc, time::Instant};

use futures_util::{StreamExt, stream};
use tokio::sync::oneshot;

use super::{
    ends::{Ends, still_at_work},
    follow::{self, Tail},
    state::now,
    writer::Writer,
};
use crate::{
    error::Error,
    task::{Cursor, Entry, Fold},
    types::{Message, Task},
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

/// The one who waits for a run.
pub(crate) struct Waiter {
    pub(crate) want: Want,
    /// None once it is answered.
    pub(crate) sender: Option<AnswerSender>,
    /// When a stream begins at the latest.
    pub(crate) stream_due: Instant,
    /// Where the journal stood when this run began.
    pub(crate) begun: Cursor,
    /// The task as it stood then, where that is the answer: at each delivery the same.
    pub(crate) first: Option<Box<Task>>,
}

impl Waiter {
    /// Whether it is owed the task before any event of it: a stream waits for the first event only
    /// so long, since a reply without a task would be its one event.
    pub(crate) fn is_owed_task(&self) -> bool {
        let due = match self.want {
            Want::Settled => false,
            Want::Created => true,
            Want::Stream => now() >= self.stream_due,
        };
        due && self.sender.is_some()
    }

    /// Whether its stream has yet to begin.
    pub(crate) fn awaits_stream(&self) -> bool {
        self.want == Want::Stream && self.sender.is_some()
    }

    /// Answers if it is time. `ended` is whether nothing more comes of this run.
    pub(crate) fn answer_if_due(&mut self, writer: &mut Writer, ended: bool) {
        if self.sender.is_none() {
            return;
        }
        if let Some(message) = writer.fold.reply.take() {
            return self.send(Ok(Answer::Message(message)));
        }
        match self.want {
            Want::Settled if !writer.fold.is_settled() => {}
            Want::Settled | Want::Created => {
                let task = &mut writer.fold.task;
                let task = match self.first.take() {
                    Some(first) => first,
                    // The last look at the fold needs no copy.
                    None if ended => Box::new(std::mem::take(task)),
                    None => Box::new(task.clone()),
                };
                self.send(Ok(Answer::Task(task)));
            }
            // The task was there before this run, and its agent is silent.
            Want::Stream if self.is_owed_task() && writer.listed => {
                let fold = &writer.fold;
                self.begin_stream(writer, Box::new(fold.task.clone()), fold.cursor);
            }
            // With its first event.
            Want::Stream => {}
        }
    }

    /// Answers with a stream that begins with the task as it stood there.
    pub(crate) fn begin_stream(&mut self, writer: &Writer, task: Box<Task>, cursor: Cursor) {
        let mut tail = follow::tail_from(&writer.store, &writer.key, cursor);
        // A task that has come to rest may be dropped by now.
        let written = writer.written.as_ref().filter(|_| writer.fold.is_settled());
        if let Some(slot) = written.filter(|slot| slot.version <= cursor.version + 1) {
            tail = stream::iter([Ok(slot.clone())]).chain(tail).boxed();
        }
        self.send(Ok(Answer::Stream { task, cursor, tail }));
    }

    /// Another runner settles the task; the waiter is told when it has.
    pub(crate) async fn follow_to_answer(&mut self, writer: &mut Writer, ends: &Ends) {
        if self.sender.is_none() {
            return;
        }
        let rest = if writer.fold.is_settled() {
            Ok(std::mem::take(&mut writer.fold))
        } else {
            let settled = settled(writer, self.begun);
            ends.bound(settled).await.unwrap_or_else(|| Err(still_at_work()))
        };
        let answer = match rest {
            Err(error) => Err(error),
            Ok(mut fold) => match (fold.reply.take(), self.want) {
                (Some(message), _) => Ok(Answer::Message(message)),
                (None, Want::Stream) => self.stream_from_start(writer).await,
                (None, _) => {
                    let first = self.first.take();
                    Ok(Answer::Task(first.unwrap_or_else(|| Box::new(fold.task))))
                }
            },
        };
        self.send(answer);
    }

    /// What any runner recorded of the message since this run began, event by event: a redelivery is
    /// told the same.
    async fn stream_from_start(&self, writer: &Writer) -> Result<Answer, Error> {
        let Writer { store, key, .. } = writer;
        let cursor = self.begun;
        let tail = follow::tail_from(store, key, cursor);
        let task = Box::new(follow::task_at(&**store, key, cursor).await?);
        Ok(Answer::Stream { task, cursor, tail })
    }

    pub(crate) fn send(&mut self, answer: Result<Answer, Error>) {
        // A client that has left changes nothing.
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(answer);
        }
    }
}

/// The journal's fold once the message whose work began there is settled, by any runner; where the
/// task rested before that is another message's answer.
async fn settled(writer: &Writer, begun: Cursor) -> Result<Fold, Error> {
    let mut tail = Arc::clone(&writer.store).tail(writer.key.clone(), 0);
    let mut slots = Vec::new();
    while let Some(slot) = tail.next().await {
        let slot = slot?;
        let may_settle =
            slot.version > begun.version && slot.entries.iter().any(Entry::changes_head);
        slots.push(slot);
        if may_settle {
            let fold = Fold::replay(Arc::clone(&writer.key.id), &slots);
            if fold.is_settled() {
                return Ok(fold);
            }
        }
    }
    Err(Error::internal("a journal's tail ended"))
}
