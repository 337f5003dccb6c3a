//! Journals in this process's memory, bounded.
//!
//! Owns: the maps, their order, and what is dropped when space runs out: the oldest finished tasks first, then the
//! oldest that wait for their client; never one that is being worked on. Then new tasks are refused. A reader that
//! follows a task keeps that task's journal alive, so dropping it costs the reader nothing.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::Notify;

use super::{AppendError, Change, Journal, ListPage, ListPosition, ListQuery, StoreError, TaskStore};
use crate::{
    journal::{Head, Phase, Slot, TaskKey, Version},
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
    max_bytes: usize,
}

/// What a task costs beside its content: the maps' rows, the journal, allocations. Measured with one million tasks.
const TASK_BYTES: usize = 1_600;
/// What an entry costs beside its content.
const ENTRY_BYTES: usize = 300;

#[derive(Debug, Default)]
struct Shelf {
    tasks: HashMap<TaskKey, Kept>,
    rows: BTreeMap<Row, TaskState>,
    /// What may be dropped, in the order it would be.
    droppable: BTreeMap<DropOrder, TaskKey>,
    settled: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    journal: Arc<Shared>,
    head: Head,
    bytes: usize,
    drop_order: Option<DropOrder>,
}

/// What readers hold: it outlives the task's place on the shelf.
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

/// A place in the order of lists: scope, then newest first, then by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    scope: Scope,
    at: Reverse<Timestamp>,
    id: Arc<str>,
}

/// One list: all tasks of an owner, or those of one context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Scope {
    tenant: Arc<str>,
    owner: Arc<str>,
    context_id: Option<Arc<str>>,
}

/// A panic while the lock was held cannot leave half a change: everything that can panic comes before the first write.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStore {
    /// A store of at most about `max_bytes` bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self { shelf: Mutex::default(), max_bytes }
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
        let journal = lock(&self.shelf).append(change, self.max_bytes)?;
        journal.grown.notify_waiters();
        Ok(())
    }

    async fn read(&self, key: &TaskKey, after: Version) -> Result<Option<Journal>, StoreError> {
        let shelf = lock(&self.shelf);
        let journal = shelf.tasks.get(key).map(|kept| Journal {
            head: kept.head.clone(),
            slots: slots_after(&kept.journal, after),
        });
        Ok(journal)
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        Ok(lock(&self.shelf).tasks.get(key).map(|kept| kept.head.clone()))
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        Ok(lock(&self.shelf).list(query))
    }

    fn tail(
        self: Arc<Self>,
        key: TaskKey,
        after: Version,
    ) -> BoxStream<'static, Result<Slot, StoreError>> {
        let journal = lock(&self.shelf).tasks.get(&key).map(|kept| Arc::clone(&kept.journal));
        let Some(journal) = journal else {
            return stream::once(async { Err(StoreError::broken("there is no such journal")) }).boxed();
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
    fn append(&mut self, change: Change, max_bytes: usize) -> Result<Arc<Shared>, AppendError> {
        let Change { key, after, entries, head } = change;
        let weight: usize = entries.iter().map(|entry| entry.weight() + ENTRY_BYTES).sum();
        let journal = match self.tasks.get(&key) {
            Some(kept) if lock(&kept.journal.slots).len() as u64 == after => {
                Arc::clone(&kept.journal)
            }
            None if after == 0 => {
                let head = head.clone().ok_or_else(|| StoreError::broken("no head at first"))?;
                self.admit(&key, weight, max_bytes, head)?
            }
            _ => return Err(AppendError::Conflict),
        };
        lock(&journal.slots).push(Slot { version: after + 1, entries });
        self.grow(&key, weight, head);
        self.make_room(max_bytes);
        Ok(journal)
    }

    /// A place for a new task, unless all space is taken by tasks that are being worked on.
    fn admit(
        &mut self,
        key: &TaskKey,
        weight: usize,
        max_bytes: usize,
        head: Head,
    ) -> Result<Arc<Shared>, StoreError> {
        if self.bytes + weight + TASK_BYTES > max_bytes && self.droppable.is_empty() {
            return Err(StoreError::unavailable("the memory store is full of unfinished tasks"));
        }
        let journal = Arc::<Shared>::default();
        let kept = Kept { journal: Arc::clone(&journal), head, bytes: TASK_BYTES, drop_order: None };
        self.bytes += TASK_BYTES;
        self.tasks.insert(key.clone(), kept);
        Ok(journal)
    }

    fn grow(&mut self, key: &TaskKey, weight: usize, head: Option<Head>) {
        self.bytes += weight;
        let Some(kept) = self.tasks.get_mut(key) else { return };
        kept.bytes += weight;
        let Some(head) = head else { return };
        for row in rows(key, &kept.head) {
            self.rows.remove(&row);
        }
        if let Some(order) = kept.drop_order.take() {
            self.droppable.remove(&order);
        }
        for row in rows(key, &head) {
            self.rows.insert(row, head.status.state);
        }
        let waiting = head.phase == Phase::Waiting;
        if waiting || matches!(head.phase, Phase::Finished | Phase::Answered) {
            self.settled += 1;
            let order = DropOrder { waiting, settled: self.settled };
            kept.drop_order = Some(order);
            self.droppable.insert(order, key.clone());
        }
        kept.head = head;
    }

    fn make_room(&mut self, max_bytes: usize) {
        while self.bytes > max_bytes {
            let Some((_, key)) = self.droppable.pop_first() else { return };
            let Some(kept) = self.tasks.remove(&key) else { continue };
            self.bytes -= kept.bytes;
            for row in rows(&key, &kept.head) {
                self.rows.remove(&row);
            }
        }
    }

    fn list(&self, query: &ListQuery) -> ListPage {
        let scope = Scope {
            tenant: Arc::clone(&query.tenant),
            owner: Arc::clone(&query.owner),
            context_id: query.context_id.clone(),
        };
        let newest = Reverse(Timestamp::from_millis(i64::MAX));
        let first = Row { scope: scope.clone(), at: newest, id: Arc::from("") };
        let matching = self
            .rows
            .range(first..)
            .take_while(|(row, _)| row.scope == scope)
            .take_while(|(row, _)| query.since.is_none_or(|since| row.at.0 >= since))
            .filter(|(_, state)| query.state.is_none_or(|wanted| **state == wanted));
        let mut page = ListPage::default();
        for (row, _) in matching {
            page.total += 1;
            let before = query.after.as_ref().is_some_and(|after| {
                (row.at, &*row.id) <= (Reverse(after.at), &*after.id)
            });
            if before || page.next.is_some() {
                continue;
            }
            if page.rows.len() == query.limit as usize {
                page.next = page.rows.last().map(|(id, head): &(Arc<str>, Head)| position(id, head));
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

fn position(id: &Arc<str>, head: &Head) -> ListPosition {
    ListPosition { at: head.status.timestamp.unwrap_or_default(), id: Arc::clone(id) }
}

/// A task's places in the lists: its owner's, and its context's.
fn rows(key: &TaskKey, head: &Head) -> impl Iterator<Item = Row> + use<> {
    let position = position(&key.id, head);
    let scope = Scope {
        tenant: Arc::clone(&key.tenant),
        owner: Arc::clone(&head.owner),
        context_id: Some(Arc::clone(&head.context_id)),
    };
    let of_owner = Scope { context_id: None, ..scope.clone() };
    let scopes = if head.phase.is_listed() { vec![of_owner, scope] } else { Vec::new() };
    scopes.into_iter().map(move |scope| Row {
        scope,
        at: Reverse(position.at),
        id: Arc::clone(&position.id),
    })
}
