//! What is read of journals: what is used of them, and that once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use a2a_core::{
    store::{
        AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, Running, StoreError,
        conformance::{Store, chunk, submitted},
    },
    task::{Cursor, Entry, Fold, Head, Heartbeat, Slot, Started, TaskKey, Version},
    *,
};

use crate::world::*;

/// Counts the bytes that are read of it.
#[derive(Default)]
struct Metered {
    kept: MemoryStore,
    read: AtomicUsize,
}

impl Metered {
    fn taken(&self) -> usize {
        self.read.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl TaskStore for Metered {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        self.kept.append(change).await
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        let page = self.kept.read_page(key, after, limit).await?;
        let slots = page.iter().flat_map(|page| &page.slots);
        self.read.fetch_add(slots.map(|slot| slot.weight()).sum(), Ordering::SeqCst);
        Ok(page)
    }

    async fn newest(&self, key: &TaskKey) -> Result<Option<(Head, Version)>, StoreError> {
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
        self.kept.running(after, limit, except).await
    }
}

const MEGABYTE: usize = 1 << 20;

fn status(state: TaskState, said: Option<&str>) -> Entry {
    let message = said.map(|said| Arc::new(Message::user("said", vec![Part::text(said)])));
    let status = TaskStatus { state, message, timestamp: Some(Timestamp::from_millis(5)) };
    Entry::Status(Arc::new(TaskStatusUpdateEvent { status, ..TaskStatusUpdateEvent::default() }))
}

/// A task of these slots.
async fn task(store: &Store, slots: Vec<Vec<Entry>>) -> TaskKey {
    let key = TaskKey { tenant: "".into(), id: Env::system().id() };
    let mut recorded = Vec::new();
    for (after, entries) in (0..).zip(slots) {
        let changed = entries.iter().any(Entry::changes_head);
        let entries: Arc<[Entry]> = entries.into();
        recorded.push(Slot { version: after + 1, entries: Arc::clone(&entries) });
        let fold = Fold::replay(Arc::clone(&key.id), &recorded);
        let head = changed.then(|| fold.head_after(&"".into(), &[]));
        store.append(Change { key: key.clone(), after, entries, head }).await.unwrap();
    }
    key
}

fn beat() -> Entry {
    Entry::Heartbeat(Heartbeat { runner: "r".into(), at: Timestamp::from_millis(6) })
}

fn metered() -> (Arc<Metered>, Store, DefaultRequestHandler) {
    let metered = Arc::<Metered>::default();
    let store: Store = Arc::clone(&metered) as _;
    let script = Arc::<Script>::default();
    let handler = DefaultRequestHandler::new(card(), script as _, Arc::clone(&store));
    (metered, store, handler)
}

fn started(attempt: u32) -> Entry {
    let at = Timestamp::from_millis(1);
    Entry::Started(Started { runner: "r".into(), host: Some("h".into()), attempt, at })
}

#[tokio::test(start_paused = true)]
async fn a_follower_reads_what_it_has_not_seen_and_that_once() {
    let (metered, store, handler) = metered();
    let pieces = (0..40).map(|_| vec![chunk(&"x".repeat(MEGABYTE))]);
    let first = vec![submitted("x"), started(1), status(TaskState::Working, None)];
    let last = vec![status(TaskState::Completed, None)];
    let slots = [first].into_iter().chain(pieces).chain([last]).collect();
    let key = task(&store, slots).await;
    for (seen, unseen) in [(1, 40), (21, 20), (40, 1), (41, 0)] {
        let resume = Some(Cursor { version: seen, index: 0 });
        let caller = Caller { resume, ..Caller::default() };
        let request = SubscribeToTaskRequest { id: Arc::clone(&key.id), ..Default::default() };
        metered.taken();
        let call = call_on(&handler, caller, Call::SubscribeToTask(request)).await;
        let told = all(events(call.unwrap())).await;
        let artifacts =
            told.iter().filter(|it| matches!(it.response, StreamResponse::ArtifactUpdate(_)));
        assert_eq!(artifacts.count(), unseen, "{seen}");
        let read = metered.taken();
        // Where it begins is read twice: to see that it may, and then to follow.
        assert!(read < (unseen + 4) * MEGABYTE, "{seen}: {read}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_without_artifacts_reads_none() {
    let (metered, store, handler) = metered();
    let piece = || vec![chunk(&"x".repeat(MEGABYTE))];
    let first = |said| vec![submitted("one"), started(1), status(TaskState::Working, said)];
    let tasks = [
        // The current status has a message, or has none but an earlier one had.
        vec![first(None), piece(), piece(), vec![status(TaskState::Completed, Some("done"))]],
        vec![first(Some("hm")), piece(), vec![status(TaskState::Completed, None)]],
        // It goes on after a question.
        vec![
            first(Some("hm")),
            vec![status(TaskState::InputRequired, Some("what?"))],
            vec![submitted("two"), started(1), status(TaskState::Working, None)],
            piece(),
            vec![status(TaskState::Failed, Some("no"))],
        ],
        // What an attempt said that was fenced off does not count.
        vec![
            first(Some("fenced")),
            piece(),
            vec![started(2)],
            vec![status(TaskState::Completed, Some("done"))],
        ],
        vec![
            first(Some("fenced")),
            vec![started(2)],
            piece(),
            vec![status(TaskState::Completed, None)],
        ],
        // It is running.
        vec![first(Some("hm")), piece(), vec![status(TaskState::Working, None)], piece()],
        vec![first(Some("fenced")), piece(), vec![started(2)], piece(), vec![beat()]],
    ];
    let mut whole = Vec::new();
    for slots in tasks {
        let key = task(&store, slots).await;
        let request = GetTaskRequest { id: Arc::clone(&key.id), ..Default::default() };
        let reply = call_on(&handler, Caller::default(), Call::GetTask(request)).await.unwrap();
        let Reply::Task(mut task) = reply else { panic!("{reply:?}") };
        task.artifacts.clear();
        whole.push(*task);
    }
    for history_length in [None, Some(0), Some(1), Some(9)] {
        metered.taken();
        let request = ListTasksRequest { history_length, ..ListTasksRequest::default() };
        let reply = call_on(&handler, Caller::default(), Call::ListTasks(request)).await.unwrap();
        let Reply::Tasks(page) = reply else { panic!("{reply:?}") };
        assert!(metered.taken() < 10_000, "{history_length:?}");
        assert_eq!(page.tasks.len(), whole.len());
        for listed in &page.tasks {
            let mut expected = whole.iter().find(|task| task.id == listed.id).unwrap().clone();
            let kept = history_length.map_or(usize::MAX, |length| length as usize);
            let skip = expected.history.len().saturating_sub(kept);
            expected.history.drain(..skip);
            assert_eq!(*listed, expected, "{history_length:?}");
        }
    }
}
