//! A stream that is open holds its journal, in a memory store so crowded that whatever may be dropped
//! is dropped between two looks at it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use a2a_core::{
    Call, Caller, DefaultRequestHandler, ErrorKind, MemoryStore, StreamResponse, TaskState,
    TaskStore, async_trait,
    store::{
        AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, Running, StoreError, Tail,
        conformance::{append, head, key, submitted},
    },
    task::{Head, TaskKey, Version},
};

use crate::world::*;

/// A store in which others leave tasks waiting at every look, so that those before are dropped.
struct Crowded {
    store: Arc<MemoryStore>,
    tasks: AtomicU64,
}

impl Crowded {
    fn new() -> Self {
        Self { store: Arc::new(MemoryStore::new(40_000)), tasks: AtomicU64::new(0) }
    }

    async fn others(&self) {
        let store: Arc<dyn TaskStore> = Arc::clone(&self.store) as _;
        for _ in 0..8 {
            let id = format!("other-{}", self.tasks.fetch_add(1, Ordering::Relaxed));
            let waits = Some(head(TaskState::InputRequired, 1));
            let _ = append(&store, key(&id), 0, [submitted(&"x".repeat(5_000))], waits).await;
        }
    }
}

#[async_trait]
impl TaskStore for Crowded {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        let appended = self.store.append(change).await;
        self.others().await;
        appended
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        let page = self.store.read_page(key, after, limit).await;
        self.others().await;
        page
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        self.store.head(key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.store.list(query).await
    }

    async fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        self.store.running(after, limit, except).await
    }

    fn tail(self: Arc<Self>, key: TaskKey, after: Version) -> Tail {
        Arc::clone(&self.store).tail(key, after)
    }
}

fn crowded() -> (Arc<Crowded>, DefaultRequestHandler) {
    let store = Arc::new(Crowded::new());
    (Arc::clone(&store), handler_on(store, Script::default()))
}

async fn stream(handler: &DefaultRequestHandler, story: &str) -> a2a_core::Events {
    let call = Call::SendStreamingMessage(say(story));
    events(call_on(handler, Caller::default(), call).await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_task_is_dropped_as_it_ends_is_told_to_its_end() {
    let (_, handler) = crowded();
    for (story, last) in [
        ("complete done", "completed done"),
        ("ask what?", "input_required what?"),
        ("working\nyield\nchunks 3\nyield\nfail why", "failed why"),
        ("reply hi", "message hi"),
    ] {
        let events = all(stream(&handler, story).await).await;
        assert_eq!(told(events.last().unwrap()), last, "{story}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_is_there_while_a_stream_of_it_is_open() {
    let (store, handler) = crowded();
    let mut first = stream(&handler, "working\nyield\nauth who?").await;
    let StreamResponse::Task(task) = next(&mut first).await.response else { panic!("no task") };
    assert_eq!(told(&next(&mut first).await), "working");
    assert_eq!(told(&next(&mut first).await), "auth_required who?");
    let call = subscribe(&task.id);
    let second = events(call_on(&handler, Caller::default(), call).await.unwrap());
    drop(first);
    store.others().await;
    assert_eq!(get_on(&handler, &task.id).await.status.state, TaskState::AuthRequired);
    drop(second);
    store.others().await;
    let gone = call_on(&handler, Caller::default(), get(&task.id)).await;
    assert_eq!(kind(gone), ErrorKind::TaskNotFound);
}
