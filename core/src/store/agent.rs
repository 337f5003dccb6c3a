//! A store as one agent of several sees it.
//!
//! Owns: that agents which share a store never meet there: neither their tasks nor their lists, nor
//! the orphans of a dead runner. Must never know: which store it is.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, StoreError, Tail, TaskStore,
};
use crate::task::{Head, TaskKey, Version};

/// The part of a store that belongs to one agent.
///
/// To the store behind it the agent's tenants are called `{agent}/{tenant}`. So whatever it keeps
/// apart by tenant, this keeps apart by agent.
///
/// ```
/// use std::sync::Arc;
/// use a2a_core::{MemoryStore, TaskStore, store::AgentStore};
///
/// let shared: Arc<dyn TaskStore> = Arc::new(MemoryStore::default());
/// let of_data = AgentStore::new(Arc::clone(&shared), "data");
/// let of_balance = AgentStore::new(shared, "balance");
/// ```
pub struct AgentStore {
    store: Arc<dyn TaskStore>,
    /// What the agent's tenants begin with, which is also the name of no tenant.
    prefix: Arc<str>,
}

impl AgentStore {
    /// The part of this store that belongs to the agent of this name.
    pub fn new(store: Arc<dyn TaskStore>, agent: &str) -> Self {
        // The first `/` ends the name, whatever the name is.
        let agent = agent.replace('%', "%25").replace('/', "%2F");
        Self { store, prefix: format!("{agent}/").into() }
    }

    fn tenant(&self, tenant: &str) -> Arc<str> {
        match tenant {
            "" => Arc::clone(&self.prefix),
            tenant => format!("{}{tenant}", self.prefix).into(),
        }
    }

    fn key(&self, key: &TaskKey) -> TaskKey {
        TaskKey { tenant: self.tenant(&key.tenant), id: Arc::clone(&key.id) }
    }

    /// The key as the agent knows it; none for another agent's.
    fn own(&self, key: &TaskKey) -> Option<TaskKey> {
        let tenant = key.tenant.strip_prefix(&*self.prefix)?;
        Some(TaskKey { tenant: tenant.into(), id: Arc::clone(&key.id) })
    }
}

#[async_trait]
impl TaskStore for AgentStore {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        self.store.append(Change { key: self.key(&change.key), ..change }).await
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        self.store.read_page(&self.key(key), after, limit).await
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        self.store.head(&self.key(key)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        let query = ListQuery { tenant: self.tenant(&query.tenant), ..query.clone() };
        self.store.list(&query).await
    }

    async fn running(
        &self,
        after: Option<&TaskKey>,
        limit: u32,
    ) -> Result<Vec<TaskKey>, StoreError> {
        let mut after = after.map(|key| self.key(key));
        loop {
            let page = self.store.running(after.as_ref(), limit).await?;
            let own = Vec::from_iter(page.iter().filter_map(|key| self.own(key)));
            // A page of other agents' tasks only is not the end.
            if page.is_empty() || !own.is_empty() {
                return Ok(own);
            }
            after = page.last().cloned();
        }
    }

    fn tail(self: Arc<Self>, key: TaskKey, after: Version) -> Tail {
        Arc::clone(&self.store).tail(self.key(&key), after)
    }
}
