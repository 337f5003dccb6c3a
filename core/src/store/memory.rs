//! Journals in this process's memory, bounded.
//!
//! Owns: the maps, their order, and what is dropped when space runs out: the oldest finished tasks
//! first, then the oldest that wait for their client; never one that is being worked on. Then new
//! tasks are refused, and those that there are go on. A reader that follows a task keeps that
//! task's journal alive, so dropping it costs the reader nothing.

use std::{
    cmp::Reverse,
    collections::{
        BTreeMap, BTreeSet, HashMap,
        hash_map::{Entry, RandomState},
    },
    hash::BuildHasher,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use tokio::sync::Notify;

use super::{
    AppendError, Change, Journal, ListPage, ListPosition, ListQuery, ReadLimit, Running,
    StoreError, Tail, TaskStore,
};
use crate::{
    task::{Head, Phase, Slot, TaskKey, Version},
    types::{TaskState, Timestamp},
};

/// A [`TaskStore`] in memory: lost when the process ends, and not shared with another.
///
/// ```
/// let store = a2a_core::MemoryStore::new(64 << 20);
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    shelf: Mutex<Shelf>,
    scopes: RandomState,
    max_bytes: usize,
}

/// What a task costs beside its content: the maps' rows, the journal, allocations. Measured with
/// one million tasks.
const TASK_BYTES: usize = 1_600;
/// What an entry costs beside its content.
const ENTRY_BYTES: usize = 300;

#[derive(Debug, Default)]
struct Shelf {
    tasks: HashMap<TaskKey, Kept>,
    rows: BTreeMap<Row, Listed>,
    /// What may be dropped, in the order it would be.
    droppable: BTreeMap<DropOrder, TaskKey>,
    running: BTreeSet<TaskKey>,
    settled: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    journal: Arc<Shared>,
    head: Head,
    bytes: usize,
    drop_order: Option<DropOrder>,
    listed: bool,
}

/// A change, and what can be worked out of it before the lock is taken: all writers wait for each
/// other there.
struct Prepared {
    change: Change,
    weight: usize,
    rows: Option<[(Row, Listed); 2]>,
}

/// What readers hold: it outlives the task on the shelf.
#[derive(Debug, Default)]
struct Shared {
    slots: Mutex<Vec<Slot>>,
    grown: Notify,
}

/// Finished before waiting, older before newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DropOrder {
    waiting: bool,
    settled: u64,
}

/// A position in the order of lists: scope, then newest first, then by id. A scope stands here as a
/// number: comparing positions is most of the work, and three texts would be fetched from memory for
/// each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    scope: u64,
    at: Reverse<Timestamp>,
    id: Arc<str>,
}

/// What a list needs to know of a task. Two scopes may have the same number, so it says whose it
/// is.
#[derive(Debug)]
struct Listed {
    tenant: Arc<str>,
    owner: Arc<str>,
    context_id: Arc<str>,
    state: TaskState,
}

/// A panic while the lock was held cannot leave half a change: everything that can panic comes
/// before the first write.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStore {
    /// A store of at most about `max_bytes` bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self { shelf: Mutex::default(), scopes: RandomState::new(), max_bytes }
    }

    /// About how many bytes are in use.
    pub fn bytes(&self) -> usize {
        lock(&self.shelf).bytes
    }

    /// How many journals there are.
    pub fn len(&self) -> usize {
        lock(&self.shelf).tasks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn prepare(&self, change: Change) -> Prepared {
        let weight = change.entries.iter().map(|entry| entry.weight() + ENTRY_BYTES).sum();
        let listed = change.head.as_ref().filter(|head| head.phase.is_listed());
        let rows = listed.map(|head| {
            rows(&self.scopes, &change.key, head).map(|row| (row, Listed::new(&change.key, head)))
        });
        Prepared { change, weight, rows }
    }
}

impl Default for MemoryStore {
    /// At most 100 MB.
    fn default() -> Self {
        Self::new(100_000_000)
    }
}

