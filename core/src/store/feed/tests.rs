//! Followers over a store that counts how often it is asked.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::FutureExt;

use super::*;
use crate::{
    store::{AppendError, Change, Journal, ListPage, ListQuery, MemoryStore, ReadLimit, Running},
    task::{Entry, Head},
    types::{Artifact, Part, TaskArtifactUpdateEvent, TaskState, TaskStatus},
};

const PAUSES: Pauses =
    Pauses { shortest: Duration::from_millis(20), longest: Duration::from_millis(500) };

/// A memory store whose tails are a database's, and how often it was asked.
struct Asked {
    inner: MemoryStore,
    feeds: Feeds,
    reads: AtomicUsize,
    /// Whether this process hears of its own appends.
    local: bool,
    away: AtomicBool,
}

#[async_trait]
impl TaskStore for Asked {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        let (key, version) = (change.key.clone(), change.after + 1);
        let slot = Slot { version, entries: Arc::clone(&change.entries) };
        self.inner.append(change).await?;
        if self.local {
            self.feeds.put(&key, slot);
        }
        Ok(())
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("away"));
        }
        self.inner.read_page(key, after, limit).await
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        self.inner.head(key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.inner.list(query).await
    }

    async fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        self.inner.running(after, limit, except).await
    }

    fn tail(self: Arc<Self>, key: TaskKey, after: Version) -> Tail {
        self.feeds.tail(Arc::clone(&self), key, after)
    }
}

fn store(local: bool) -> Arc<Asked> {
    let inner = MemoryStore::default();
    let (reads, away) = (AtomicUsize::new(0), AtomicBool::new(false));
    Arc::new(Asked { inner, feeds: Feeds::new(PAUSES), reads, local, away })
}

fn key() -> TaskKey {
    TaskKey { tenant: "".into(), id: "t".into() }
}

impl Asked {
    async fn grow(&self, versions: std::ops::RangeInclusive<Version>) {
        for version in versions {
            let artifact = Artifact::new("a", vec![Part::text("x".repeat(1_000))]);
            let event = TaskArtifactUpdateEvent { artifact, ..Default::default() };
            let status = TaskStatus { state: TaskState::Working, ..Default::default() };
            let phase = crate::task::Phase::Running;
            let head = Head {
                owner: "".into(),
                context_id: "".into(),
                status,
                message_at: None,
                history_at: None,
                host: None,
                phase,
            };
            let entries = [Entry::Artifact(Arc::new(event))].into();
            let change = Change { key: key(), after: version - 1, entries, head: Some(head) };
            self.append(change).await.unwrap();
        }
    }

    fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::SeqCst)
    }
}

async fn versions(tail: &mut Tail, count: usize) -> Vec<Version> {
    tail.take(count).map(|slot| slot.unwrap().version).collect().await
}

