//! A stream is the journal, read from a cursor.
//!
//! Owns: turning recorded entries into events, and where a stream ends. Must never know: who runs
//! the task, transports.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{Event, Events},
    error::{Error, ErrorKind},
    store::{StoreError, TaskStore},
    task::{Cursor, Entry, Fold, Slot, TaskKey, Version},
    types::{StreamResponse, Task, TaskState},
};

/// Which states end a stream. A terminal one always does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndsAt {
    pub(crate) input_required: bool,
    pub(crate) auth_required: bool,
}

impl EndsAt {
    pub(crate) fn state(self, state: TaskState) -> bool {
        match state {
            TaskState::InputRequired => self.input_required,
            TaskState::AuthRequired => self.auth_required,
            state => state.is_terminal(),
        }
    }
}

/// A journal's slots from some version on, as they come.
pub(crate) type Tail = BoxStream<'static, Result<Slot, StoreError>>;

/// The tail that a reader at this cursor needs: the slot of the cursor may hold more entries behind
/// it.
pub(crate) fn tail_from(store: &Arc<dyn TaskStore>, key: &TaskKey, cursor: Cursor) -> Tail {
    Arc::clone(store).tail(key.clone(), cursor.version.saturating_sub(1))
}

/// Where to read from, and how far.
pub(crate) struct Follow {
    pub(crate) store: Arc<dyn TaskStore>,
    pub(crate) key: TaskKey,
    pub(crate) tail: Tail,
    /// What the reader has seen already.
    pub(crate) after: Cursor,
    pub(crate) ends: EndsAt,
    /// Whether nobody is at work on the task where the reader begins.
    pub(crate) at_rest: bool,
    /// The server's end: then a reader who waits for nobody is let go.
    pub(crate) closing: CancellationToken,
}

impl Follow {
    /// The events after the cursor, those recorded and those to come, up to the last.
    pub(crate) fn events(self) -> BoxStream<'static, Result<Event, Error>> {
        let reader = Reader { follow: self, ready: VecDeque::new(), done: false };
        stream::unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) })
            .boxed()
    }
}

/// The same events up to that time; then an error is the last item.
pub(crate) fn until(at: Option<Instant>, events: Events) -> Events {
    let Some(at) = at else { return events };
    let bounded = stream::unfold(Some(events.0), move |events| async move {
        let mut events = events?;
        match tokio::time::timeout_at(at.into(), events.next()).await {
            Ok(item) => Some((item?, Some(events))),
            Err(_) => {
                let sentence = "The task had not come to rest by the request's deadline.";
                Some((Err(Error::new(ErrorKind::DeadlineExceeded, sentence)), None))
            }
        }
    });
    Events(bounded.boxed())
}

struct Reader {
    follow: Follow,
    ready: VecDeque<Event>,
    done: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Event, Error>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.done {
                return None;
            }
            let slot = tokio::select! {
                biased;
                slot = self.follow.tail.next() => slot?,
                () = self.follow.closing.cancelled(), if self.follow.at_rest => return None,
            };
            let read = match slot {
                Ok(slot) => self.read(&slot).await,
                Err(error) => Err(error),
            };
            if let Err(error) = read {
                self.done = true;
                tracing::error!(task = %self.follow.key.id, %error, "a stream lost its journal");
                return Some(Err(error.into()));
            }
        }
    }

    async fn read(&mut self, slot: &Slot) -> Result<(), StoreError> {
        for (index, entry) in (0..).zip(slot.entries.iter()) {
            let mut cursor = Cursor { version: slot.version, index };
            if cursor <= self.follow.after || self.done {
                continue;
            }
            self.follow.after = cursor;
            let response = match entry {
                Entry::Status(event) => {
                    let state = event.status.state;
                    self.follow.at_rest = state.is_interrupted();
                    self.done = self.follow.ends.state(state);
                    StreamResponse::StatusUpdate(Arc::clone(event))
                }
                Entry::Artifact(event) => StreamResponse::ArtifactUpdate(Arc::clone(event)),
                Entry::Replied(message) => {
                    self.done = true;
                    StreamResponse::Message(Arc::clone(message))
                }
                // What an earlier attempt sent no longer counts: the reader is told where the task
                // stands, after the whole claim, as is whoever's stream begins with this attempt.
                Entry::Started(started) if started.attempt > 1 => {
                    cursor = end_of(slot);
                    (self.follow.after, self.follow.at_rest) = (cursor, false);
                    let (store, key) = (&*self.follow.store, &self.follow.key);
                    StreamResponse::Task(Box::new(task_at(store, key, cursor).await?))
                }
                Entry::Started(_)
                | Entry::Submitted(_)
                | Entry::Heartbeat(_)
                | Entry::KeyUsed(_)
                | Entry::CancelRequested(_) => continue,
            };
            self.ready.push_back(Event { cursor: Some(cursor), response, last: self.done });
        }
        Ok(())
    }
}

/// The place of an append's last entry.
fn end_of(slot: &Slot) -> Cursor {
    let index = slot.entries.len().saturating_sub(1);
    Cursor { version: slot.version, index: u32::try_from(index).unwrap_or(u32::MAX) }
}

/// The task as it stood at a cursor.
pub(crate) async fn task_at(
    store: &dyn TaskStore,
    key: &TaskKey,
    cursor: Cursor,
) -> Result<Task, StoreError> {
    let journal = store.read(key, 0).await?;
    let mut slots = journal.ok_or_else(|| StoreError::broken("the journal is gone"))?.slots;
    slots.retain(|slot| slot.version <= cursor.version);
    let until = Fold::replay_until(Arc::clone(&key.id), &slots, |fold, _| fold.cursor >= cursor);
    Ok(until.0.task)
}

/// The next slot after `seen`; never, where there is nothing to follow. None when the store fails:
/// then it is to be followed anew.
pub(crate) async fn next_slot(others: &mut Option<Tail>, seen: Version) -> Option<Slot> {
    const AGAIN: Duration = Duration::from_millis(500);
    let Some(tail) = others else { return std::future::pending().await };
    loop {
        match tail.next().await {
            // The run's own.
            Some(Ok(slot)) if slot.version <= seen => {}
            Some(Ok(slot)) => return Some(slot),
            failed => {
                let error = failed.and_then(Result::err).map(|error| error.to_string());
                tracing::warn!(error, "a run cannot watch its task; it tries again");
                *others = None;
                tokio::time::sleep(AGAIN).await;
                return None;
            }
        }
    }
}

/// The journal's fold once the message whose work began at that version is settled, whoever does it;
/// where the task rested before that is another message's answer.
pub(crate) async fn settled(
    store: &Arc<dyn TaskStore>,
    key: &TaskKey,
    begun: Version,
) -> Result<Fold, Error> {
    let mut tail = Arc::clone(store).tail(key.clone(), 0);
    let mut slots = Vec::new();
    while let Some(slot) = tail.next().await {
        let slot = slot?;
        let may_settle = slot.version > begun && slot.entries.iter().any(Entry::changes_head);
        slots.push(slot);
        if may_settle {
            let fold = Fold::replay(Arc::clone(&key.id), &slots);
            if fold.is_settled() {
                return Ok(fold);
            }
        }
    }
    Err(Error::internal("a journal's tail ended"))
}
