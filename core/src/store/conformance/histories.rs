//! Random histories, whose every answer must be the memory store's. Must never know: what a history
//! means.

use std::sync::Arc;

use super::fixtures::*;
use crate::{
    store::{AppendError, Change, ListQuery, MemoryStore},
    task::{Entry, Head, Phase, TaskKey},
    types::{TaskState, Timestamp},
};

/// Chance from a seed (splitmix64), so that a history that is kept wrongly can be had again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn head(&mut self, task: u64) -> Head {
        const STATES: [TaskState; 5] = [
            TaskState::Submitted,
            TaskState::Working,
            TaskState::InputRequired,
            TaskState::Completed,
            TaskState::Canceled,
        ];
        let (state, at) = (STATES[self.below(5) as usize], self.below(6) as i64 - 2);
        let mut head = head(state, at);
        match self.below(8) {
            0 => head.phase = Phase::Claimed,
            1 => head.phase = Phase::Answered,
            _ => {}
        }
        // A task never changes hands.
        (head.owner, head.context_id) = (format!("o{}", task % 2).into(), context(task));
        head
    }

    fn entries(&mut self) -> Vec<Entry> {
        let number = self.below(1_000_000).to_string();
        let entries = [submitted(&number), chunk(&number), chunk("same")];
        (0..=self.below(3)).map(|_| entries[self.below(3) as usize].clone()).collect()
    }
}

fn context(task: u64) -> Arc<str> {
    format!("c{}", task % 3).into()
}

pub async fn random_histories_are_kept_as_in_memory(store: Store) {
    random_histories(store, 0..30).await;
}

/// One random history per seed, each in a tenant of its own, and every answer compared with a
/// [`MemoryStore`]'s. For a store that is fast enough for more of them.
pub async fn random_histories(store: Store, seeds: std::ops::Range<u64>) {
    let memory: Store = Arc::<MemoryStore>::default();
    for seed in seeds {
        let tenant: Arc<str> = format!("history {seed}").into();
        let mut dice = Dice(seed);
        for _ in 0..25 {
            one_append(&store, &memory, &tenant, &mut dice).await;
        }
        same_journals(&store, &memory, &tenant).await;
        same_lists(&store, &memory, &tenant, &mut dice).await;
    }
    let of = async |store: &Store| {
        let mut keys = running_keys(store).await;
        keys.sort();
        keys
    };
    // Each store has an order of its own.
    assert_eq!(of(&store).await, of(&memory).await);
}

const TASKS: u64 = 5;

async fn one_append(store: &Store, memory: &Store, tenant: &Arc<str>, dice: &mut Dice) {
    let task = dice.below(TASKS);
    let key = TaskKey { tenant: Arc::clone(tenant), id: format!("t{task}").into() };
    let journal = memory.read(&key, 0).await.unwrap();
    let version = journal.map_or(0, |journal| journal.slots.len() as u64);
    let after = match dice.below(10) {
        0 => version.saturating_sub(1),
        1 => version + 1 + dice.below(3),
        _ => version,
    };
    let head = (after == 0 || dice.below(2) == 0).then(|| dice.head(task));
    let change = Change { key, after, entries: dice.entries().into(), head };
    if dice.below(5) > 0 {
        let (here, there) = (store.append(change.clone()).await, memory.append(change).await);
        assert_eq!(outcome(&here), outcome(&there));
        return;
    }
    // Two at once: the one that wins here has its turn there.
    let entries = dice.entries().into();
    let head = change.head.is_some().then(|| dice.head(task));
    let other = Change { entries, head, ..change.clone() };
    let (one, two) = tokio::join!(store.append(change.clone()), store.append(other.clone()));
    let (first, second) = if two.is_ok() { (other, change) } else { (change, other) };
    let expected = [memory.append(first).await, memory.append(second).await];
    let mut outcomes = [outcome(&one), outcome(&two)];
    outcomes.sort();
    assert_eq!(outcomes, expected.each_ref().map(outcome), "{one:?} {two:?}");
}

/// Success comes first.
fn outcome(appended: &Result<(), AppendError>) -> u8 {
    match appended {
        Ok(()) => 0,
        Err(AppendError::Conflict) => 1,
        Err(other) => panic!("{other}"),
    }
}

async fn same_journals(store: &Store, memory: &Store, tenant: &Arc<str>) {
    for task in 0..=TASKS {
        let key = TaskKey { tenant: Arc::clone(tenant), id: format!("t{task}").into() };
        let expected = memory.read(&key, 0).await.unwrap();
        assert_eq!(store.head(&key).await.unwrap(), expected.as_ref().map(|it| it.head.clone()));
        let versions = expected.as_ref().map_or(0, |journal| journal.slots.len() as u64);
        for after in 0..=versions + 1 {
            let here = store.read(&key, after).await.unwrap().map(|it| (it.head, it.slots));
            let there = memory.read(&key, after).await.unwrap().map(|it| (it.head, it.slots));
            assert_eq!(here, there, "{key:?} after {after}");
        }
    }
}

async fn same_lists(store: &Store, memory: &Store, tenant: &Arc<str>, dice: &mut Dice) {
    for _ in 0..10 {
        let states = [None, None, Some(TaskState::Working), Some(TaskState::Completed)];
        let mut query = ListQuery {
            tenant: Arc::clone(tenant),
            owner: format!("o{}", dice.below(3)).into(),
            context_id: None,
            state: states[dice.below(4) as usize],
            since: None,
            after: None,
            limit: 1 + dice.below(4) as u32,
        };
        query.context_id = (dice.below(2) == 0).then(|| context(dice.below(4)));
        query.since =
            (dice.below(3) == 0).then(|| Timestamp::from_millis(dice.below(6) as i64 - 2));
        let (here, there) = (paged(store, query.clone()).await, paged(memory, query.clone()).await);
        assert_eq!(here, there, "{query:?}");
    }
}
