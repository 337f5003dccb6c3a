//! What a sweeper looks at: few tasks of each process that lives, all of one that does not, and what a
//! living one has given up.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use a2a_core::{
    store::{
        AgentStore, AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, Running,
        StoreError,
        conformance::{head, key, submitted},
    },
    task::{Entry, Head, Heartbeat, Phase, Released, Started, TaskKey, Version},
    *,
};

use crate::world::*;

const LEASE: Duration = Duration::from_secs(30);
/// How far apart a sweeper's passes are.
const PAUSE: Duration = Duration::from_secs(10);

/// Tasks of processes that need not be there: a run of one that lives has given a sign of life
/// whenever it is looked at.
#[derive(Default)]
struct Hosts {
    kept: MemoryStore,
    living: Mutex<HashSet<Arc<str>>>,
    /// This one cannot be read.
    corrupt: Mutex<Option<TaskKey>>,
    /// Appends to its journal fail.
    refused: Mutex<Option<TaskKey>>,
    /// How often a journal was read, and how many running tasks were told of.
    reads: AtomicUsize,
    told: AtomicUsize,
}

impl Hosts {
    /// A run of that process: its start alone is recorded.
    async fn begin(&self, id: &str, host: &str) {
        let started = self.started(host);
        let head = Head { host: Some(host.into()), ..head(TaskState::Working, 1) };
        let entries = Arc::new([submitted(id), started]);
        self.kept
            .append(Change { key: key(id), after: 0, entries, head: Some(head) })
            .await
            .unwrap();
    }

    fn started(&self, host: &str) -> Entry {
        let at = Timestamp::from_millis(1);
        Entry::Started(Started { runner: "r".into(), host: Some(host.into()), attempt: 1, at })
    }

    fn live(&self, host: &str) {
        self.living.lock().unwrap().insert(host.into());
    }

    async fn append_last(&self, key: &TaskKey, entry: Entry, head: Option<Head>) {
        let after = self.kept.read(key, 0).await.unwrap().unwrap().slots.len() as Version;
        let entries = Arc::new([entry]);
        self.kept.append(Change { key: key.clone(), after, entries, head }).await.unwrap();
    }

    /// How many reads there were, and running tasks told of, since this was last asked.
    fn taken(&self) -> (usize, usize) {
        let [reads, told] = [&self.reads, &self.told].map(|it| it.swap(0, Ordering::SeqCst));
        (reads, told)
    }
}

#[async_trait]
impl TaskStore for Hosts {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        if self.refused.lock().unwrap().as_ref() == Some(&change.key) {
            return Err(StoreError::unavailable("throttled").into());
        }
        self.kept.append(change).await
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.kept.read_page(key, after, limit).await
    }

    async fn newest(&self, key: &TaskKey) -> Result<Option<(Head, Version)>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.corrupt.lock().unwrap().as_ref() == Some(key) {
            return Err(StoreError::broken("it is corrupt"));
        }
        let head = self.kept.head(key).await?.filter(|head| head.phase == Phase::Running);
        let lives = |host: &Arc<str>| self.living.lock().unwrap().contains(host);
        if head.and_then(|head| head.host).is_some_and(|host| lives(&host)) {
            let at = Timestamp::from_millis(2);
            let beat = Entry::Heartbeat(Heartbeat { runner: "r".into(), at });
            self.append_last(key, beat, None).await;
        }
        self.kept.newest(key).await
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        self.kept.head(key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.kept.list(query).await
    }

    async fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        let page = self.kept.running(after, limit, except).await?;
        self.told.fetch_add(page.len(), Ordering::SeqCst);
        Ok(page)
    }
}

/// A process with a sweeper over a store of others' tasks, which completes what it takes over.
fn sweeping() -> (Arc<Hosts>, DefaultRequestHandler) {
    let store = Arc::<Hosts>::default();
    let agent = Agent(|_, queue: EventQueue| async move { Ok(queue.complete("done").await?) });
    let handler = handler_on(Arc::clone(&store) as _, agent);
    (store, handler)
}

