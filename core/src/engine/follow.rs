//! A stream is the journal, read from a cursor.
//!
//! Owns: turning recorded entries into events, and where a stream ends. Must never know: who runs
//! the task, transports.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio_util::sync::CancellationToken;

use super::{
    ends::{Ends, interrupted},
    state::Engine,
};
use crate::{
    call::{Event, Events},
    error::Error,
    store::{ReadLimit, StoreError, TaskStore},
    task::{Cursor, Entry, Fold, Slot, TaskKey, Version},
    types::{StreamResponse, Task, TaskState},
};

/// Which states end a stream, and when its host does. A terminal state always does.
#[derive(Clone, Debug)]
pub(crate) struct EndsAt {
    pub(crate) input_required: bool,
    pub(crate) auth_required: bool,
    pub(crate) time: Ends,
}

impl EndsAt {
    pub(crate) fn state(&self, state: TaskState) -> bool {
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

impl Engine {
    /// A stream that begins with the task as it stands at the cursor.
    pub(super) fn events_from(
        &self,
        key: TaskKey,
        task: Task,
        cursor: Cursor,
        tail: Tail,
        ends: EndsAt,
    ) -> Events {
        let state = task.status.state;
        let last = ends.state(state);
        let response = StreamResponse::Task(Box::new(task));
        let first = stream::iter([Ok(Event { cursor: Some(cursor), response, last })]);
        if last {
            return Events(first.boxed());
        }
        let follow = self.follow(key, tail, cursor, ends, state.is_interrupted());
        Events(first.chain(follow.events()).boxed())
    }

    /// What follows a cursor, up to where the stream ends.
    pub(super) fn follow(
        &self,
        key: TaskKey,
        tail: Tail,
        after: Cursor,
        ends: EndsAt,
        at_rest: bool,
    ) -> Follow {
        let (store, shutdown) = (Arc::clone(&self.store), self.shutdown.clone());
        Follow { store, key, tail, after, ends, at_rest, shutdown }
    }
}

/// Where to read from, and how far.
pub(crate) struct Follow {
    pub(crate) store: Arc<dyn TaskStore>,
    pub(crate) key: TaskKey,
    pub(crate) tail: Tail,
    /// What the reader has seen already.
    pub(crate) after: Cursor,
    pub(crate) ends: EndsAt,
    /// Whether no run is at work on the task where the reader begins.
    pub(crate) at_rest: bool,
    /// Ends the stream while no run is at work on the task.
    pub(crate) shutdown: CancellationToken,
}

impl Follow {
    /// The events after the cursor, those recorded and those to come, up to the last.
    pub(crate) fn events(self) -> BoxStream<'static, Result<Event, Error>> {
        let reader = Reader { follow: self, ready: VecDeque::new(), done: false };
        stream::unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) })
            .boxed()
    }
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
                () = self.follow.shutdown.cancelled(), if self.follow.at_rest => return None,
                () = self.follow.ends.time.cut() => {
                    self.done = true;
                    return Some(Err(interrupted()));
                }
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
                // stands, after the whole append, as is a reader that begins with this attempt.
                Entry::Started(started) if started.attempt > 1 => {
                    cursor = end_of(slot);
                    (self.follow.after, self.follow.at_rest) = (cursor, false);
                    let (store, key) = (&*self.follow.store, &self.follow.key);
                    StreamResponse::Task(Box::new(task_at(store, key, cursor).await?))
                }
                Entry::Released(_) => {
                    self.follow.at_rest = true;
                    continue;
                }
                Entry::Started(_)
                | Entry::Submitted(_)
                | Entry::Heartbeat(_)
                | Entry::KeyUsed(_)
                | Entry::CancelRequested(_)
                | Entry::Step(_)
                | Entry::Within(_)
                | Entry::Unknown(_) => continue,
            };
            self.ready.push_back(Event { cursor: Some(cursor), response, last: self.done });
        }
        Ok(())
    }
}

/// The cursor of an append's last entry.
pub(super) fn end_of(slot: &Slot) -> Cursor {
    let index = slot.entries.len().saturating_sub(1);
    Cursor { version: slot.version, index: u32::try_from(index).unwrap_or(u32::MAX) }
}

/// The task as it stood at a cursor.
pub(crate) async fn task_at(
    store: &dyn TaskStore,
    key: &TaskKey,
    cursor: Cursor,
) -> Result<Task, StoreError> {
    let (mut slots, mut more) = (Vec::<Slot>::new(), true);
    while more && slots.last().is_none_or(|slot| slot.version < cursor.version) {
        let after = slots.last().map_or(0, |slot| slot.version);
        let page = store.read_page(key, after, ReadLimit::PAGE).await?;
        let page = page.ok_or_else(|| StoreError::broken("the journal is gone"))?;
        slots.extend(page.slots);
        more = page.more;
    }
    slots.retain(|slot| slot.version <= cursor.version);
    let until = Fold::replay_until(Arc::clone(&key.id), &slots, |fold, _| fold.cursor >= cursor);
    Ok(until.0.task)
}

/// The next slot after `seen`; never, where there is nothing to follow. None when the store fails:
/// then it is to be followed anew.
pub(crate) async fn next_slot(tail: &mut Option<Tail>, seen: Version) -> Option<Slot> {
    const PAUSE: Duration = Duration::from_millis(500);
    let Some(slots) = tail else { return std::future::pending().await };
    loop {
        match slots.next().await {
            // The run's own.
            Some(Ok(slot)) if slot.version <= seen => {}
            Some(Ok(slot)) => return Some(slot),
            failed => {
                let error = failed.and_then(Result::err).map(|error| error.to_string());
                tracing::warn!(error, "a run cannot follow its task; it retries");
                *tail = None;
                tokio::time::sleep(PAUSE).await;
                return None;
            }
        }
    }
}
