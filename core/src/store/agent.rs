//! A store as one agent of several sees it.
//!
//! Owns: that agents which share a store never meet there: neither their tasks nor their lists, nor
//! the orphans of a dead runner. Must never know: which store it is.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, Running, StoreError, Tail,
    TaskStore,
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

    async fn newest(&self, key: &TaskKey) -> Result<Option<(Head, Version)>, StoreError> {
        self.store.newest(&self.key(key)).await
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
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        let of_store = |it: &Running| Running { key: self.key(&it.key), host: it.host.clone() };
        let (mut after, mut except) = (after.map(of_store), except.to_vec());
        let (size, mut own) = (limit as usize, Vec::new());
        loop {
            let page = self.store.running(after.as_ref(), limit, &except).await?;
            let is_last = page.len() < size;
            after = page.last().cloned();
            if page.iter().all(|it| self.own(&it.key).is_none()) {
                // A host runs one agent.
                except.extend(Running::large_hosts(&page, size));
            }
            let of_agent = |it: Running| Some(Running { key: self.own(&it.key)?, host: it.host });
            own.extend(page.into_iter().filter_map(of_agent));
            if is_last || own.len() >= size {
                own.truncate(size);
                return Ok(own);
            }
        }
    }

    fn tail(self: Arc<Self>, key: TaskKey, after: Version) -> Tail {
        Arc::clone(&self.store).tail(self.key(&key), after)
    }
}
