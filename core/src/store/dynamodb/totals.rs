//! How many tasks a query finds, for a few seconds.
//!
//! Owns: what was counted lately, bounded. A count reads the whole of a list, so whoever goes
//! through its pages pays for it once. Must never know: how it is counted.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    store::ListQuery,
    types::{TaskState, Timestamp},
};

/// How long a count is good for. This process's own appends end it at once.
const FRESH: Duration = Duration::from_secs(5);
/// How many are kept.
const KEPT: usize = 1_024;

/// Whose tasks are counted: tenant and owner.
type Owner = (Arc<str>, Arc<str>);
/// Which of them.
type Filter = (Option<Arc<str>>, Option<TaskState>, Option<Timestamp>);

/// When it was counted, and how many there were.
type Counts = HashMap<Filter, (Instant, u64)>;

/// Counts of many owners.
#[derive(Debug, Default)]
pub(super) struct Totals(Mutex<HashMap<Owner, Counts>>);

impl Totals {
    pub(super) fn get(&self, query: &ListQuery) -> Option<u64> {
        let totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, total) = totals.get(&owner(query))?.get(&filter(query))?;
        (at.elapsed() < FRESH).then_some(*total)
    }

    pub(super) fn put(&self, query: &ListQuery, total: u64) {
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if totals.values().map(HashMap::len).sum::<usize>() >= KEPT {
            totals.retain(|_, counts| {
                counts.retain(|_, (at, _)| at.elapsed() < FRESH);
                !counts.is_empty()
            });
        }
        if totals.values().map(HashMap::len).sum::<usize>() < KEPT {
            let counts = totals.entry(owner(query)).or_default();
            counts.insert(filter(query), (Instant::now(), total));
        }
    }

    /// A task of theirs is another than it was.
    pub(super) fn forget(&self, tenant: &Arc<str>, owner: &Arc<str>) {
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        totals.remove(&(Arc::clone(tenant), Arc::clone(owner)));
    }
}

fn owner(query: &ListQuery) -> Owner {
    (Arc::clone(&query.tenant), Arc::clone(&query.owner))
}

fn filter(query: &ListQuery) -> Filter {
    (query.context_id.clone(), query.state, query.since)
}
