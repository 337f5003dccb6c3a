//! How many tasks a query finds, for a few seconds.
//!
//! Owns: what was counted lately, bounded. A count reads the whole of a list, so a caller that
//! goes through its pages pays for it once. Must never know: how it is counted.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{ListQuery, StoreError};
use crate::types::{TaskState, Timestamp};

/// How long a count is good for. This process's own appends end it at once.
const FRESH: Duration = Duration::from_secs(5);
/// How many are kept.
const KEPT: usize = 1_024;

/// Whose tasks are counted: tenant and owner.
type Owner = (Arc<str>, Arc<str>);
/// Which of them.
type Filter = (Option<Arc<str>>, Option<TaskState>, Option<Timestamp>);

/// When counting began, and how many there were once that is known.
type Counts = HashMap<Filter, (Instant, Option<u64>)>;

/// Counts of many owners.
#[derive(Debug, Default)]
pub(super) struct Totals(Mutex<HashMap<Owner, Counts>>);

impl Totals {
    /// The total that was counted lately, or what `count` says.
    ///
    /// # Errors
    /// Those of `count`.
    pub(super) async fn of<Count>(&self, query: &ListQuery, count: Count) -> Result<u64, StoreError>
    where
        Count: Future<Output = Result<u64, StoreError>>,
    {
        if let Some(total) = self.get(query) {
            return Ok(total);
        }
        let began = self.begin(query);
        let total = count.await?;
        self.put(query, began, total);
        Ok(total)
    }

    /// A task of theirs is another than it was; what is being counted now may have missed it.
    pub(super) fn forget(&self, tenant: &Arc<str>, owner: &Arc<str>) {
        self.lock().remove(&(Arc::clone(tenant), Arc::clone(owner)));
    }

    fn get(&self, query: &ListQuery) -> Option<u64> {
        let (at, total) = *self.lock().get(&owner(query))?.get(&filter(query))?;
        total.filter(|_| at.elapsed() < FRESH)
    }

    /// Leaves a mark, which an append takes away.
    fn begin(&self, query: &ListQuery) -> Instant {
        let mut totals = self.lock();
        if totals.values().map(HashMap::len).sum::<usize>() >= KEPT {
            totals.retain(|_, counts| {
                counts.retain(|_, (at, _)| at.elapsed() < FRESH);
                !counts.is_empty()
            });
        }
        let now = Instant::now();
        if totals.values().map(HashMap::len).sum::<usize>() < KEPT {
            totals.entry(owner(query)).or_default().insert(filter(query), (now, None));
        }
        now
    }

    /// Keeps a total whose mark is still there.
    fn put(&self, query: &ListQuery, began: Instant, total: u64) {
        let mut totals = self.lock();
        let counts = totals.get_mut(&owner(query));
        let mark = counts.and_then(|counts| counts.get_mut(&filter(query)));
        if let Some(mark) = mark.filter(|(at, _)| *at == began) {
            mark.1 = Some(total);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn owner(query: &ListQuery) -> Owner {
    (Arc::clone(&query.tenant), Arc::clone(&query.owner))
}

fn filter(query: &ListQuery) -> Filter {
    (query.context_id.clone(), query.state, query.since)
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    fn query(owner: &str) -> ListQuery {
        ListQuery {
            tenant: "".into(),
            owner: owner.into(),
            context_id: None,
            state: None,
            since: None,
            after: None,
            limit: 1,
        }
    }

    #[tokio::test]
    async fn a_total_is_counted_once_and_again_after_an_append() {
        let totals = Totals::default();
        let waiting = ListQuery { state: Some(TaskState::InputRequired), ..query("me") };
        for (query, count, expected) in
            [(query("me"), 1, 1), (query("me"), 2, 1), (waiting, 3, 3), (query("you"), 4, 4)]
        {
            assert_eq!(totals.of(&query, ready(Ok(count))).await.unwrap(), expected);
        }
        totals.forget(&"".into(), &"me".into());
        assert_eq!(totals.of(&query("me"), ready(Ok(5))).await.unwrap(), 5);
        assert_eq!(totals.of(&query("you"), ready(Ok(6))).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn what_was_counted_while_something_was_appended_is_not_kept() {
        let totals = Totals::default();
        let count = async {
            totals.forget(&"".into(), &"me".into());
            Ok(1)
        };
        assert_eq!(totals.of(&query("me"), count).await.unwrap(), 1);
        assert_eq!(totals.of(&query("me"), ready(Ok(2))).await.unwrap(), 2);
        let outage = ready(Err(StoreError::unavailable("an outage")));
        assert!(totals.of(&query("you"), outage).await.is_err());
        assert_eq!(totals.of(&query("you"), ready(Ok(3))).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn no_more_are_kept_than_there_is_room_for() {
        let totals = Totals::default();
        for number in 0..2 * KEPT {
            totals.of(&query(&number.to_string()), ready(Ok(1))).await.unwrap();
        }
        assert_eq!(totals.lock().len(), KEPT);
    }
}
