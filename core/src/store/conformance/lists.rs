//! Lists of tasks and of what is running. Must never know: what a journal holds beside its head.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::StreamExt;

use super::fixtures::*;
use crate::{
    store::{ListPosition, ListQuery},
    task::{Head, Phase, TaskKey},
    types::{TaskState, Timestamp},
};

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
        assert_eq!(running_keys(&store).await.len(), usize::from(found), "{after}");
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
        let found = running(&store, limit, &[]).await;
        assert_eq!(found.len(), expected.len(), "each once");
        let found: BTreeSet<_> = found.into_iter().map(|running| running.key).collect();
        assert_eq!(found, expected, "{limit}");
    }
    // One that waited runs again.
    let key = TaskKey { tenant: "t2".into(), id: "2\0/é#".into() };
    append(&store, key.clone(), 3, [chunk("x")], Some(head(TaskState::Working, 31))).await.unwrap();
    assert!(running_keys(&store).await.contains(&key));
}

pub async fn what_is_running_is_told_with_its_host(store: Store) {
    let long = "h".repeat(2_000);
    let names = ["", "a", "aa", "b", "1:a", "é#", &long];
    let hosts = names.map(|name| Some(Arc::from(name)).filter(|_| !name.is_empty()));
    let of = |host: &Option<Arc<str>>| Head { host: host.clone(), ..head(TaskState::Working, 1) };
    let mut expected = BTreeMap::new();
    for number in 0..70 {
        let host = &hosts[number % names.len()];
        put(&store, &format!("{number}"), of(host)).await;
        expected.insert(key(&format!("{number}")), host.clone());
    }
    // It goes to another host, to none, and is over.
    for (number, next) in
        [("0", of(&hosts[1])), ("1", of(&None)), ("2", head(TaskState::Failed, 2))]
    {
        append(&store, key(number), 1, [chunk("x")], Some(next.clone())).await.unwrap();
        expected.insert(key(number), next.host);
    }
    expected.remove(&key("2"));
    for limit in [1, 3, 10, 100] {
        for except in [&[][..], &[1], &[1, 2, 4], &[5, 3, 6]] {
            let except: Vec<_> =
                except.iter().filter_map(|at: &usize| hosts[*at].clone()).collect();
            let found = running(&store, limit, &except).await;
            for one in &found {
                let host = &expected[&one.key];
                assert!(one.host.is_none() || one.host == *host, "{one:?} is of {host:?}");
            }
            let count = found.len();
            let found: BTreeSet<_> = found.into_iter().map(|running| running.key).collect();
            assert_eq!(found.len(), count, "each once");
            // What is not asked for may be there or not.
            let asked = expected
                .iter()
                .filter(|(_, host)| host.as_ref().is_none_or(|host| !except.contains(host)));
            let missing: Vec<_> = asked.filter(|(key, _)| !found.contains(key)).collect();
            assert!(missing.is_empty(), "{limit} {except:?}: {missing:?}");
            assert!(found.iter().all(|key| expected.contains_key(key)), "{found:?}");
        }
    }
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
