//! The suite that holds every store to the contract: a list of named cases over any [`TaskStore`].
//!
//! Owns: what a store promises, as cases. Must never know: which store it is. A store of your own
//! is held to it by one line, in a crate of tests that depends on `a2a-core` with the feature
//! `conformance` and on `tokio`:
//!
//! ```
//! use std::sync::Arc;
//! use a2a_core::{MemoryStore, TaskStore};
//!
//! /// A store that this case shares with nobody.
//! async fn fresh(_case: &'static str) -> Arc<dyn TaskStore> {
//!     Arc::new(MemoryStore::default())
//! }
//!
//! mod memory {
//!     a2a_core::store_conformance!(super::fresh);
//! }
//! ```
//!
//! makes a test of each case: `memory::a_stale_append_writes_nothing`, and so on.

#![allow(clippy::unwrap_used, reason = "all of it is tests; unwraps are assertions")]
#![allow(missing_docs, reason = "a case's name says what it is")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::StreamExt;

use crate::{
    store::{AppendError, Change, ListPage, ListPosition, ListQuery, MemoryStore, TaskStore},
    task::{Entry, Head, Phase, Slot, Step, Submitted, TaskKey, Unknown},
    types::{
        Artifact, Json, Message, Part, TaskArtifactUpdateEvent, TaskState, TaskStatus, Timestamp,
    },
};

/// The store a case is given.
pub type Store = Arc<dyn TaskStore>;

