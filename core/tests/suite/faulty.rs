//! A store that fails: unavailable for a while, or with a limit on what it takes. And what the
//! handler makes of it: an error that says whether it is retriable, nothing half done, and no caller
//! without an answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use a2a_core::{
    Call, Caller, DefaultRequestHandler, ErrorKind, EventQueue, ListTasksRequest, MemoryStore,
    TaskState, TaskStore, async_trait,
    store::{AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, Running, StoreError},
    task::{Head, Slot, TaskKey, Version},
};
use futures_util::stream::BoxStream;

use crate::world::*;

/// A memory store behind a switch.
pub(crate) struct Faulty {
    inner: Arc<MemoryStore>,
    pub(crate) unavailable: AtomicBool,
    /// How many appends more fail, for a short outage.
    pub(crate) failing: AtomicUsize,
    /// How many appends more are done, but not acknowledged.
    pub(crate) unacknowledged: AtomicUsize,
    pub(crate) max_append: AtomicUsize,
    /// What is appended with every slot besides.
    besides: Vec<a2a_core::task::Entry>,
}

impl Default for Faulty {
    fn default() -> Self {
        Self {
            inner: Arc::default(),
            unavailable: AtomicBool::new(false),
            failing: AtomicUsize::new(0),
            unacknowledged: AtomicUsize::new(0),
            max_append: AtomicUsize::new(usize::MAX),
            besides: Vec::new(),
        }
    }
}

impl Faulty {
    /// A newer build's way to that store: it appends these entries with every slot besides.
    pub(crate) fn newer(inner: &Arc<MemoryStore>, besides: Vec<a2a_core::task::Entry>) -> Self {
        Self { inner: Arc::clone(inner), besides, ..Self::default() }
    }

    fn check(&self) -> Result<(), StoreError> {
        match self.unavailable.load(Ordering::SeqCst) {
            true => Err(StoreError::unavailable("the database at 10.0.0.7 is unavailable")),
            false => Ok(()),
        }
    }
}

fn took_one(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

#[async_trait]
impl TaskStore for Faulty {
    async fn append(&self, mut change: Change) -> Result<(), AppendError> {
        self.check()?;
        if took_one(&self.failing) {
            return Err(StoreError::unavailable("throttled").into());
        }
        let weight: usize = change.entries.iter().map(a2a_core::task::Entry::weight).sum();
        if weight > self.max_append.load(Ordering::SeqCst) {
            return Err(AppendError::TooLarge);
        }
        if !self.besides.is_empty() {
            change.entries = change.entries.iter().chain(&self.besides).cloned().collect();
        }
        self.inner.append(change).await?;
        if took_one(&self.unacknowledged) {
            return Err(StoreError::unavailable("the connection was lost").into());
        }
        Ok(())
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        self.check()?;
        self.inner.read_page(key, after, limit).await
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        self.check()?;
        self.inner.head(key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.check()?;
        self.inner.list(query).await
    }

    async fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        self.check()?;
        self.inner.running(after, limit, except).await
    }

    // `tail` is the contract's default, which polls: so that one is tried out too.
    fn tail(
        self: Arc<Self>,
        key: TaskKey,
        after: Version,
    ) -> BoxStream<'static, Result<Slot, StoreError>> {
        struct Polled(Arc<Faulty>);
        #[async_trait]
        impl TaskStore for Polled {
            async fn append(&self, change: Change) -> Result<(), AppendError> {
                self.0.append(change).await
            }
            async fn read_page(
                &self,
                key: &TaskKey,
                after: Version,
                limit: ReadLimit,
            ) -> Result<Option<Journal>, StoreError> {
                self.0.read_page(key, after, limit).await
            }
            async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
                self.0.head(key).await
            }
            async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
                self.0.list(query).await
            }
            async fn running(
                &self,
                after: Option<&Running>,
                limit: u32,
                except: &[Arc<str>],
            ) -> Result<Vec<Running>, StoreError> {
                self.0.running(after, limit, except).await
            }
        }
        Arc::new(Polled(self)).tail(key, after)
    }
}