async fn is_done(store: &Hosts, id: &str) -> bool {
    store.head(&key(id)).await.unwrap().unwrap().phase == Phase::Finished
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_living_runs_take_a_handful_of_reads() {
    let (store, handler) = sweeping();
    for number in 0..10_000 {
        store.begin(&format!("{number}"), if number % 2 == 0 { "a" } else { "b" }).await;
    }
    store.live("a");
    store.live("b");
    let mut sweeper = handler.sweeper();
    for pass in 0..30 {
        assert_eq!(sweeper.pass().await.unwrap(), 0);
        let (reads, told) = store.taken();
        match pass {
            0 => assert!(reads <= 2 && told <= 100, "{reads} reads, {told} told of"),
            _ => assert!(reads == 2 && told == 0, "{reads} reads, {told} told of"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    // What was looked at is over: others take its place.
    for number in 0..100 {
        let over = head(TaskState::Completed, 2);
        store.append_last(&key(&format!("{number}")), store.started("a"), Some(over)).await;
    }
    for _ in 0..3 {
        assert_eq!(sweeper.pass().await.unwrap(), 0);
        let (reads, told) = store.taken();
        assert!(reads <= 4 && told <= 100, "{reads} reads, {told} told of");
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn tasks_of_another_agent_are_passed_over() {
    let (store, _) = sweeping();
    for number in 0..1_000 {
        store.begin(&format!("{number}"), if number % 2 == 0 { "a" } else { "b" }).await;
    }
    let agent = AgentStore::new(Arc::clone(&store) as _, "another");
    let idle = Agent(|_, _| std::future::pending());
    let mut sweeper = handler_on(Arc::new(agent), idle).sweeper();
    for _ in 0..3 {
        assert_eq!(sweeper.pass().await.unwrap(), 0);
        let (reads, told) = store.taken();
        assert!(reads == 0 && told <= 100, "{reads} reads, {told} told of");
    }
}

#[tokio::test(start_paused = true)]
async fn all_tasks_of_a_dead_process_are_taken_over_and_none_of_a_living_one() {
    for many in [3, 50, 300] {
        let (store, handler) = sweeping();
        for number in 0..many {
            store.begin(&format!("gone {number}"), "gone").await;
            store.begin(&format!("kept {number}"), "kept").await;
        }
        store.live("kept");
        store.live("gone");
        let mut sweeper = handler.sweeper();
        for _ in 0..3 {
            assert_eq!(sweeper.pass().await.unwrap(), 0);
            tokio::time::sleep(PAUSE).await;
        }
        store.living.lock().unwrap().remove("gone");
        let died = tokio::time::Instant::now();
        let mut taken = 0;
        while taken < many {
            let now = sweeper.pass().await.unwrap();
            assert!(now == 0 || died.elapsed() >= LEASE - PAUSE, "{:?}", died.elapsed());
            taken += now;
            assert!(died.elapsed() <= LEASE * if many <= 4 { 1 } else { 2 }, "{taken} of {many}");
            tokio::time::sleep(PAUSE).await;
        }
        soon(handler.settled()).await;
        for number in 0..many {
            assert!(is_done(&store, &format!("gone {number}")).await);
            assert!(!is_done(&store, &format!("kept {number}")).await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_read_hides_no_other() {
    let (store, handler) = sweeping();
    for number in 0..50 {
        store.begin(&format!("{number}"), "gone").await;
    }
    *store.corrupt.lock().unwrap() = Some(key("0"));
    let (mut sweeper, mut taken) = (handler.sweeper(), 0);
    let began = tokio::time::Instant::now();
    while taken < 49 {
        assert!(began.elapsed() <= LEASE * 2, "{taken}");
        taken += sweeper.pass().await.unwrap();
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_falls_silent_for_less_than_a_lease_keeps_its_tasks() {
    let (store, handler) = sweeping();
    for number in 0..60 {
        store.begin(&format!("{number}"), "a").await;
    }
    store.live("a");
    let mut sweeper = handler.sweeper();
    for pass in 0..30 {
        match pass % 6 {
            1 => _ = store.living.lock().unwrap().remove("a"),
            3 => store.live("a"),
            _ => {}
        }
        assert_eq!(sweeper.pass().await.unwrap(), 0);
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_living_process_releases_is_taken_over_at_once() {
    let (store, handler) = sweeping();
    for number in 0..200 {
        store.begin(&format!("{number}"), "a").await;
    }
    store.live("a");
    let mut sweeper = handler.sweeper();
    for _ in 0..3 {
        assert_eq!(sweeper.pass().await.unwrap(), 0);
        tokio::time::sleep(PAUSE).await;
    }
    let at = Timestamp::from_millis(3);
    let released = Entry::Released(Released { runner: "r".into(), at });
    store.append_last(&key("77"), released, Some(head(TaskState::Working, 1))).await;
    assert_eq!(sweeper.pass().await.unwrap(), 1);
    soon(handler.settled()).await;
    assert!(is_done(&store, "77").await);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_its_living_process_gave_up_is_found_by_it() {
    let (store, script) = (Arc::<Hosts>::default(), Arc::<Script>::default());
    let handler =
        DefaultRequestHandler::new(card(), Arc::clone(&script) as _, Arc::clone(&store) as _);
    let handler = handler.with_env(ticking());
    let mut ids = Vec::new();
    for _ in 0..40 {
        let call = Call::SendMessage(at_once(say("working\ngate\ncomplete done")));
        ids.push(sent_task(call_on(&handler, Caller::default(), call).await.unwrap()).id);
        script.begun.passed().await;
    }
    // Not one of those that are looked at because they come first.
    let lost = ids.iter().max().unwrap();
    *store.refused.lock().unwrap() = Some(key(lost));
    tokio::time::sleep(Duration::from_secs(100)).await;
    *store.refused.lock().unwrap() = None;
    assert_eq!(script.over(), 1, "it has given up");
    let (mut sweeper, began) = (handler.sweeper(), tokio::time::Instant::now());
    while sweeper.pass().await.unwrap() == 0 {
        assert!(began.elapsed() <= LEASE * 2);
        tokio::time::sleep(PAUSE).await;
    }
    for _ in &ids {
        script.gate.open();
    }
    soon(handler.settled()).await;
    for id in &ids {
        assert_eq!(get_on(&handler, id).await.status.state, TaskState::Completed);
    }
    assert_eq!(script.runs(), ids.len() + 1, "only that one was begun again");
}