/// Makes a test of every case. It is given the path of an `async fn(&'static str) -> Arc<dyn
/// TaskStore>`, which makes a store for the case of that name; what else it is given goes over each
/// test, in place of `#[tokio::test(flavor = "multi_thread", worker_threads = 2)]`.
#[macro_export]
macro_rules! store_conformance {
    ($store:path) => {
        $crate::store_conformance!($store, #[tokio::test(flavor = "multi_thread", worker_threads = 2)]);
    };
    ($store:path, $(#[$attribute:meta])+) => {
        $crate::store_conformance!(@cases $store, ($(#[$attribute])+),
            what_is_appended_is_read,
            random_histories_are_kept_as_in_memory,
            a_read_from_any_version_is_the_rest,
            unknown_journals_are_none,
            a_stale_append_writes_nothing,
            an_append_beyond_the_end_writes_nothing,
            of_sixteen_racers_one_wins,
            racing_appends_are_all_read_in_order,
            the_head_is_the_last_one_given,
            odd_texts_are_kept,
            odd_ids_are_told_apart,
            long_ids_are_told_apart,
            large_journals_and_entries_are_kept,
            an_artifact_of_5_mb_is_kept,
            hundreds_of_entries_fit_in_one_slot,
            entries_of_every_kind_are_kept,
            lists_are_newest_first_and_ties_by_id,
            lists_are_filtered,
            lists_show_what_is_listed,
            a_list_moves_with_the_status,
            what_is_taken_back_is_not_found,
            times_before_1970_are_times,
            what_is_running_is_found_page_by_page,
            tenants_and_owners_are_apart,
            pages_are_whole_and_never_overlap,
            three_hundred_tasks_are_listed_page_by_page,
            a_tail_is_what_was_and_what_comes,
            a_stalled_tail_delays_nobody,
            tails_of_one_journal_are_the_same,
            tails_of_many_journals_are_their_own,
        );
    };
    (@cases $store:path, $attributes:tt, $($case:ident,)*) => {
        $($crate::store_conformance!(@case $store, $attributes, $case);)*
    };
    (@case $store:path, ($($attribute:tt)+), $case:ident) => {
        $($attribute)+
        async fn $case() {
            $crate::store::conformance::$case($store(stringify!($case)).await).await;
        }
    };
}

/// What must come, and soon.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(100), future).await.expect("it never came")
}

pub fn key(id: &str) -> TaskKey {
    TaskKey { tenant: "".into(), id: id.into() }
}

pub fn submitted(text: &str) -> Entry {
    let message = Arc::new(Message::user("m", vec![Part::text(text)]));
    Entry::Submitted(Submitted::new(message, Timestamp::from_millis(1)))
}

pub fn chunk(text: &str) -> Entry {
    Entry::Artifact(Arc::new(TaskArtifactUpdateEvent {
        artifact: Artifact::new("a", vec![Part::text(text)]),
        append: true,
        ..TaskArtifactUpdateEvent::default()
    }))
}

pub fn head(state: TaskState, at: i64) -> Head {
    let phase = match state {
        _ if state.is_terminal() => Phase::Finished,
        _ if state.is_interrupted() => Phase::Waiting,
        _ => Phase::Running,
    };
    let status = TaskStatus { state, message: None, timestamp: Some(Timestamp::from_millis(at)) };
    Head { owner: "".into(), context_id: "c".into(), status, phase }
}

pub async fn append(
    store: &Store,
    key: TaskKey,
    after: u64,
    entries: impl Into<Arc<[Entry]>>,
    head: Option<Head>,
) -> Result<(), AppendError> {
    store.append(Change { key, after, entries: entries.into(), head }).await
}

/// A journal of one slot.
pub async fn put(store: &Store, id: &str, head: Head) {
    append(store, key(id), 0, [submitted(id)], Some(head)).await.unwrap();
}

/// Tasks of somebody who uses the same store under the ids and tenants of these cases, and must not
/// be met in any of them.
pub async fn neighbours(store: &Store) {
    for tenant in ["", "t0", "t1", "t2"] {
        for (id, state) in [("t", TaskState::Working), ("a", TaskState::Completed)] {
            for at in 1..4 {
                let id = if at == 1 { id.into() } else { format!("{id}{at}").into() };
                let key = TaskKey { tenant: tenant.into(), id };
                append(store, key, 0, [submitted("n")], Some(head(state, at))).await.unwrap();
            }
        }
    }
}

async fn slots(store: &Store, id: &str, after: u64) -> Vec<Slot> {
    store.read(&key(id), after).await.unwrap().unwrap().slots
}

/// The list of all tasks of the anonymous owner without a tenant, 100 at most.
pub fn everything() -> ListQuery {
    ListQuery {
        tenant: "".into(),
        owner: "".into(),
        context_id: None,
        state: None,
        since: None,
        after: None,
        limit: 100,
    }
}

fn ids(page: &ListPage) -> Vec<&str> {
    page.rows.iter().map(|(id, _)| &**id).collect()
}

async fn listed(store: &Store, query: ListQuery) -> Vec<String> {
    let page = store.list(&query).await.unwrap();
    assert_eq!(page.total, page.rows.len() as u64);
    assert!(page.next.is_none());
    ids(&page).into_iter().map(str::to_owned).collect()
}

pub async fn what_is_appended_is_read(store: Store) {
    let batches =
        [vec![submitted("hi"), chunk("1")], vec![chunk("2")], vec![chunk("3"), chunk("4")]];
    let at_work = head(TaskState::Working, 1);
    for (after, entries) in (0..).zip(&batches) {
        append(&store, key("t"), after, entries.clone(), Some(at_work.clone())).await.unwrap();
        let journal = store.read(&key("t"), 0).await.unwrap().unwrap();
        assert_eq!(journal.head, at_work);
        let read: Vec<&[Entry]> = journal.slots.iter().map(|slot| &*slot.entries).collect();
        assert_eq!(read, batches[..=after as usize]);
        let versions: Vec<u64> = journal.slots.iter().map(|slot| slot.version).collect();
        assert_eq!(versions, (1..=after + 1).collect::<Vec<_>>());
    }
}

pub async fn a_read_from_any_version_is_the_rest(store: Store) {
    put(&store, "t", head(TaskState::Working, 1)).await;
    for after in 1..20 {
        append(&store, key("t"), after, [chunk("x")], None).await.unwrap();
    }
    let all = slots(&store, "t", 0).await;
    for after in 0..=20 {
        assert_eq!(slots(&store, "t", after).await, all[after as usize..], "{after}");
    }
    assert!(slots(&store, "t", 21).await.is_empty());
    assert!(slots(&store, "t", u64::MAX).await.is_empty());
}

pub async fn unknown_journals_are_none(store: Store) {
    put(&store, "t", head(TaskState::Working, 1)).await;
    for key in [key("u"), key(""), key("T"), TaskKey { tenant: "t".into(), id: "t".into() }] {
        assert!(store.read(&key, 0).await.unwrap().is_none(), "{key:?}");
        assert!(store.head(&key).await.unwrap().is_none(), "{key:?}");
    }
}

pub async fn a_stale_append_writes_nothing(store: Store) {
    put(&store, "t", head(TaskState::Working, 1)).await;
    append(&store, key("t"), 1, [chunk("1")], None).await.unwrap();
    let before = slots(&store, "t", 0).await;
    for after in [0, 1] {
        let refused =
            append(&store, key("t"), after, [chunk("no")], Some(head(TaskState::Failed, 9)));
        assert!(matches!(refused.await, Err(AppendError::Conflict)), "{after}");
    }
    assert_eq!(slots(&store, "t", 0).await, before);
    assert_eq!(store.head(&key("t")).await.unwrap(), Some(head(TaskState::Working, 1)));
    assert_eq!(store.list(&everything()).await.unwrap().rows.len(), 1);
    // The slot is still free for who knows of the others.
    append(&store, key("t"), 2, [chunk("2")], None).await.unwrap();
}

pub async fn an_append_beyond_the_end_writes_nothing(store: Store) {
    let first = || Some(head(TaskState::Working, 1));
    for after in [1, 2, 1_000] {
        let refused = append(&store, key("t"), after, [chunk("no")], first()).await;
        assert!(matches!(refused, Err(AppendError::Conflict)), "{after}");
        assert!(store.read(&key("t"), 0).await.unwrap().is_none(), "{after}");
    }
    put(&store, "t", head(TaskState::Working, 1)).await;
    for after in [2, 3, 1_000, u64::from(u32::MAX)] {
        let failed = Some(head(TaskState::Failed, 9));
        let refused = append(&store, key("t"), after, [chunk("no")], failed).await;
        assert!(matches!(refused, Err(AppendError::Conflict)), "{after}");
    }
    append(&store, key("t"), 1, [chunk("2")], None).await.unwrap();
    let all = slots(&store, "t", 0).await;
    assert_eq!((all.len(), &*all[1].entries), (2, &[chunk("2")][..]));
    assert_eq!(store.head(&key("t")).await.unwrap(), first());
    assert_eq!(listed(&store, everything()).await, ["t"]);
}

pub async fn of_sixteen_racers_one_wins(store: Store) {
    for after in 0..8 {
        let racers: Vec<_> = (0..16)
            .map(|racer| {
                let (store, head) = (Arc::clone(&store), head(TaskState::Working, racer));
                tokio::spawn(async move {
                    append(&store, key("t"), after, [chunk(&racer.to_string())], Some(head)).await
                })
            })
            .collect();
        let mut winners = Vec::new();
        for (racer, outcome) in (0..).zip(racers) {
            match outcome.await.unwrap() {
                Ok(()) => winners.push(racer),
                Err(AppendError::Conflict) => {}
                Err(other) => panic!("{other}"),
            }
        }
        let [winner] = *winners else { panic!("{winners:?}") };
        let journal = store.read(&key("t"), after).await.unwrap().unwrap();
        assert_eq!(*journal.slots[0].entries, [chunk(&winner.to_string())]);
        assert_eq!(journal.head, head(TaskState::Working, winner), "the winner's head, too");
    }
}

pub async fn racing_appends_are_all_read_in_order(store: Store) {
    put(&store, "t", head(TaskState::Working, 1)).await;
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for number in 0..10 {
                    let entry = [chunk(&format!("{writer}.{number}"))];
                    let mut after = 1;
                    while append(&store, key("t"), after, entry.clone(), None).await.is_err() {
                        after = slots(&store, "t", 0).await.len() as u64;
                    }
                    // What was acknowledged is read, by its writer at once.
                    assert!(slots(&store, "t", 0).await.iter().any(|slot| *slot.entries == entry));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let all = slots(&store, "t", 1).await;
    let versions: Vec<u64> = all.iter().map(|slot| slot.version).collect();
    assert_eq!(versions, (2..=81).collect::<Vec<_>>());
    let texts: BTreeSet<String> = all.iter().map(|slot| format!("{:?}", slot.entries)).collect();
    assert_eq!(texts.len(), 80, "each once");
}

pub async fn the_head_is_the_last_one_given(store: Store) {
    put(&store, "t", head(TaskState::Working, 1)).await;
    append(&store, key("t"), 1, [chunk("x")], None).await.unwrap();
    assert_eq!(store.head(&key("t")).await.unwrap(), Some(head(TaskState::Working, 1)));
    let mut done = head(TaskState::Completed, 2);
    done.status.message = Some(Arc::new(Message::user("m", vec![Part::text("done")])));
    append(&store, key("t"), 2, [chunk("x")], Some(done.clone())).await.unwrap();
    assert_eq!(store.head(&key("t")).await.unwrap(), Some(done.clone()));
    assert_eq!(store.list(&everything()).await.unwrap().rows[0].1, done);
}

pub async fn odd_texts_are_kept(store: Store) {
    for text in
        ["", "\0", "é\u{1F980}\u{2028}", "a/b#c%20|\n\"'\\", "  ", "%", "null", &"k".repeat(500)]
    {
        let mut odd = head(TaskState::Working, 1);
        (odd.owner, odd.context_id) = (text.into(), text.into());
        let key = TaskKey { tenant: text.into(), id: format!("t{text}").into() };
        append(&store, key.clone(), 0, [submitted(text)], Some(odd.clone())).await.unwrap();
        let journal = store.read(&key, 0).await.unwrap().unwrap();
        assert_eq!((&*journal.slots[0].entries, &journal.head), (&[submitted(text)][..], &odd));
        let context_id = Some(text.into());
        let query =
            ListQuery { tenant: text.into(), owner: text.into(), context_id, ..everything() };
        assert_eq!(listed(&store, query).await, [&*key.id]);
    }
}

/// Each id through everything that takes or gives one.
async fn are_told_apart(store: &Store, odd: BTreeSet<String>) {
    for id in &odd {
        let first = Head { owner: id.as_str().into(), ..head(TaskState::Working, 1) };
        put(store, id, first).await;
        append(store, key(id), 1, [chunk(id)], None).await.unwrap();
    }
    let (mut running, mut after) = (BTreeSet::new(), None);
    loop {
        let page = store.running(after.as_ref(), 7).await.unwrap();
        after = page.last().cloned();
        running.extend(page.into_iter().map(|key| key.id.to_string()));
        if after.is_none() {
            break;
        }
    }
    assert_eq!(running, odd);
    for id in &odd {
        let mine = ListQuery { owner: id.as_str().into(), ..everything() };
        assert_eq!(listed(store, mine).await, [&**id], "{id:?}");
        let mut tail = Arc::clone(store).tail(key(id), 1);
        assert_eq!(*soon(tail.next()).await.unwrap().unwrap().entries, [chunk(id)], "{id:?}");
        assert_eq!(*slots(store, id, 0).await[0].entries, [submitted(id)], "{id:?}");
        let one_owner = Head { owner: "o".into(), ..head(TaskState::Completed, 2) };
        let theirs = TaskKey { tenant: "theirs".into(), id: id.as_str().into() };
        append(store, theirs, 0, [submitted(id)], Some(one_owner)).await.unwrap();
    }
    // All of one time, so that the ids alone make the order.
    let theirs = ListQuery { tenant: "theirs".into(), owner: "o".into(), ..everything() };
    assert_eq!(listed(store, theirs).await, odd.into_iter().collect::<Vec<_>>());
}

pub async fn odd_ids_are_told_apart(store: Store) {
    let controls = (0..32).chain([127]).map(|code| char::from(code).to_string());
    let signs =
        ["'", "\"", "`", "{}", "{a}", "#", "*", "[]", "?", "\\", "/", "%", "_", "$1", ":", ";"];
    let others =
        ["\u{1F980}", "\u{1F469}\u{200D}\u{1F680}", "\u{FFFD}", "\u{E000}", "é", "e\u{301}"];
    let odd = controls.chain(signs.into_iter().chain(others).map(str::to_owned));
    are_told_apart(&store, odd.map(|text| format!("a{text}b")).collect()).await;
}

pub async fn long_ids_are_told_apart(store: Store) {
    let odd = ["a", "b"].map(|last| format!("{}{last}", "x".repeat(999)));
    are_told_apart(&store, odd.into()).await;
}

pub async fn large_journals_and_entries_are_kept(store: Store) {
    put(&store, "t", head(TaskState::Working, 1)).await;
    let large = "x".repeat(450_000);
    for (after, text) in (1..).zip([&*large, "small", &*large, &*large]) {
        append(&store, key("t"), after, [chunk(text), chunk("and")], None).await.unwrap();
    }
    let all = slots(&store, "t", 0).await;
    assert_eq!(all.len(), 5);
    assert_eq!(*all[3].entries, [chunk(&large), chunk("and")]);
}

pub async fn an_artifact_of_5_mb_is_kept(store: Store) {
    put(&store, "t", head(TaskState::Working, 1)).await;
    let pieces: Vec<Entry> = ('a'..='e').map(|it| chunk(&it.to_string().repeat(1 << 20))).collect();
    for (after, piece) in (1..).zip(&pieces) {
        append(&store, key("t"), after, [piece.clone()], None).await.unwrap();
    }
    // As large as an entry may be.
    let largest = chunk(&"é".repeat((4 << 20) / 2 - 500));
    append(&store, key("t"), 6, [largest.clone()], None).await.unwrap();
    let read = slots(&store, "t", 1).await;
    let entries: Vec<&Entry> = read.iter().flat_map(|slot| slot.entries.iter()).collect();
    // Nobody wants to see them where they differ.
    assert!(entries == pieces.iter().chain([&largest]).collect::<Vec<_>>());
    let mut tail = Arc::clone(&store).tail(key("t"), 6);
    assert!(*soon(tail.next()).await.unwrap().unwrap().entries == [largest]);
}

pub async fn hundreds_of_entries_fit_in_one_slot(store: Store) {
    put(&store, "t", head(TaskState::Working, 1)).await;
    let entries: Vec<Entry> = (0..400).map(|number| chunk(&number.to_string())).collect();
    append(&store, key("t"), 1, entries.clone(), None).await.unwrap();
    append(&store, key("t"), 2, [chunk("next")], None).await.unwrap();
    let read = slots(&store, "t", 1).await;
    assert_eq!((read.len(), &*read[0].entries), (2, &*entries));
}

pub async fn entries_of_every_kind_are_kept(store: Store) {
    put(&store, "t", head(TaskState::Working, 1)).await;
    for (after, text) in [(1, "\u{1f980}"), (2, &*"é".repeat(300_000))] {
        let (content, at) = (Json::new(text).unwrap(), Timestamp::from_millis(1));
        let entries = [
            Entry::Unknown(Unknown { kind: "newer".into(), content: content.clone() }),
            Entry::Step(Step { name: "b".into(), value: content, at }),
        ];
        append(&store, key("t"), after, entries.clone(), None).await.unwrap();
        assert!(*slots(&store, "t", after).await[0].entries == entries);
    }
}

pub async fn lists_are_newest_first_and_ties_by_id(store: Store) {
    for (id, at) in [("b", 5), ("d", 1), ("a", 5), ("e", 9), ("c", 5)] {
        put(&store, id, head(TaskState::Working, at)).await;
    }
    assert_eq!(listed(&store, everything()).await, ["e", "a", "b", "c", "d"]);
    assert!(listed(&store, ListQuery { owner: "x".into(), ..everything() }).await.is_empty());
}

pub async fn lists_are_filtered(store: Store) {
    for (id, context, state, at) in [
        ("a", "c1", TaskState::Working, 1),
        ("b", "c1", TaskState::Completed, 2),
        ("c", "c2", TaskState::Completed, 3),
        ("d", "c2", TaskState::InputRequired, 4),
    ] {
        put(&store, id, Head { context_id: context.into(), ..head(state, at) }).await;
    }
    let context = |id: &str| ListQuery { context_id: Some(id.into()), ..everything() };
    let state = |state| ListQuery { state: Some(state), ..everything() };
    let since = |at| ListQuery { since: Some(Timestamp::from_millis(at)), ..everything() };
    for (query, expected) in [
        (context("c1"), &["b", "a"][..]),
        (context("c"), &[]),
        (context(""), &[]),
        (state(TaskState::Completed), &["c", "b"]),
        (state(TaskState::Failed), &[]),
        (since(3), &["d", "c"]),
        (since(5), &[]),
        (since(i64::MIN), &["d", "c", "b", "a"]),
        (ListQuery { state: Some(TaskState::Completed), ..context("c2") }, &["c"]),
        (ListQuery { since: Some(Timestamp::from_millis(2)), ..context("c1") }, &["b"]),
    ] {
        assert_eq!(listed(&store, query.clone()).await, expected, "{query:?}");
    }
}

pub async fn lists_show_what_is_listed(store: Store) {
    let unlisted = |phase| Head { phase, ..head(TaskState::Submitted, 1) };
    put(&store, "claimed", unlisted(Phase::Claimed)).await;
    put(&store, "answered", unlisted(Phase::Answered)).await;
    assert!(listed(&store, everything()).await.is_empty());
    append(&store, key("claimed"), 1, [chunk("x")], Some(head(TaskState::Working, 2)))
        .await
        .unwrap();
    assert_eq!(listed(&store, everything()).await, ["claimed"]);
    // And it can be taken back.
    append(&store, key("claimed"), 2, [chunk("x")], Some(unlisted(Phase::Answered))).await.unwrap();
    assert!(listed(&store, everything()).await.is_empty());
    assert!(store.head(&key("claimed")).await.unwrap().is_some());
}

pub async fn a_list_moves_with_the_status(store: Store) {
    put(&store, "a", head(TaskState::Working, 1)).await;
    put(&store, "b", head(TaskState::Working, 2)).await;
    append(&store, key("a"), 1, [chunk("x")], Some(head(TaskState::Completed, 3))).await.unwrap();
    assert_eq!(listed(&store, everything()).await, ["a", "b"]);
    let working = ListQuery { state: Some(TaskState::Working), ..everything() };
    assert_eq!(listed(&store, working).await, ["b"]);
}

pub async fn what_is_taken_back_is_not_found(store: Store) {
    let claimed = Head { phase: Phase::Claimed, ..head(TaskState::Submitted, 3) };
    put(&store, "t", head(TaskState::Working, 1)).await;
    for (after, head, found) in [
        (1, claimed.clone(), false),
        (2, head(TaskState::Working, 2), true),
        (3, Head { phase: Phase::Answered, ..claimed }, false),
    ] {
        append(&store, key("t"), after, [chunk("x")], Some(head)).await.unwrap();
        assert_eq!(listed(&store, everything()).await.len(), usize::from(found), "{after}");
        let context_id = Some("c".into());
        let of_context = ListQuery { context_id, ..everything() };
        assert_eq!(listed(&store, of_context).await.len(), usize::from(found), "{after}");
        assert_eq!(store.running(None, 9).await.unwrap().len(), usize::from(found), "{after}");
        assert_eq!(slots(&store, "t", 0).await.len(), after as usize + 1);
    }
}

pub async fn times_before_1970_are_times(store: Store) {
    let times = [0, -1, 1, -1_000, 1_000, -62_135_596_800_000, 253_402_300_799_999, -1, -1_000];
    let mut expected = Vec::new();
    for (number, at) in times.into_iter().enumerate() {
        let id = format!("{number}");
        put(&store, &id, head(TaskState::Working, at)).await;
        expected.push((std::cmp::Reverse(at), id));
    }
    expected.sort();
    let expected: Vec<_> = expected.into_iter().map(|(at, id)| (at.0, id)).collect();
    for since in times {
        let query = ListQuery { since: Some(Timestamp::from_millis(since)), ..everything() };
        let rest = expected.iter().filter(|(at, _)| *at >= since).map(|(_, id)| id.clone());
        assert_eq!(listed(&store, query).await, rest.collect::<Vec<_>>(), "{since}");
    }
    let (paged, _) = paged(&store, ListQuery { limit: 2, ..everything() }).await;
    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
    assert_eq!(paged.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(), expected);
}

/// All rows of a list, and the total, which every page must tell.
async fn paged(store: &Store, mut query: ListQuery) -> (Vec<(Arc<str>, Head)>, u64) {
    let (mut rows, mut total) = (Vec::new(), None);
    loop {
        let page = store.list(&query).await.unwrap();
        assert_eq!(*total.get_or_insert(page.total), page.total, "{query:?}");
        assert!(page.rows.len() <= query.limit as usize, "{query:?}");
        rows.extend(page.rows);
        query.after = page.next;
        if query.after.is_none() {
            return (rows, total.unwrap_or_default());
        }
    }
}

pub async fn what_is_running_is_found_page_by_page(store: Store) {
    let mut expected = BTreeSet::new();
    for number in 0..20 {
        let (tenant, owner) = (format!("t{}", number % 3), format!("o{}", number % 4));
        let key = TaskKey { tenant: tenant.into(), id: format!("{number}\0/é#").into() };
        let mut first = head(TaskState::Working, number);
        first.owner = owner.into();
        if number % 5 == 0 {
            first.phase = Phase::Claimed;
        }
        append(&store, key.clone(), 0, [submitted("x")], Some(first.clone())).await.unwrap();
        append(&store, key.clone(), 1, [chunk("x")], None).await.unwrap();
        let last = match number % 5 {
            1 => Some(head(TaskState::Completed, 30)),
            2 => Some(head(TaskState::InputRequired, 30)),
            _ => None,
        };
        if let Some(last) = last {
            let last = Head { owner: first.owner, ..last };
            append(&store, key, 2, [chunk("x")], Some(last)).await.unwrap();
        } else if first.phase == Phase::Running {
            expected.insert(key);
        }
    }
    for limit in [1, 2, 7, 8, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.running(after.as_ref(), limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            after = page.last().cloned();
            found.extend(page);
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found.len(), expected.len(), "each once");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "{limit}");
    }
    // One that waited runs again.
    let key = TaskKey { tenant: "t2".into(), id: "2\0/é#".into() };
    append(&store, key.clone(), 3, [chunk("x")], Some(head(TaskState::Working, 31))).await.unwrap();
    assert!(store.running(None, 100).await.unwrap().contains(&key));
}

pub async fn tenants_and_owners_are_apart(store: Store) {
    let places = [("", ""), ("", "o"), ("t", ""), ("t", "o"), ("to", "")];
    for (tenant, owner) in places {
        let key = TaskKey { tenant: tenant.into(), id: format!("{tenant}/{owner}").into() };
        let head = Head { owner: owner.into(), ..head(TaskState::Working, 1) };
        append(&store, key, 0, [submitted("x")], Some(head)).await.unwrap();
        // The same id in every tenant.
        let key = TaskKey { tenant: tenant.into(), id: "same".into() };
        let other = Head { owner: "other".into(), ..self::head(TaskState::Working, 1) };
        let _ = append(&store, key, 0, [submitted(tenant)], Some(other)).await;
    }
    for (tenant, owner) in places {
        for context_id in [None, Some("c".into())] {
            let query = ListQuery {
                tenant: tenant.into(),
                owner: owner.into(),
                context_id,
                ..everything()
            };
            assert_eq!(listed(&store, query).await, [format!("{tenant}/{owner}")]);
        }
        let key = TaskKey { tenant: tenant.into(), id: "same".into() };
        let journal = store.read(&key, 0).await.unwrap().unwrap();
        assert_eq!(*journal.slots[0].entries, [submitted(tenant)]);
    }
}

pub async fn pages_are_whole_and_never_overlap(store: Store) {
    for number in 0..23 {
        // Many ties.
        let state = if number % 3 == 0 { TaskState::Failed } else { TaskState::Working };
        put(&store, &format!("{number:02}"), head(state, number / 5)).await;
    }
    for state in [None, Some(TaskState::Failed), Some(TaskState::Canceled)] {
        let whole = listed(&store, ListQuery { state, ..everything() }).await;
        for limit in [1, 2, 3, 7, 22, 23, 24] {
            let mut query = ListQuery { state, limit, ..everything() };
            let mut paged = Vec::new();
            loop {
                let page = store.list(&query).await.unwrap();
                assert_eq!(page.total, whole.len() as u64, "over all pages");
                paged.extend(ids(&page).into_iter().map(str::to_owned));
                let full = page.rows.len() == limit as usize;
                assert!(full || page.next.is_none(), "only the last page is short");
                let Some(next) = page.next else { break };
                let (id, head) = page.rows.last().unwrap();
                let at = head.status.timestamp.unwrap();
                assert_eq!(next, ListPosition { at, id: Arc::clone(id) });
                query.after = Some(next);
            }
            assert_eq!(paged, whole, "{limit}");
        }
    }
    // A place in a list is one although its task has moved away.
    let after = Some(ListPosition { at: Timestamp::from_millis(2), id: "12x".into() });
    let page = store.list(&ListQuery { after, ..everything() }).await.unwrap();
    assert_eq!(ids(&page)[..3], ["13", "14", "05"]);
}

pub async fn three_hundred_tasks_are_listed_page_by_page(store: Store) {
    tasks_of_one_context_are_listed(store, 300).await;
}

/// Not among the cases with many thousands: an engine in an interpreter takes minutes for them.
pub async fn tasks_of_one_context_are_listed(store: Store, many: i64) {
    let store = &store;
    let put = |number: i64| async move {
        put(store, &format!("{number:04}"), head(TaskState::Working, number / 7)).await;
    };
    futures_util::stream::iter(0..many).for_each_concurrent(32, put).await;
    let query = ListQuery { context_id: Some("c".into()), ..everything() };
    let (rows, total) = paged(store, query).await;
    let mut expected: Vec<i64> = (0..many).collect();
    expected.sort_by_key(|number| (-number / 7, *number));
    let expected: Vec<String> = expected.iter().map(|number| format!("{number:04}")).collect();
    assert_eq!(rows.iter().map(|(id, _)| &**id).collect::<Vec<_>>(), expected);
    assert_eq!(i64::try_from(total), Ok(many));
}

pub async fn a_tail_is_what_was_and_what_comes(store: Store) {
    put(&store, "t", head(TaskState::Working, 1)).await;
    append(&store, key("t"), 1, [chunk("2"), chunk("3")], None).await.unwrap();
    for after in 0..=2 {
        let mut tail = Arc::clone(&store).tail(key("t"), after);
        for version in after + 1..=2 {
            assert_eq!(soon(tail.next()).await.unwrap().unwrap().version, version);
        }
        let quiet = tokio::time::timeout(Duration::from_millis(300), tail.next());
        assert!(quiet.await.is_err(), "there is no more yet");
    }
    let mut tail = Arc::clone(&store).tail(key("t"), 2);
    let reader = tokio::spawn(async move { (tail.next().await.unwrap().unwrap(), tail) });
    tokio::time::sleep(Duration::from_millis(50)).await;
    append(&store, key("t"), 2, [chunk("4")], Some(head(TaskState::Completed, 2))).await.unwrap();
    let (slot, _tail) = soon(reader).await.unwrap();
    assert_eq!(slot, Slot { version: 3, entries: [chunk("4")].into() });
}

pub async fn a_stalled_tail_delays_nobody(store: Store) {
    put(&store, "t", head(TaskState::Working, 1)).await;
    let mut stalled = Arc::clone(&store).tail(key("t"), 0);
    soon(stalled.next()).await.unwrap().unwrap();
    let mut reading = Arc::clone(&store).tail(key("t"), 1);
    for after in 1..=1_000 {
        append(&store, key("t"), after, [chunk("x")], None).await.unwrap();
    }
    for version in 2..=1_001 {
        assert_eq!(soon(reading.next()).await.unwrap().unwrap().version, version);
    }
    // It misses nothing.
    for version in 2..=1_001 {
        assert_eq!(soon(stalled.next()).await.unwrap().unwrap().version, version);
    }
}

pub async fn tails_of_one_journal_are_the_same(store: Store) {
    put(&store, "t", head(TaskState::Working, 1)).await;
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let tail = Arc::clone(&store).tail(key("t"), 0);
            tokio::spawn(tail.take(101).map(Result::unwrap).collect::<Vec<Slot>>())
        })
        .collect();
    for after in 1..=100 {
        append(&store, key("t"), after, [chunk(&after.to_string())], None).await.unwrap();
        tokio::task::yield_now().await;
    }
    let all = slots(&store, "t", 0).await;
    for reader in readers {
        assert_eq!(soon(reader).await.unwrap(), all);
    }
}

pub async fn tails_of_many_journals_are_their_own(store: Store) {
    let entry = |journal: u64, number: u64| chunk(&format!("{journal}.{number}"));
    let mut readers = Vec::new();
    for journal in 0..40 {
        let id = journal.to_string();
        put(&store, &id, head(TaskState::Working, 1)).await;
        for _ in 0..3 {
            let tail = Arc::clone(&store).tail(key(&id), 1);
            let read = tokio::spawn(tail.take(5).map(Result::unwrap).collect::<Vec<Slot>>());
            readers.push((journal, read));
        }
    }
    for number in 1..=5 {
        for journal in 0..40 {
            let id = key(&journal.to_string());
            append(&store, id, number, [entry(journal, number)], None).await.unwrap();
        }
    }
    for (journal, read) in readers {
        let slots = soon(read).await.unwrap();
        for (number, slot) in (1..).zip(&slots) {
            assert_eq!(
                *slot,
                Slot { version: number + 1, entries: [entry(journal, number)].into() }
            );
        }
    }
}

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
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.running(after.as_ref(), 50).await.unwrap();
            after = page.last().cloned();
            found.extend(page);
            if after.is_none() {
                found.sort();
                return found;
            }
        }
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
