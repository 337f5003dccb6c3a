//! A store with an outage.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use a2a_core::{
    MemoryStore, TaskStore, async_trait,
    store::{AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, Running, StoreError},
    task::{Head, TaskKey, Version},
};

/// Unavailable after that many appends, until it recovers.
pub(crate) struct Outage {
    store: MemoryStore,
    left: AtomicI64,
}

impl Outage {
    pub(crate) fn after(appends: i64) -> Self {
        Self { store: MemoryStore::default(), left: AtomicI64::new(appends) }
    }

    pub(crate) fn recover(&self) {
        self.left.store(i64::MAX, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.left.load(Ordering::Relaxed) {
            ..=0 => Err(StoreError::unavailable("the database at 10.0.0.7 is unavailable")),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl TaskStore for Outage {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        self.check()?;
        self.left.fetch_sub(1, Ordering::Relaxed);
        self.store.append(change).await
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        self.check()?;
        self.store.read_page(key, after, limit).await
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        self.check()?;
        self.store.head(key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.check()?;
        self.store.list(query).await
    }

    async fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        self.check()?;
        self.store.running(after, limit, except).await
    }
}
