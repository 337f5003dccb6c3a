//! One reader of a journal for all who follow it in this process.
//!
//! Owns: who asks the database, when, and what is kept for those who are a little behind. A
//! thousand followers of one task cost one reader and one copy of what is new. The reader is a task
//! of its own, because a follower may stall; it ends with the last follower. Must never know: which
//! database it is, what an entry means.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures_util::stream::{self, StreamExt};
use tokio::sync::{Notify, Semaphore, watch};

use super::{ReadLimit, StoreError, Tail, TaskStore};
use crate::task::{Slot, TaskKey, Version};

/// How many slots of one journal are kept at most for followers that are a little behind; one that
/// is further behind reads for itself.
const KEPT_SLOTS: usize = ReadLimit::POLL.slots;
/// How many bytes of them; the newest slot is kept whatever its size.
const KEPT_BYTES: usize = ReadLimit::POLL.bytes;

/// How long to wait before asking a database again that has not said that there is more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    /// After something new.
    pub(crate) shortest: Duration,
    /// When nothing new has come for long; each pause doubles until then.
    pub(crate) longest: Duration,
}

/// The journals of one store that are followed in this process.
#[derive(Debug)]
pub(crate) struct Feeds {
    pauses: Pauses,
    live: Mutex<Live>,
}

#[derive(Debug, Default)]
struct Live {
    feeds: HashMap<TaskKey, Weak<Feed>>,
    /// How many there may be before those without followers are removed.
    clear_at: usize,
}

/// One journal.
#[derive(Debug)]
struct Feed {
    key: TaskKey,
    recent: Mutex<Recent>,
    state: watch::Sender<State>,
    /// There is more in the database.
    more: Notify,
    /// Followers that are far behind read one by one.
    catching_up: Semaphore,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The newest version that is known here; 0 while none is.
    newest: Version,
    /// Whether the reader is running.
    is_read: bool,
    /// How many followers wait for more: while none does, nothing is read.
    waiting: usize,
}

/// The newest slots, without a gap.
#[derive(Debug, Default)]
struct Recent {
    slots: VecDeque<(Slot, usize)>,
    bytes: usize,
}

impl Feeds {
    pub(crate) fn new(pauses: Pauses) -> Self {
        Self { pauses, live: Mutex::default() }
    }

    /// A store's [`tail`](TaskStore::tail).
    pub(crate) fn tail<S: TaskStore>(&self, store: Arc<S>, key: TaskKey, after: Version) -> Tail {
        let follower = Follower { store, feed: self.feed(key), pauses: self.pauses, after };
        let reads = stream::unfold(Some(follower), |follower| async move {
            let mut follower = follower?;
            match follower.next().await {
                Ok(slots) => Some((slots.into_iter().map(Ok).collect(), Some(follower))),
                Err(error) => Some((vec![Err(error)], None)),
            }
        });
        reads.flat_map(stream::iter).boxed()
    }

    /// Tells followers of what this process has appended: they need not ask the database.
    pub(crate) fn put(&self, key: &TaskKey, slot: Slot) {
        if let Some(feed) = self.find(key) {
            feed.offer([slot]);
        }
    }

    /// Tells followers that there is more in the database.
    #[cfg_attr(not(any(test, feature = "redis", feature = "postgres")), allow(dead_code))]
    pub(crate) fn wake(&self, key: &TaskKey) {
        if let Some(feed) = self.find(key) {
            feed.more.notify_one();
        }
    }

    /// Tells all followers that there may be more: word of it may have been lost.
    #[cfg_attr(not(any(test, feature = "redis", feature = "postgres")), allow(dead_code))]
    pub(crate) fn wake_all(&self) {
        for feed in lock(&self.live).feeds.values().filter_map(Weak::upgrade) {
            feed.more.notify_one();
        }
    }

    fn find(&self, key: &TaskKey) -> Option<Arc<Feed>> {
        lock(&self.live).feeds.get(key)?.upgrade()
    }

    fn feed(&self, key: TaskKey) -> Arc<Feed> {
        let mut live = lock(&self.live);
        if let Some(feed) = live.feeds.get(&key).and_then(Weak::upgrade) {
            return feed;
        }
        if live.feeds.len() >= live.clear_at {
            live.feeds.retain(|_, feed| feed.strong_count() > 0);
            live.clear_at = (live.feeds.len() * 2).max(64);
        }
        let feed = Arc::new(Feed::new(key.clone()));
        live.feeds.insert(key, Arc::downgrade(&feed));
        feed
    }
}

/// Nothing that holds one of these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Feed {
    fn new(key: TaskKey) -> Self {
        let state = watch::Sender::new(State::default());
        let (more, catching_up) = (Notify::new(), Semaphore::new(1));
        Self { key, recent: Mutex::default(), state, more, catching_up }
    }

    fn newest(&self) -> Version {
        self.state.borrow().newest
    }

    fn set_newest(&self, newest: Version) {
        self.state.send_modify(|state| state.newest = newest);
    }

    /// The slots after that version; `None` when they are not all kept here.
    fn after(&self, after: Version) -> Option<Vec<Slot>> {
        let recent = lock(&self.recent);
        if self.newest() <= after {
            return Some(Vec::new());
        }
        let oldest = recent.slots.front()?.0.version;
        let skip = usize::try_from((after + 1).checked_sub(oldest)?).ok()?;
        Some(recent.slots.iter().skip(skip).map(|(slot, _)| slot.clone()).collect())
    }

    /// Keeps slots that were read or appended. What came before a gap is let go: a follower that
    /// has not seen it reads for itself.
    fn offer(&self, slots: impl IntoIterator<Item = Slot>) {
        let mut recent = lock(&self.recent);
        let before = self.newest();
        let mut newest = before;
        // What is new is kept whole until more comes: it is read once for those who wait for it.
        recent.trim();
        for slot in slots.into_iter().skip_while(|slot| slot.version <= before) {
            if slot.version != newest + 1 {
                *recent = Recent::default();
            }
            newest = slot.version;
            recent.push(slot);
        }
        if newest > before {
            self.set_newest(newest);
        }
    }

    /// There was a moment at which that version was the newest.
    fn know(&self, version: Version) {
        let mut recent = lock(&self.recent);
        if version > self.newest() {
            *recent = Recent::default();
            self.set_newest(version);
        }
    }
}

