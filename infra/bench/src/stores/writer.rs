//! A task's journal as the handler would write it, without the handler.
//!
//! Owns: the entries of a task, their heads, and how long an append takes. Must never know: what is
//! measured with them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use a2a_core::store::Change;
use a2a_core::task::{Cursor, Entry, Fold, Started, Submitted, TaskKey};
use a2a_core::{
    Artifact, Env, Message, Part, TaskArtifactUpdateEvent, TaskState, TaskStatus,
    TaskStatusUpdateEvent, TaskStore, Timestamp,
};
use anyhow::{Context, Result};

use crate::text::{KILOBYTE, text};

/// A store as it is handed around.
pub(crate) type Store = Arc<dyn TaskStore>;

/// Whose tasks are listed, as a token's subject would name them.
pub(crate) const OWNER: &str = "5f2b6f0e-3f0a-4c36-8a53-2b6f4d1f9a77";
/// Whose all other tasks are.
pub(crate) const OTHER: &str = "0c8e7d0a-91d4-4d0b-9a1c-7f3e5a2b6c11";

/// One task's journal, and its one writer.
pub(crate) struct Writer {
    store: Store,
    key: TaskKey,
    owner: Arc<str>,
    context: Arc<str>,
    host: Option<Arc<str>>,
    fold: Fold,
    env: Env,
    time: Option<Timestamp>,
    seed: u64,
}

impl Writer {
    /// A new task's, in a context of its own.
    pub(crate) fn new(store: &Store) -> Self {
        let context = Env::system().id();
        Self::of(store, OTHER, context, None)
    }

    /// A new task's of this owner, in this context; with a clock that stands, if a time is given.
    pub(crate) fn of(
        store: &Store,
        owner: &str,
        context: Arc<str>,
        time: Option<Timestamp>,
    ) -> Self {
        let env = Env::system();
        let key = TaskKey { tenant: "".into(), id: env.id() };
        let fold = Fold::new(Arc::clone(&key.id));
        // Ids are random: so is what is made of them.
        let seed =
            key.id.bytes().fold(7, |seed: u64, byte| seed * 31 % 1_000_003 + u64::from(byte));
        let owner = owner.into();
        let host = None;
        Self { store: Arc::clone(store), key, owner, context, host, fold, env, time, seed }
    }

    /// The same in the hands of that process.
    pub(crate) fn at(mut self, host: &Arc<str>) -> Self {
        self.host = Some(Arc::clone(host));
        self
    }

    fn now(&self) -> Timestamp {
        self.time.unwrap_or_else(|| self.env.now())
    }

    /// Whose journal it is.
    pub(crate) fn key(&self) -> &TaskKey {
        &self.key
    }

    /// Appends the entries, with a head where the handler would write one. Answers how long it
    /// took.
    pub(crate) async fn append(&mut self, entries: Vec<Entry>) -> Result<Duration> {
        let entries: Arc<[Entry]> = entries.into();
        let changed = entries.iter().any(Entry::changes_head);
        let head = changed.then(|| self.fold.head_after(&self.owner, &entries));
        let after = self.fold.cursor.version;
        let change = Change { key: self.key.clone(), after, entries: Arc::clone(&entries), head };
        let begin = Instant::now();
        self.store.append(change).await.context("an append failed")?;
        let took = begin.elapsed();
        for (index, entry) in (0..).zip(entries.iter()) {
            self.fold.apply(Cursor { version: after + 1, index }, entry);
        }
        Ok(took)
    }

    /// Appends the message, and that work on it begins.
    pub(crate) async fn open(&mut self) -> Result<Duration> {
        self.append(self.opening()).await
    }

    /// Appends a new state.
    pub(crate) async fn state(&mut self, state: TaskState) -> Result<Duration> {
        self.append(vec![self.status(state)]).await
    }

    /// Appends a kilobyte of the one artifact.
    pub(crate) async fn chunk(&mut self) -> Result<Duration> {
        self.seed += 1;
        let text = text(self.seed, KILOBYTE);
        let chunk = Entry::Artifact(Arc::new(TaskArtifactUpdateEvent {
            task_id: Arc::clone(&self.key.id),
            context_id: Arc::clone(&self.context),
            artifact: Artifact::new("answer", vec![Part::text(text)]),
            append: self.fold.cursor.version > 2,
            ..TaskArtifactUpdateEvent::default()
        }));
        self.append(vec![chunk]).await
    }

    /// The message, and that work on it begins.
    pub(crate) fn opening(&self) -> Vec<Entry> {
        let mut message = Message::user(self.env.id(), vec![Part::text("What is new today?")]);
        message.task_id = Some(Arc::clone(&self.key.id));
        message.context_id = Some(Arc::clone(&self.context));
        let at = self.now();
        let started = Started { runner: self.env.id(), host: self.host.clone(), attempt: 1, at };
        vec![Entry::from(Submitted::new(Arc::new(message), at)), Entry::Started(started)]
    }

    /// A new state.
    pub(crate) fn status(&self, state: TaskState) -> Entry {
        Entry::Status(Arc::new(TaskStatusUpdateEvent {
            task_id: Arc::clone(&self.key.id),
            context_id: Arc::clone(&self.context),
            status: TaskStatus { state, message: None, timestamp: Some(self.now()) },
            ..TaskStatusUpdateEvent::default()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use a2a_core::MemoryStore;

    #[tokio::test]
    async fn a_task_is_what_the_handler_would_write() {
        let store: Store = Arc::new(MemoryStore::default());
        let mut writer = Writer::new(&store);
        writer.open().await.unwrap();
        writer.state(TaskState::Working).await.unwrap();
        writer.chunk().await.unwrap();
        writer.state(TaskState::Completed).await.unwrap();
        let journal = store.read(writer.key(), 0).await.unwrap().unwrap();
        let task = Fold::replay(Arc::clone(&writer.key().id), &journal.slots).task;
        assert_eq!(task.status.state, TaskState::Completed);
        assert_eq!(task.artifacts[0].parts[0].as_text().map(str::len), Some(KILOBYTE));
        assert_eq!(journal.head.status, task.status);
    }
}
