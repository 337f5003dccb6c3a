//! A store with an outage.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use a2a_core::{
    MemoryStore, TaskStore, async_trait,
    store::{AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, StoreError},
    task::{Head, Slot, TaskKey, Version},
};
use futures_util::stream::BoxStream;

/// Outage after that many appends, until it is back.
pub(crate) struct Outage {
    store: Arc<MemoryStore>,
    left: AtomicI64,
}

impl Outage {
    pub(crate) fn after(appends: i64) -> Self {
        Self { store: Arc::default(), left: AtomicI64::new(appends) }
    }

    pub(crate) fn recover(&self) {
        self.left.store(i64::MAX, Ordering::Relaxed);
    }
}

#[async_trait]
impl TaskStore for Outage {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        if self.left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return Err(StoreError::unavailable("outage").into());
        }
        self.store.append(change).await
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        self.store.read_page(key, after, limit).await
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        self.store.head(key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.store.list(query).await
    }

    async fn running(
        &self,
        after: Option<&TaskKey>,
        limit: u32,
    ) -> Result<Vec<TaskKey>, StoreError> {
        self.store.running(after, limit).await
    }

    fn tail(
        self: Arc<Self>,
        key: TaskKey,
        after: Version,
    ) -> BoxStream<'static, Result<Slot, StoreError>> {
        Arc::clone(&self.store).tail(key, after)
    }
}