#[async_trait]
impl TaskStore for MemoryStore {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        let prepared = self.prepare(change);
        // What is dropped is let go of here, without the lock.
        let (journal, _dropped) =
            lock(&self.shelf).append(prepared, &self.scopes, self.max_bytes)?;
        journal.grown.notify_waiters();
        Ok(())
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        let shelf = lock(&self.shelf);
        let Some(kept) = shelf.tasks.get(key) else { return Ok(None) };
        let mut slots = slots_after(&kept.journal, after);
        let fit = limit.fit(slots.iter().map(Slot::weight));
        let more = fit < slots.len();
        slots.truncate(fit);
        Ok(Some(Journal { head: kept.head.clone(), slots, more }))
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        Ok(lock(&self.shelf).tasks.get(key).map(|kept| kept.head.clone()))
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        let scope = scope(&self.scopes, &query.tenant, &query.owner, query.context_id.as_ref());
        Ok(lock(&self.shelf).list(scope, query))
    }

    async fn newest(&self, key: &TaskKey) -> Result<Option<(Head, Version)>, StoreError> {
        let shelf = lock(&self.shelf);
        let Some(kept) = shelf.tasks.get(key) else { return Ok(None) };
        Ok(Some((kept.head.clone(), lock(&kept.journal.slots).len() as Version)))
    }

    async fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(&after.key));
        let shelf = lock(&self.shelf);
        let running = shelf.running.range((from, Bound::Unbounded)).map(|key| {
            let host = shelf.tasks.get(key).and_then(|kept| kept.head.host.clone());
            Running { key: key.clone(), host }
        });
        let asked = running.filter(|it| it.host.as_ref().is_none_or(|host| !except.contains(host)));
        Ok(asked.take(limit as usize).collect())
    }

    fn tail(self: Arc<Self>, key: TaskKey, after: Version) -> Tail {
        let journal = lock(&self.shelf).tasks.get(&key).map(|kept| Arc::clone(&kept.journal));
        let Some(journal) = journal else {
            return stream::once(async { Err(StoreError::broken("there is no such journal")) })
                .boxed();
        };
        let growth = stream::unfold((journal, after), |(journal, after)| async move {
            let slots = grown(&journal, after).await;
            let next = slots.last().map_or(after, |slot| slot.version);
            Some((slots, (journal, next)))
        });
        growth.flat_map(|slots| stream::iter(slots.into_iter().map(Ok))).boxed()
    }
}

/// Waits until there is a slot after that version.
async fn grown(journal: &Shared, after: Version) -> Vec<Slot> {
    loop {
        let mut notified = std::pin::pin!(journal.grown.notified());
        // Listening begins before looking, so that nothing can come between.
        notified.as_mut().enable();
        let slots = slots_after(journal, after);
        if !slots.is_empty() {
            return slots;
        }
        notified.await;
    }
}

fn slots_after(journal: &Shared, after: Version) -> Vec<Slot> {
    let slots = lock(&journal.slots);
    let from = usize::try_from(after).unwrap_or(usize::MAX).min(slots.len());
    slots[from..].to_vec()
}

impl Shelf {
    /// Adds a slot, and hands out what is dropped for it.
    fn append(
        &mut self,
        prepared: Prepared,
        scopes: &RandomState,
        max_bytes: usize,
    ) -> Result<(Arc<Shared>, Vec<Kept>), AppendError> {
        let Prepared { change, mut weight, rows } = prepared;
        let Change { key, after, entries, head } = change;
        // Taken by tasks that are being worked on: there is no room for a new one.
        let full = self.bytes + weight + TASK_BYTES > max_bytes && self.droppable.is_empty();
        let kept = match self.tasks.entry(key.clone()) {
            Entry::Occupied(kept) if lock(&kept.get().journal.slots).len() as u64 == after => {
                kept.into_mut()
            }
            Entry::Vacant(_) if after == 0 && full => {
                let sentence = "the memory store is full of unfinished tasks";
                return Err(StoreError::unavailable(sentence).into());
            }
            Entry::Vacant(vacant) if after == 0 => {
                let head = head.clone().ok_or_else(|| StoreError::broken("no head at first"))?;
                weight += TASK_BYTES;
                let journal = Arc::default();
                vacant.insert(Kept { journal, head, bytes: 0, drop_order: None, listed: false })
            }
            _ => return Err(AppendError::Conflict),
        };
        let journal = Arc::clone(&kept.journal);
        lock(&journal.slots).push(Slot { version: after + 1, entries });
        kept.bytes += weight;
        self.bytes += weight;
        if let Some(head) = head {
            self.settled += 1;
            if let Some(order) = kept.drop_order.take() {
                self.droppable.remove(&order);
            }
            let waiting = head.phase == Phase::Waiting;
            if waiting || matches!(head.phase, Phase::Finished | Phase::Answered) {
                let order = DropOrder { waiting, settled: self.settled };
                kept.drop_order = Some(order);
                self.droppable.insert(order, key.clone());
            }
            if std::mem::replace(&mut kept.listed, rows.is_some()) {
                for row in self::rows(scopes, &key, &kept.head) {
                    self.rows.remove(&row);
                }
            }
            self.rows.extend(rows.into_iter().flatten());
            match (head.phase, kept.head.phase) {
                (Phase::Running, _) => _ = self.running.insert(key.clone()),
                (_, Phase::Running) => _ = self.running.remove(&key),
                _ => {}
            }
            kept.head = head;
        }
        Ok((journal, self.make_room(scopes, max_bytes, &key)))
    }