impl Recent {
    fn push(&mut self, slot: Slot) {
        let bytes = slot.weight();
        self.bytes += bytes;
        self.slots.push_back((slot, bytes));
    }

    fn trim(&mut self) {
        while self.slots.len() > KEPT_SLOTS || (self.bytes > KEPT_BYTES && self.slots.len() > 1) {
            let bytes = self.slots.pop_front().map_or(0, |(_, bytes)| bytes);
            self.bytes -= bytes;
        }
    }
}

/// One who follows a journal.
struct Follower<S> {
    store: Arc<S>,
    feed: Arc<Feed>,
    pauses: Pauses,
    after: Version,
}

impl<S: TaskStore> Follower<S> {
    /// The next slots, at least one.
    async fn next(&mut self) -> Result<Vec<Slot>, StoreError> {
        loop {
            let slots = match self.feed.after(self.after) {
                Some(slots) if slots.is_empty() => self.wait().await?,
                Some(slots) => slots,
                None => self.catch_up().await?,
            };
            if let Some(last) = slots.last() {
                self.after = last.version;
                return Ok(slots);
            }
        }
    }

    /// Reads for itself. Those who are far behind take turns, in a task of its own each: a follower
    /// that is not asked for its next slot must not keep its turn.
    async fn catch_up(&self) -> Result<Vec<Slot>, StoreError> {
        let (store, feed, after) = (Arc::clone(&self.store), Arc::clone(&self.feed), self.after);
        let turn = async move {
            // Nobody closes it, so there is no error.
            let _turn = feed.catching_up.acquire().await;
            store.poll(&feed.key, after).await
        };
        let slots = tokio::spawn(turn).await;
        let slots = slots.map_err(|error| {
            StoreError::unavailable("a read broke off").with_source(error.to_string())
        })??;
        if slots.is_empty() {
            // The journal is gone, although there was more of it.
            tokio::time::sleep(self.pauses.longest).await;
        }
        Ok(slots)
    }

    /// Waits until there is more. When the one who reads for all gave up, the reason is learnt by
    /// reading oneself.
    async fn wait(&self) -> Result<Vec<Slot>, StoreError> {
        self.ensure_reader();
        let _waiting = Waiting::new(&self.feed);
        let mut state = self.feed.state.subscribe();
        // An error would say that there is no feed any more, and here it is.
        let waited = state.wait_for(|state| state.newest > self.after || !state.is_read).await;
        let has_more = waited.is_ok_and(|state| state.newest > self.after);
        if has_more {
            return Ok(Vec::new());
        }
        self.store.poll(&self.feed.key, self.after).await
    }

    fn ensure_reader(&self) {
        let begins = |state: &mut State| !std::mem::replace(&mut state.is_read, true);
        if self.feed.state.send_if_modified(begins) {
            let after = self.after.max(self.feed.newest());
            let reader = Reader(Arc::downgrade(&self.feed));
            tokio::spawn(read_for_all(Arc::clone(&self.store), reader, self.pauses, after));
        }
    }
}

/// A follower that waits for more, until this is dropped.
struct Waiting<'a>(&'a Feed);

impl<'a> Waiting<'a> {
    fn new(feed: &'a Feed) -> Self {
        // Only the reader wants to know, and only of the first.
        feed.state.send_if_modified(|state| {
            state.waiting += 1;
            state.waiting == 1
        });
        Self(feed)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state.send_if_modified(|state| {
            state.waiting -= 1;
            false
        });
    }
}

/// The one who reads for all; dropping it, however that comes, says that none does.
struct Reader(Weak<Feed>);

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(feed) = self.0.upgrade() {
            feed.state.send_modify(|state| state.is_read = false);
        }
    }
}

/// Reads until the database fails or there is no follower left.
async fn read_for_all<S: TaskStore>(
    store: Arc<S>,
    reader: Reader,
    pauses: Pauses,
    mut after: Version,
) {
    let mut pause = pauses.shortest;
    let Some(mut state) = reader.0.upgrade().map(|feed| feed.state.subscribe()) else { return };
    loop {
        // An error says that there is no feed any more.
        let wanted = state.wait_for(|state| state.waiting > 0).await.is_ok();
        let Some(feed) = reader.0.upgrade().filter(|_| wanted) else { break };
        after = after.max(feed.newest());
        let slots = store.poll(&feed.key, after).await;
        let failed = slots.is_err();
        // There is more than was read at once.
        let more = slots.as_ref().is_ok_and(|slots| {
            let bytes = slots.iter().map(Slot::weight).sum::<usize>();
            slots.len() >= ReadLimit::POLL.slots || bytes >= ReadLimit::POLL.bytes
        });
        match slots {
            Ok(slots) if !slots.is_empty() => {
                pause = pauses.shortest;
                feed.offer(slots);
            }
            // Now a follower that begins further back knows that there is something to read.
            Ok(_) => feed.know(after),
            Err(_) => {}
        }
        tokio::select! {
            biased;
            () = std::future::ready(()), if more => {}
            () = feed.more.notified(), if !failed => {}
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(pauses.longest),
        }
        if failed {
            break;
        }
    }
}

#[cfg(test)]
mod tests;