struct FaultyWorld {
    store: Arc<Faulty>,
    script: Arc<Script>,
    handler: DefaultRequestHandler,
}

fn faulty() -> FaultyWorld {
    let (store, script) = (Arc::<Faulty>::default(), Arc::<Script>::default());
    let handler =
        DefaultRequestHandler::new(card(), Arc::clone(&script) as _, Arc::clone(&store) as _);
    FaultyWorld { store, script, handler: handler.with_env(ticking()) }
}

impl FaultyWorld {
    async fn call(&self, call: Call) -> Result<a2a_core::Reply, a2a_core::Error> {
        call_on(&self.handler, Caller::default(), call).await
    }
}

/// The contract holds for the default tail too.
mod keeps_the_contract {
    a2a_core::store_conformance!(super::fresh, #[tokio::test(start_paused = true)]);
}

async fn fresh(_: &'static str) -> Arc<dyn TaskStore> {
    Arc::<Faulty>::default()
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_store_is_told_without_its_secrets() {
    let world = faulty();
    let task = sent_task(world.call(Call::SendMessage(say("ask what?"))).await.unwrap());
    world.store.unavailable.store(true, Ordering::SeqCst);
    for call in [
        Call::SendMessage(say("complete")),
        Call::SendStreamingMessage(say("complete")),
        Call::SendMessage(say_to(&task.id, "complete")),
        get(&task.id),
        cancel(&task.id),
        subscribe(&task.id),
        Call::ListTasks(ListTasksRequest::default()),
    ] {
        let error = world.call(call.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{call:?}");
        assert!(error.is_retriable() && !error.message().contains("10.0.0.7"), "{error}");
    }
    world.store.unavailable.store(false, Ordering::SeqCst);
    assert_eq!(get_on(&world.handler, &task.id).await, task);
}

#[tokio::test(start_paused = true)]
async fn an_append_is_retried_in_a_short_outage() {
    let world = faulty();
    world.store.failing.store(4, Ordering::SeqCst);
    let call = Call::SendMessage(say("working\nyield\nchunks 3\ncomplete done"));
    let task = sent_task(world.call(call).await.unwrap());
    assert_eq!((task.status.state, world.script.runs()), (TaskState::Completed, 1));
    assert_eq!(get_on(&world.handler, &task.id).await, task);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_was_lost_is_not_an_append_done_twice() {
    for caller in [Caller::default(), keyed("k")] {
        let world = faulty();
        world.store.unacknowledged.store(9, Ordering::SeqCst);
        let call = Call::SendMessage(say("working hm\nyield\nchunks 3\nyield\ncomplete done"));
        let task = sent_task(call_on(&world.handler, caller, call).await.unwrap());
        assert_eq!((task.status.state, world.script.runs()), (TaskState::Completed, 1));
        assert_eq!(task.artifacts[0].parts.len(), 3);
        assert_eq!(history(&task).len(), 2);
        assert_eq!(get_on(&world.handler, &task.id).await, task);
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_whose_acknowledgement_was_lost_becomes_a_task() {
    let world = faulty();
    for (key, story) in [("k", "gate\ncomplete done"), ("l", "append a one\ngate\ncomplete done")] {
        world.store.unacknowledged.store(1, Ordering::SeqCst);
        let call = Call::SendMessage(at_once(say(story)));
        let task = sent_task(call_on(&world.handler, keyed(key), call).await.unwrap());
        let found = get_on(&world.handler, &task.id).await;
        assert_eq!(
            (found.id, found.history),
            (task.id, task.history),
            "who is told of it finds it"
        );
    }
}

/// The next delivery has taken over, and is done, before the first one hears of its claim.
#[tokio::test(start_paused = true)]
async fn a_start_whose_acknowledgement_came_too_late_runs_nothing() {
    let world = faulty();
    world.store.unacknowledged.store(1, Ordering::SeqCst);
    let deliver = || {
        let call = Call::SendMessage(say("working hm\ncomplete done"));
        call_on(&world.handler, keyed("a record"), call)
    };
    let (first, second) = tokio::join!(deliver(), deliver());
    let task = sent_task(first.unwrap());
    assert_eq!((sent_task(second.unwrap()), world.script.runs()), (task.clone(), 1));
    assert_eq!(task.status.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_whose_acknowledgement_was_lost_is_a_cancel() {
    let world = faulty();
    let task = sent_task(world.call(Call::SendMessage(say("ask what?"))).await.unwrap());
    world.store.unacknowledged.store(1, Ordering::SeqCst);
    let canceled = task_of(world.call(cancel(&task.id)).await.unwrap());
    assert_eq!(canceled.status.state, TaskState::Canceled);
}

#[tokio::test(start_paused = true)]
async fn events_too_large_for_the_store_fail_the_task() {
    for first in [true, false] {
        let store = Arc::<Faulty>::default();
        store.max_append.store(1_000, Ordering::SeqCst);
        let agent = Agent(move |_, queue: EventQueue| async move {
            if !first {
                queue.working("hm").await?;
                yields().await;
            }
            queue.complete("x".repeat(2_000)).await?;
            Ok(())
        });
        let handler = handler_on(store, agent);
        let call = Call::SendMessage(say("hi"));
        let task = sent_task(call_on(&handler, Caller::default(), call).await.unwrap());
        assert_eq!(task.status.state, TaskState::Failed);
        assert!(status_text(&task).contains("too large"), "{task:?}");
        assert_eq!(get_on(&handler, &task.id).await, task);
        let call = Call::SendStreamingMessage(say("hi"));
        let told =
            told_all(&all(events(call_on(&handler, Caller::default(), call).await.unwrap())).await);
        assert_eq!(told.len(), if first { 2 } else { 3 });
        assert_eq!(told[0], "task submitted");
        assert!(
            told.last().unwrap().starts_with("failed The agent's answer was too large"),
            "{told:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_too_large_for_the_store_is_refused() {
    let world = faulty();
    world.store.max_append.store(300, Ordering::SeqCst);
    for caller in [Caller::default(), keyed("k")] {
        for call in [Call::SendMessage, Call::SendStreamingMessage] {
            let request = say(&format!("complete {}", "x".repeat(900)));
            let refused = call_on(&world.handler, caller.clone(), call(request)).await;
            assert_eq!(kind(refused), ErrorKind::TooLarge);
        }
    }
    let listed = world.call(Call::ListTasks(ListTasksRequest::default())).await.unwrap();
    let a2a_core::Reply::Tasks(page) = listed else { panic!("not a page") };
    assert_eq!(page.total_size, 0, "nothing was written");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_record_ends_and_a_second_delivery_takes_it_up() {
    let world = faulty();
    let story = "working\ngate\ncomplete done";
    let handler = world.handler.clone();
    let first =
        tokio::spawn(async move { handler.call(keyed("k"), Call::SendMessage(say(story))).await });
    world.script.begun.passed().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.store.unavailable.store(true, Ordering::SeqCst);
    world.script.gate.open();
    assert_eq!(kind(soon(first).await.unwrap()), ErrorKind::Unavailable);
    soon(world.handler.settled()).await;
    assert_eq!(world.script.over(), 1);
    world.store.unavailable.store(false, Ordering::SeqCst);
    world.script.gate.open();
    let call = Call::SendMessage(say(story));
    let task = sent_task(call_on(&world.handler, keyed("k"), call).await.unwrap());
    assert_eq!((task.status.state, world.script.context(1).attempt()), (TaskState::Completed, 2));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_loses_its_store_ends_with_an_error() {
    let world = faulty();
    let call = Call::SendStreamingMessage(say("working\nhang"));
    let mut stream = events(world.call(call).await.unwrap());
    next(&mut stream).await;
    next(&mut stream).await;
    world.store.unavailable.store(true, Ordering::SeqCst);
    let item = soon(futures_util::StreamExt::next(&mut stream.0)).await.unwrap();
    assert_eq!(kind(item), ErrorKind::Unavailable);
    assert!(soon(futures_util::StreamExt::next(&mut stream.0)).await.is_none());
}
