//! A handler over a store, its agent, and what it asks of the store.
//!
//! Owns: an agent that answers as fast as it is let, and counting the appends that this takes. Must
//! never know: which store it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use a2a_core::store::{AppendError, Change, Journal, ListPage, ListQuery, StoreError};
use a2a_core::task::{Head, Slot, TaskKey, Version};
use a2a_core::{
    AgentCapabilities, AgentCard, AgentError, AgentExecutor, Artifact, Call, Caller,
    DefaultRequestHandler, EventQueue, IdempotencyKey, Message, Part, Reply, RequestContext,
    SendMessageRequest, TaskStore, async_trait,
};
use futures_util::stream::BoxStream;

use super::writer::{KILOBYTE, Store, text};

/// A handler whose agent answers a number by an artifact of so many kilobytes, one after another.
pub(super) struct Agent {
    handler: DefaultRequestHandler,
    counted: Arc<Counted>,
    owner: Arc<str>,
}

impl Agent {
    /// One that serves this caller.
    pub(super) fn new(store: &Store, owner: &str) -> Self {
        let counted = Arc::new(Counted { store: Arc::clone(store), appends: AtomicUsize::new(0) });
        let capabilities =
            AgentCapabilities { streaming: Some(true), ..AgentCapabilities::default() };
        let card = AgentCard { capabilities, ..AgentCard::default() };
        let store: Store = Arc::<Counted>::clone(&counted);
        let handler = DefaultRequestHandler::new(card, Arc::new(Kilobytes), store);
        Self { handler, counted, owner: owner.into() }
    }

    /// Serves one call.
    pub(super) async fn call(&self, call: Call) -> Result<Reply, String> {
        self.call_with(None, call).await
    }

    /// Serves one call that may have been delivered before, if it has a key.
    pub(super) async fn call_with(
        &self,
        key: Option<IdempotencyKey>,
        call: Call,
    ) -> Result<Reply, String> {
        let caller = Caller { owner: Arc::clone(&self.owner), key, ..Caller::default() };
        self.handler.call(caller, call).await.map_err(|error| format!("a call failed: {error}"))
    }

    /// How many appends there were up to now.
    pub(super) fn appends(&self) -> usize {
        self.counted.appends.load(Ordering::Relaxed)
    }
}

/// The request for so many kilobytes.
pub(super) fn ask(kilobytes: usize) -> SendMessageRequest {
    let message = Message::user("message-1", vec![Part::text(kilobytes.to_string())]);
    SendMessageRequest { message, ..SendMessageRequest::default() }
}

struct Kilobytes;

#[async_trait]
impl AgentExecutor for Kilobytes {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        let kilobytes: u64 = context.text().parse().unwrap_or(1);
        let first = Artifact::new("answer", vec![Part::text(text(1, KILOBYTE))]);
        queue.artifact(first).await?;
        for number in 2..=kilobytes {
            queue.append("answer", text(number, KILOBYTE)).await?;
        }
        Ok(queue.complete(()).await?)
    }
}

/// A store whose appends are counted.
struct Counted {
    store: Store,
    appends: AtomicUsize,
}

#[async_trait]
impl TaskStore for Counted {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        self.appends.fetch_add(1, Ordering::Relaxed);
        self.store.append(change).await
    }

    async fn read(&self, key: &TaskKey, after: Version) -> Result<Option<Journal>, StoreError> {
        self.store.read(key, after).await
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
