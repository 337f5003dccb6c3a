//! The journals that are kept.
//!
//! Owns: the maps, what a journal weighs with everything around it, and making room. Must never
//! know: locks, readers' streams.

use std::{
    collections::{
        BTreeSet, HashMap,
        hash_map::{Entry, RandomState},
    },
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{
    holders::{DropOrder, HolderId, Holders},
    lists::{self, Listed, Row, Rows},
};
use crate::{
    store::{AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, Running, StoreError},
    task::{Head, Phase, Slot, TaskKey, Version},
};

/// What a task costs beside its content: the maps' rows, the journal, allocations. Measured, as the
/// next ones are; `memory_weight` in the suite holds them against the process.
const TASK_BYTES: usize = 1_200;
/// What an entry costs beside its content.
const ENTRY_BYTES: usize = 200;
/// What the run at work on a task costs: the executor's future, its queue.
const RUN_BYTES: usize = 5_500;
/// What a reader who follows a task costs.
const TAIL_BYTES: usize = 2_000;

#[derive(Debug)]
pub(super) struct Shelf {
    tasks: HashMap<TaskKey, Kept>,
    rows: Rows,
    scopes: RandomState,
    holders: Holders,
    running: BTreeSet<TaskKey>,
    settled: u64,
    max_bytes: usize,
    bytes: usize,
    /// How many of them are of tasks that may be dropped.
    droppable: usize,
}

/// A journal and what is known of it.
#[derive(Debug)]
pub(super) struct Kept {
    journal: Arc<Shared>,
    head: Head,
    holder: HolderId,
    bytes: usize,
    /// How many of them its head and its keys have.
    around: usize,
    /// How many readers follow it: it is not dropped under them.
    followers: usize,
    /// Its turn to be dropped, while it is at rest.
    drop_order: Option<DropOrder>,
    listed: bool,
}

/// What readers hold.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) slots: Mutex<Vec<Slot>>,
    pub(super) grown: Notify,
}

/// A change, and what can be worked out of it before the lock is taken: all writers wait for each
/// other there.
pub(super) struct Prepared {
    change: Change,
    weight: usize,
    rows: Option<[(Row, Listed); 2]>,
}

impl Prepared {
    pub(super) fn new(change: Change, scopes: &RandomState) -> Self {
        let weight = change.entries.iter().map(|entry| entry.weight() + ENTRY_BYTES).sum();
        let listed = change.head.as_ref().filter(|head| head.phase.is_listed());
        let rows = listed.map(|head| {
            lists::rows(scopes, &change.key, head).map(|row| (row, Listed::new(&change.key, head)))
        });
        Self { change, weight, rows }
    }

    /// By how much it may go over the bound: a run that there is must be able to end, and to show
    /// that it is alive.
    fn reserve(&self, max_bytes: usize) -> usize {
        /// Of a change of state, and of a heartbeat.
        const SMALL: (usize, usize) = (16 << 10, 1 << 10);
        match (self.change.after, &self.change.head) {
            (0, _) => 0,
            (_, Some(_)) if self.weight <= SMALL.0 => max_bytes / 8 + SMALL.0,
            (_, None) if self.weight <= SMALL.1 => max_bytes / 16 + SMALL.1,
            _ => 0,
        }
    }
}

