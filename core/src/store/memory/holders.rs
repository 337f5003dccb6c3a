//! Who holds how much, and whose task is dropped next.
//!
//! Owns: the bytes of each owner, and their tasks that may be dropped, in the order they would be: of
//! the owner who holds most, the oldest finished one first, then the oldest that waits for its client.
//! So a caller that fills the store loses its own. Must never know: journals, lists, the bound.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::task::TaskKey;

/// An owner's number here.
pub(super) type HolderId = u64;

/// All owners of tasks.
#[derive(Debug, Default)]
pub(super) struct Holders {
    ids: HashMap<Arc<str>, HolderId>,
    all: HashMap<HolderId, Holder>,
    /// Those who have something that may be dropped, by how much they hold.
    by_bytes: BTreeSet<(usize, HolderId)>,
    next_id: HolderId,
}

#[derive(Debug)]
struct Holder {
    owner: Arc<str>,
    tasks: usize,
    bytes: usize,
    droppable: BTreeMap<DropOrder, TaskKey>,
}

/// Finished before waiting, older before newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DropOrder {
    pub(super) waiting: bool,
    pub(super) settled: u64,
}

impl Holders {
    /// The number of the owner of a new task.
    pub(super) fn of_new_task(&mut self, owner: &Arc<str>) -> HolderId {
        let id = match self.ids.get(owner) {
            Some(id) => *id,
            None => {
                self.next_id += 1;
                self.ids.insert(Arc::clone(owner), self.next_id);
                let (owner, droppable) = (Arc::clone(owner), BTreeMap::new());
                let holder = Holder { owner, tasks: 0, bytes: 0, droppable };
                self.all.insert(self.next_id, holder);
                self.next_id
            }
        };
        if let Some(holder) = self.all.get_mut(&id) {
            holder.tasks += 1;
        }
        id
    }

    /// A task of theirs is gone.
    pub(super) fn lose_task(&mut self, id: HolderId) {
        let Some(holder) = self.all.get_mut(&id) else { return };
        holder.tasks -= 1;
        if holder.tasks == 0 {
            self.ids.remove(&holder.owner);
            self.all.remove(&id);
        }
    }

    /// Counts so many bytes more, and less.
    pub(super) fn count(&mut self, id: HolderId, more: usize, less: usize) {
        self.change(id, |holder| holder.bytes = (holder.bytes + more).saturating_sub(less));
    }

    /// That task may be dropped.
    pub(super) fn offer(&mut self, id: HolderId, order: DropOrder, key: TaskKey) {
        self.change(id, |holder| _ = holder.droppable.insert(order, key));
    }

    /// It may not be dropped any more.
    pub(super) fn withdraw(&mut self, id: HolderId, order: DropOrder) {
        self.change(id, |holder| _ = holder.droppable.remove(&order));
    }

    /// The task that is dropped next.
    pub(super) fn next(&self) -> Option<&TaskKey> {
        let (_, id) = self.by_bytes.last()?;
        self.all.get(id)?.droppable.values().next()
    }

    fn change(&mut self, id: HolderId, change: impl FnOnce(&mut Holder)) {
        let Some(holder) = self.all.get_mut(&id) else { return };
        let before = (!holder.droppable.is_empty()).then_some(holder.bytes);
        change(holder);
        let after = (!holder.droppable.is_empty()).then_some(holder.bytes);
        if before != after {
            if let Some(bytes) = before {
                self.by_bytes.remove(&(bytes, id));
            }
            if let Some(bytes) = after {
                self.by_bytes.insert((bytes, id));
            }
        }
    }
}
