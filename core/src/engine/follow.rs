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
    size,
    state::Engine,
    streams::OpenStream,
};
use crate::{
    call::{Event, Events},
    error::Error,
    store::{ReadLimit, StoreError, TaskStore},
    task::{Cursor, Entry, Fold, Slot, TaskKey, Version},
    types::{StreamResponse, Task, TaskState},
};

/// Which states end a stream, and when its host does. A terminal state always does.
#[derive(Debug)]
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
    ///
    /// # Errors
    /// When the task is over the limit of an answer.
    pub(super) fn events_from(
        &self,
        source: Source,
        task: Task,
        cursor: Cursor,
    ) -> Result<Events, Error> {
        size::within(&task, self.limits.answer)?;
        let state = task.status.state;
        let last = source.ends.state(state);
        let response = StreamResponse::Task(Box::new(task));
        let first = stream::iter([Ok(Event { cursor: Some(cursor), response, last })]);
        if last {
            return Ok(Events(first.boxed()));
        }
        let Events(follow) = self.follow(source, cursor, state.is_interrupted());
        Ok(Events(first.chain(follow).boxed()))
    }

    /// The events after a cursor, those recorded and those to come, up to the last. `at_rest` is
    /// whether no run is at work on the task there.
    pub(super) fn follow(&self, source: Source, after: Cursor, at_rest: bool) -> Events {
        let reader = Reader {
            store: Arc::clone(&self.store),
            shutdown: self.shutdown.clone(),
            answer: self.limits.answer,
            source,
            after,
            at_rest,
            ready: VecDeque::new(),
            done: false,
        };
        let next = |mut reader: Reader| async move { Some((reader.next().await?, reader)) };
        Events(stream::unfold(reader, next).boxed())
    }
}

/// What a stream is read from, and how far.
pub(super) struct Source {
    pub(super) key: TaskKey,
    pub(super) tail: Tail,
    pub(super) ends: EndsAt,
    /// Counts it among its caller's.
    pub(super) _open: OpenStream,
}

struct Reader {
    source: Source,
    store: Arc<dyn TaskStore>,
    /// How large a task may be that is told.
    answer: usize,
    /// What the reader has seen already.
    after: Cursor,
    /// Whether no run is at work on the task there.
    at_rest: bool,
    /// Ends the stream while no run is at work on the task.
    shutdown: CancellationToken,
    ready: VecDeque<Result<Event, Error>>,
    done: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<Event, Error>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.done {
                return None;
            }
            let slot = tokio::select! {
                biased;
                slot = self.source.tail.next() => slot?,
                () = self.shutdown.cancelled(), if self.at_rest => return None,
                () = self.source.ends.time.cut() => {
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
                tracing::error!(task = %self.source.key.id, %error, "a stream lost its journal");
                return Some(Err(error.into()));
            }
        }
    }

    async fn read(&mut self, slot: &Slot) -> Result<(), StoreError> {
        for (index, entry) in (0..).zip(slot.entries.iter()) {
            let mut cursor = Cursor { version: slot.version, index };
            if cursor <= self.after || self.done {
                continue;
            }
            self.after = cursor;
            let response = match entry {
                Entry::Status(event) => {
                    let state = event.status.state;
                    self.at_rest = state.is_interrupted();
                    self.done = self.source.ends.state(state);
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
                    (self.after, self.at_rest) = (cursor, false);
                    let task = task_at(&*self.store, &self.source.key, cursor).await?;
                    if let Err(error) = size::within(&task, self.answer) {
                        self.done = true;
                        self.ready.push_back(Err(error));
                        continue;
                    }
                    StreamResponse::Task(Box::new(task))
                }
                Entry::Released(_) => {
                    self.at_rest = true;
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
            self.ready.push_back(Ok(Event { cursor: Some(cursor), response, last: self.done }));
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
