//! A journal: what is appended is read, by whoever was first. Must never know: lists.

use std::{collections::BTreeSet, sync::Arc};

use super::fixtures::*;
use crate::{
    store::AppendError,
    task::{Entry, TaskKey},
    types::{Message, Part, TaskState},
};

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
