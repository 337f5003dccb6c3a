//! The journal of a task: what a store appends and reads.
//!
//! Owns: slots, and which task a journal is of. Must never know: what an entry means (that is the
//! fold's).

use std::sync::Arc;

use super::entry::Entry;
use crate::call::Version;

/// Which task: ids are unique within a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey {
    /// The tenant; empty for none.
    pub tenant: Arc<str>,
    /// The task's id.
    pub id: Arc<str>,
}

impl TaskKey {
    /// The key of a task a caller names.
    pub(crate) fn new(tenant: Option<&Arc<str>>, id: &Arc<str>) -> Self {
        Self { tenant: tenant.cloned().unwrap_or_default(), id: Arc::clone(id) }
    }
}

/// One append: its slot and its entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Its place, from 1.
    pub version: Version,
    /// What was recorded, at least one entry.
    pub entries: Arc<[Entry]>,
}

impl Slot {
    /// Roughly how many bytes its entries hold.
    pub fn weight(&self) -> usize {
        self.entries.iter().map(Entry::weight).sum()
    }
}