impl Shelf {
    pub(super) fn new(max_bytes: usize, scopes: RandomState) -> Self {
        let (tasks, rows, holders) = (HashMap::new(), Rows::new(), Holders::default());
        let (running, settled, bytes, droppable) = (BTreeSet::new(), 0, 0, 0);
        Self { tasks, rows, scopes, holders, running, settled, max_bytes, bytes, droppable }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn head(&self, key: &TaskKey) -> Option<&Head> {
        self.tasks.get(key).map(|kept| &kept.head)
    }

    pub(super) fn read(&self, key: &TaskKey, after: Version, limit: ReadLimit) -> Option<Journal> {
        let kept = self.tasks.get(key)?;
        let (slots, more) = kept.journal.after(after, limit);
        Some(Journal { head: kept.head.clone(), slots, more })
    }

    pub(super) fn list(&self, scope: u64, query: &ListQuery) -> ListPage {
        lists::page(&self.rows, scope, query, |key| self.head(key))
    }

    pub(super) fn newest(&self, key: &TaskKey) -> Option<(Head, Version)> {
        let kept = self.tasks.get(key)?;
        Some((kept.head.clone(), lock(&kept.journal.slots).len() as Version))
    }

    pub(super) fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Vec<Running> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(&after.key));
        let running = self.running.range((from, Bound::Unbounded)).map(|key| {
            let host = self.tasks.get(key).and_then(|kept| kept.head.host.clone());
            Running { key: key.clone(), host }
        });
        let asked = running.filter(|it| it.host.as_ref().is_none_or(|host| !except.contains(host)));
        asked.take(limit as usize).collect()
    }

    /// One more reader follows that journal, if there is such a one.
    pub(super) fn follow(&mut self, key: &TaskKey) -> Option<Arc<Shared>> {
        let kept = self.tasks.get_mut(key)?;
        let journal = Arc::clone(&kept.journal);
        if let (0, Some(order)) = (kept.followers, kept.drop_order) {
            self.holders.withdraw(kept.holder, order);
            self.droppable -= kept.bytes;
        }
        kept.followers += 1;
        kept.bytes += TAIL_BYTES;
        self.bytes += TAIL_BYTES;
        self.holders.count(kept.holder, TAIL_BYTES, 0);
        Some(journal)
    }

    /// A reader does not any more. Answers what is dropped now that it may be.
    pub(super) fn leave(&mut self, key: &TaskKey) -> Vec<Kept> {
        if let Some(kept) = self.tasks.get_mut(key) {
            kept.followers -= 1;
            kept.bytes -= TAIL_BYTES;
            self.bytes -= TAIL_BYTES;
            self.holders.count(kept.holder, 0, TAIL_BYTES);
            if let (0, Some(order)) = (kept.followers, kept.drop_order) {
                self.holders.offer(kept.holder, order, key.clone());
                self.droppable += kept.bytes;
            }
        }
        self.drop_for(0)
    }

    /// Adds a slot. Answers its journal, and what is dropped for it.
    pub(super) fn append(
        &mut self,
        prepared: Prepared,
    ) -> Result<(Arc<Shared>, Vec<Kept>), AppendError> {
        let known = self.tasks.get(&prepared.change.key);
        let version = known.map_or(0, |kept| lock(&kept.journal.slots).len() as Version);
        if version != prepared.change.after {
            return Err(AppendError::Conflict);
        }
        let before = known.map_or(0, |kept| kept.around);
        let head = prepared.change.head.as_ref();
        let around = head.map_or(before, |head| weight_around(&prepared.change.key, head));
        let more = prepared.weight + around.saturating_sub(before);
        let own = known.map_or(0, |kept| kept.bytes);
        let offered = known.filter(|kept| kept.followers == 0).and_then(|it| it.drop_order);
        let holder = known.map_or(0, |kept| kept.holder);
        let reserve = prepared.reserve(self.max_bytes);
        let Prepared { change, weight, rows } = prepared;
        if let Some(order) = offered {
            // It is not dropped for itself: its writer is about to read it.
            self.holders.withdraw(holder, order);
            self.droppable -= own;
        }
        let fits = self.bytes - self.droppable + more <= self.max_bytes + reserve;
        let dropped = if fits { self.drop_for(more) } else { Vec::new() };
        if !fits {
            if let Some(order) = offered {
                self.holders.offer(holder, order, change.key);
                self.droppable += own;
            }
            return Err(match own + more > self.max_bytes {
                true => AppendError::TooLarge,
                false => StoreError::unavailable("the memory store is full of work").into(),
            });
        }
        Ok((self.write(change, rows, weight, around)?, dropped))
    }

    /// Writes what there is room for.
    fn write(
        &mut self,
        change: Change,
        rows: Option<[(Row, Listed); 2]>,
        weight: usize,
        around: usize,
    ) -> Result<Arc<Shared>, StoreError> {
        let Change { key, after, entries, head } = change;
        let kept = match (self.tasks.entry(key.clone()), &head) {
            (Entry::Occupied(kept), _) => kept.into_mut(),
            (Entry::Vacant(place), Some(head)) => {
                place.insert(Kept::new(head.clone(), self.holders.of_new_task(&head.owner)))
            }
            (Entry::Vacant(_), None) => return Err(StoreError::broken("no head at first")),
        };
        let journal = Arc::clone(&kept.journal);
        lock(&journal.slots).push(Slot { version: after + 1, entries });
        let (more, less) = (weight + around, std::mem::replace(&mut kept.around, around));
        kept.bytes = kept.bytes + more - less;
        self.bytes = self.bytes + more - less;
        self.holders.count(kept.holder, more, less);
        if let Some(head) = head {
            self.settled += 1;
            let waiting = head.phase == Phase::Waiting;
            let at_rest = waiting || matches!(head.phase, Phase::Finished | Phase::Answered);
            kept.drop_order = at_rest.then_some(DropOrder { waiting, settled: self.settled });
            if std::mem::replace(&mut kept.listed, rows.is_some()) {
                for row in lists::rows(&self.scopes, &key, &kept.head) {
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
        if let (0, Some(order)) = (kept.followers, kept.drop_order) {
            self.holders.offer(kept.holder, order, key);
            self.droppable += kept.bytes;
        }
        Ok(journal)
    }

    /// Drops what may be dropped until there is room for so many bytes more.
    fn drop_for(&mut self, more: usize) -> Vec<Kept> {
        let mut dropped = Vec::new();
        while self.bytes + more > self.max_bytes {
            let Some(key) = self.holders.next().cloned() else { break };
            let Some(kept) = self.tasks.remove(&key) else { break };
            self.bytes -= kept.bytes;
            self.droppable -= kept.bytes;
            if let Some(order) = kept.drop_order {
                self.holders.withdraw(kept.holder, order);
            }
            self.holders.count(kept.holder, 0, kept.bytes);
            self.holders.lose_task(kept.holder);
            if kept.listed {
                for row in lists::rows(&self.scopes, &key, &kept.head) {
                    self.rows.remove(&row);
                }
            }
            dropped.push(kept);
        }
        dropped
    }
}

impl Kept {
    fn new(head: Head, holder: HolderId) -> Self {
        let journal = Arc::default();
        let (bytes, around, followers, drop_order, listed) = (0, 0, 0, None, false);
        Self { journal, head, holder, bytes, around, followers, drop_order, listed }
    }
}

/// What a journal weighs beside its slots.
fn weight_around(key: &TaskKey, head: &Head) -> usize {
    let named = head.history_at.as_ref().map_or(0, Vec::len) * size_of::<Version>();
    let at_work = matches!(head.phase, Phase::Running | Phase::Claimed);
    let run = if at_work { RUN_BYTES } else { 0 };
    let texts = [&key.tenant, &key.id, &head.owner, &head.context_id];
    TASK_BYTES + run + named + texts.map(|text| text.len()).iter().sum::<usize>()
}

/// A panic while the lock was held cannot leave half a change: everything that can panic comes
/// before the first write.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// The slots after that version up to a limit, and whether there are more.
    pub(super) fn after(&self, after: Version, limit: ReadLimit) -> (Vec<Slot>, bool) {
        let slots = lock(&self.slots);
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(slots.len());
        let fit = limit.fit(slots[from..].iter().map(Slot::weight));
        (slots[from..from + fit].to_vec(), from + fit < slots.len())
    }
}