    /// Drops what may be dropped until the rest fits; never the task just written to, which
    /// its writer is about to read.
    fn make_room(
        &mut self,
        scopes: &RandomState,
        max_bytes: usize,
        written: &TaskKey,
    ) -> Vec<Kept> {
        let (mut dropped, mut spared) = (Vec::new(), None);
        while self.bytes > max_bytes {
            let Some((order, key)) = self.droppable.pop_first() else { break };
            if key == *written {
                spared = Some((order, key));
                continue;
            }
            let Some(kept) = self.tasks.remove(&key) else { continue };
            self.bytes -= kept.bytes;
            if kept.listed {
                for row in rows(scopes, &key, &kept.head) {
                    self.rows.remove(&row);
                }
            }
            dropped.push(kept);
        }
        self.droppable.extend(spared);
        dropped
    }

    fn list(&self, scope: u64, query: &ListQuery) -> ListPage {
        let newest = Reverse(Timestamp::from_millis(i64::MAX));
        let first = Row { scope, at: newest, id: Arc::from("") };
        let matching = self
            .rows
            .range(first..)
            .take_while(|(row, _)| row.scope == scope)
            .take_while(|(row, _)| query.since.is_none_or(|since| row.at.0 >= since))
            .filter(|(_, listed)| listed.is_of(query));
        let mut page = ListPage::default();
        for (row, _) in matching {
            page.total += 1;
            let before = query
                .after
                .as_ref()
                .is_some_and(|after| (row.at, &*row.id) <= (Reverse(after.at), &*after.id));
            if before || page.next.is_some() {
                continue;
            }
            if page.rows.len() == query.limit as usize {
                page.next = page.rows.last().map(|(id, head)| ListPosition::of(id, head));
                continue;
            }
            let key = TaskKey { tenant: Arc::clone(&query.tenant), id: Arc::clone(&row.id) };
            if let Some(kept) = self.tasks.get(&key) {
                page.rows.push((key.id, kept.head.clone()));
            }
        }
        page
    }
}

impl Listed {
    fn new(key: &TaskKey, head: &Head) -> Self {
        Self {
            tenant: Arc::clone(&key.tenant),
            owner: Arc::clone(&head.owner),
            context_id: Arc::clone(&head.context_id),
            state: head.status.state,
        }
    }

    fn is_of(&self, query: &ListQuery) -> bool {
        self.tenant == query.tenant
            && self.owner == query.owner
            && query.context_id.as_ref().is_none_or(|wanted| self.context_id == *wanted)
            && query.state.is_none_or(|wanted| self.state == wanted)
    }
}

/// The number of a list: all tasks of an owner, or those of one context.
fn scope(scopes: &RandomState, tenant: &str, owner: &str, context_id: Option<&Arc<str>>) -> u64 {
    scopes.hash_one((tenant, owner, context_id))
}

/// A task's positions in the lists: its owner's, and its context's.
fn rows(scopes: &RandomState, key: &TaskKey, head: &Head) -> [Row; 2] {
    let ListPosition { at, id } = ListPosition::of(&key.id, head);
    [None, Some(&head.context_id)].map(|context_id| Row {
        scope: scope(scopes, &key.tenant, &head.owner, context_id),
        at: Reverse(at),
        id: Arc::clone(&id),
    })
}