#[tokio::test(start_paused = true)]
async fn a_thousand_followers_cost_one_reader() {
    let store = store(false);
    store.grow(1..=3).await;
    let mut tails: Vec<_> = (0..1_000).map(|_| Arc::clone(&store).tail(key(), 3)).collect();
    let quiet = futures_util::future::join_all(tails.iter_mut().map(StreamExt::next));
    assert!(tokio::time::timeout(Duration::from_secs(5), quiet).await.is_err());
    assert!(store.reads() < 20);
    let all = futures_util::future::join_all(tails.iter_mut().map(|tail| versions(tail, 100)));
    let (all, ()) = tokio::join!(all, store.grow(4..=103));
    assert!(all.iter().all(|seen| *seen == (4..=103).collect::<Vec<_>>()));
    assert!(store.reads() < 150, "not one for each");
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_stalls_or_leaves_delays_nobody() {
    let store = store(false);
    store.grow(1..=1).await;
    let mut tails = [(); 3].map(|()| Arc::clone(&store).tail(key(), 1));
    for tail in &mut tails {
        // It begins to wait, and is not asked again.
        assert!(tail.next().now_or_never().is_none());
    }
    let [leaves, stalls, mut reads] = tails;
    drop(leaves);
    let (seen, ()) = tokio::join!(versions(&mut reads, 2), store.grow(2..=3));
    assert_eq!(seen, [2, 3]);
    drop(stalls);
}

#[tokio::test(start_paused = true)]
async fn a_failing_database_is_told_to_every_follower_and_read_again_later() {
    let store = store(false);
    store.grow(1..=1).await;
    let tails = || (0..3).map(|_| Arc::clone(&store).tail(key(), 1)).collect::<Vec<_>>();
    let mut waiting = tails();
    for tail in &mut waiting {
        assert!(tail.next().now_or_never().is_none());
    }
    store.away.store(true, Ordering::SeqCst);
    for tail in &mut waiting {
        let item = tokio::time::timeout(Duration::from_secs(2), tail.next()).await.unwrap();
        assert!(item.unwrap().unwrap_err().is_retriable());
        assert!(tail.next().await.is_none(), "an error is the last item");
    }
    store.away.store(false, Ordering::SeqCst);
    let mut again = tails();
    let first = futures_util::future::join_all(again.iter_mut().map(|tail| versions(tail, 1)));
    let (seen, ()) = tokio::join!(first, store.grow(2..=2));
    assert_eq!(seen, [[2], [2], [2]]);
}

#[tokio::test(start_paused = true)]
async fn nobody_reads_what_nobody_follows() {
    let store = store(false);
    store.grow(1..=1).await;
    let mut tail = Arc::clone(&store).tail(key(), 0);
    assert_eq!(versions(&mut tail, 1).await, [1]);
    assert!(tail.next().now_or_never().is_none());
    drop(tail);
    tokio::time::sleep(Duration::from_secs(1)).await;
    store.reads();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(store.reads(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_who_begins_further_back_does_not_wait_for_the_others() {
    let store = store(false);
    store.grow(1..=600).await;
    let mut ahead = Arc::clone(&store).tail(key(), 600);
    let waits = tokio::spawn(async move { (ahead.next().await.unwrap().unwrap(), ahead) });
    tokio::time::sleep(Duration::from_secs(3)).await;
    for after in [0, 1, 400, 599] {
        let mut behind = Arc::clone(&store).tail(key(), after);
        let seen = versions(&mut behind, 600 - after as usize);
        let seen = tokio::time::timeout(Duration::from_millis(1), seen).await.unwrap();
        assert_eq!(seen, (after + 1..=600).collect::<Vec<_>>());
    }
    store.grow(601..=601).await;
    assert_eq!(waits.await.unwrap().0.version, 601);
}

#[tokio::test(start_paused = true)]
async fn one_who_is_far_behind_holds_only_a_piece_of_the_rest() {
    let store = store(false);
    store.grow(1..=1_000).await;
    // Somebody has gone on, so that the slow one reads for itself.
    let mut ahead = Arc::clone(&store).tail(key(), 1_000);
    assert!(ahead.next().now_or_never().is_none());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let feed = store.feeds.feed(key());
    let mut follower = Follower { store: Arc::clone(&store), feed, pauses: PAUSES, after: 0 };
    let mut seen = Vec::new();
    while seen.len() < 1_000 {
        let slots = follower.next().await.unwrap();
        let bytes: usize =
            slots.iter().flat_map(|slot| slot.entries.iter()).map(Entry::weight).sum();
        assert!(bytes <= KEPT_BYTES && slots.len() <= KEPT_SLOTS, "{} {bytes}", slots.len());
        seen.extend(slots.into_iter().map(|slot| slot.version));
    }
    assert_eq!(seen, (1..=1_000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_this_process_appends_needs_no_reading() {
    let store = store(true);
    store.grow(1..=1).await;
    let mut tail = Arc::clone(&store).tail(key(), 0);
    assert_eq!(versions(&mut tail, 1).await, [1]);
    store.reads();
    let (seen, ()) = tokio::join!(versions(&mut tail, 200), store.grow(2..=201));
    assert_eq!(seen, (2..=201).collect::<Vec<_>>());
    assert!(store.reads() <= 1);
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_read() {
    let store = store(false);
    store.grow(1..=1).await;
    let mut tail = Arc::clone(&store).tail(key(), 0);
    assert_eq!(versions(&mut tail, 1).await, [1]);
    store.grow(2..=5).await;
    let slots = store.inner.read(&key(), 4).await.unwrap().unwrap().slots;
    // Word comes of the last one only.
    store.feeds.put(&key(), slots[0].clone());
    assert_eq!(versions(&mut tail, 4).await, [2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn word_of_more_is_enough() {
    let store = store(false);
    store.grow(1..=1).await;
    let mut tail = Arc::clone(&store).tail(key(), 1);
    let quiet = tokio::time::timeout(Duration::from_secs(60), tail.next());
    assert!(quiet.await.is_err());
    store.grow(2..=2).await;
    store.feeds.wake(&key());
    let next = tokio::time::timeout(Duration::from_millis(1), tail.next());
    assert_eq!(next.await.unwrap().unwrap().unwrap().version, 2);
    store.grow(3..=3).await;
    store.feeds.wake_all();
    let next = tokio::time::timeout(Duration::from_millis(1), tail.next());
    assert_eq!(next.await.unwrap().unwrap().unwrap().version, 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_what_nobody_follows() {
    let store = store(true);
    for number in 0..10_000 {
        let key = TaskKey { tenant: "".into(), id: number.to_string().into() };
        drop(Arc::clone(&store).tail(key, 0));
    }
    assert!(lock(&store.feeds.live).feeds.len() <= 64);
}
