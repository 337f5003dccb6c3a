//! Journals in this process's memory, bounded.
//!
//! What is dropped when space runs out is of the owner who holds most: the oldest finished tasks
//! first, then the oldest that wait for their client; never one that is being worked on, or followed
//! by a reader. Where that is not enough, new tasks are refused, and those that there are may still
//! end.
//!
//! | file | owns |
//! |---|---|
//! | this one | the store: its lock, and readers' tails |
//! | `shelf` | the journals, what they weigh, and making room |
//! | `holders` | who holds how much, and whose task is dropped next |
//! | `lists` | the order of lists |
//!
//! Must never know: what an entry means.

mod holders;
mod lists;
mod shelf;

use std::{
    collections::hash_map::RandomState,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};

use self::shelf::{Prepared, Shared, Shelf, lock};
use super::{
    AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, Running, StoreError, Tail,
    TaskStore,
};
use crate::task::{Head, Slot, TaskKey, Version};

/// A [`TaskStore`] in memory: lost when the process ends, and not shared with another.
///
/// ```
/// let store = a2a_core::MemoryStore::new(64 << 20);
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    shelf: Mutex<Shelf>,
    scopes: RandomState,
}

impl MemoryStore {
    /// A store of at most about `max_bytes` bytes, everything that a task takes included. What is
    /// being worked on may take an eighth more, so that it can end.
    pub fn new(max_bytes: usize) -> Self {
        let scopes = RandomState::new();
        Self { shelf: Mutex::new(Shelf::new(max_bytes, scopes.clone())), scopes }
    }

    /// About how many bytes are in use.
    pub fn bytes(&self) -> usize {
        lock(&self.shelf).bytes()
    }

    /// How many journals there are.
    pub fn len(&self) -> usize {
        lock(&self.shelf).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for MemoryStore {
    /// At most 100 MB.
    fn default() -> Self {
        Self::new(100_000_000)
    }
}

#[async_trait]
impl TaskStore for MemoryStore {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        let prepared = Prepared::new(change, &self.scopes);
        // What is dropped is let go of here, without the lock.
        let (journal, _dropped) = lock(&self.shelf).append(prepared)?;
        journal.grown.notify_waiters();
        Ok(())
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        Ok(lock(&self.shelf).read(key, after, limit))
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        Ok(lock(&self.shelf).head(key).cloned())
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        let ListQuery { tenant, owner, context_id, .. } = query;
        let scope = lists::scope(&self.scopes, tenant, owner, context_id.as_ref());
        Ok(lock(&self.shelf).list(scope, query))
    }

    async fn newest(&self, key: &TaskKey) -> Result<Option<(Head, Version)>, StoreError> {
        Ok(lock(&self.shelf).newest(key))
    }

    async fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        Ok(lock(&self.shelf).running(after, limit, except))
    }

    fn tail(self: Arc<Self>, key: TaskKey, after: Version) -> Tail {
        let Some(journal) = lock(&self.shelf).follow(&key) else {
            return stream::once(async { Err(StoreError::broken("there is no such journal")) })
                .boxed();
        };
        let follower = Follower { store: self, key, journal };
        let growth = stream::unfold((follower, after), |(follower, after)| async move {
            let slots = follower.grown(after).await;
            let next = slots.last().map_or(after, |slot| slot.version);
            Some((slots, (follower, next)))
        });
        growth.flat_map(|slots| stream::iter(slots.into_iter().map(Ok))).boxed()
    }
}

/// One who follows a journal, until this is dropped.
struct Follower {
    store: Arc<MemoryStore>,
    key: TaskKey,
    journal: Arc<Shared>,
}

impl Follower {
    /// Waits until there is a slot after that version.
    async fn grown(&self, after: Version) -> Vec<Slot> {
        loop {
            let mut notified = std::pin::pin!(self.journal.grown.notified());
            // Listening begins before looking, so that nothing can come between.
            notified.as_mut().enable();
            let (slots, _) = self.journal.after(after, ReadLimit::POLL);
            if !slots.is_empty() {
                return slots;
            }
            notified.await;
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // What is dropped is let go of without the lock.
        let _dropped = lock(&self.store.shelf).leave(&self.key);
    }
}
