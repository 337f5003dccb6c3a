//! A journal: what is appended is read, by whoever was first. Must never know: lists.

use std::{collections::BTreeSet, sync::Arc};

use super::fixtures::*;
use crate::{
    store::{AppendError, ReadLimit},
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

pub async fn a_journal_is_read_page_by_page(store: Store) {
    put(&store, "small", head(TaskState::Working, 1)).await;
    put(&store, "large", head(TaskState::Working, 1)).await;
    for after in 1..40 {
        append(&store, key("small"), after, [chunk("x")], None).await.unwrap();
    }
    for after in 1..7 {
        let length = if after == 4 { 3_000_000 } else { 900_000 };
        append(&store, key("large"), after, [chunk(&noise(length))], None).await.unwrap();
    }
    let small = ReadLimit { slots: 7, bytes: usize::MAX };
    let unlimited = ReadLimit { slots: 100, bytes: usize::MAX };
    for (id, limit, most) in [
        ("small", ReadLimit::SLOT, 3),
        ("small", small, 9),
        ("small", ReadLimit::POLL, 40),
        ("large", ReadLimit::SLOT, 3),
        ("large", ReadLimit::PAGE, 3),
        ("large", ReadLimit::POLL, 3),
    ] {
        let mut read = Vec::new();
        loop {
            let page = store.read_page(&key(id), read.len() as u64, limit).await.unwrap().unwrap();
            assert_eq!(page.head, head(TaskState::Working, 1));
            // A store may hold the first few together.
            assert!(page.slots.len() <= most, "{id}, {limit:?}: {}", page.slots.len());
            assert!(!page.slots.is_empty() || !page.more, "{id}, {limit:?}");
            read.extend(page.slots);
            if !page.more {
                break;
            }
        }
        assert!(read == slots(&store, id, 0).await, "{id}, {limit:?}");
    }
    let all = store.read_page(&key("small"), 0, unlimited).await.unwrap().unwrap();
    assert_eq!((all.slots.len(), all.more), (40, false));
    for beyond in [40, 41, u64::MAX] {
        let nothing =
            store.read_page(&key("small"), beyond, ReadLimit::SLOT).await.unwrap().unwrap();
        assert!(nothing.slots.is_empty() && !nothing.more, "{beyond}");
    }
    assert!(store.read_page(&key("none"), 0, ReadLimit::SLOT).await.unwrap().is_none());
}

pub async fn what_is_polled_is_what_was_appended(store: Store) {
    assert!(store.poll(&key("t"), 0).await.unwrap().is_empty());
    put(&store, "t", head(TaskState::Working, 1)).await;
    for after in 1..400 {
        append(&store, key("t"), after, [chunk(&after.to_string())], None).await.unwrap();
    }
    let mut polled = Vec::new();
    soon(async {
        while polled.len() < 400 {
            // It may be late, but it tells nothing twice and leaves nothing out.
            polled.extend(store.poll(&key("t"), polled.len() as u64).await.unwrap());
        }
    })
    .await;
    assert_eq!(polled, slots(&store, "t", 0).await);
    assert!(store.poll(&key("t"), 400).await.unwrap().is_empty());
}

pub async fn the_newest_version_is_told_with_the_head(store: Store) {
    let large = noise(900_000);
    put(&store, "t", head(TaskState::Working, 1)).await;
    let mut last = head(TaskState::Working, 1);
    for (after, text, head) in [
        (1, "x", None),
        (2, "x", Some(head(TaskState::Submitted, 3))),
        (3, "x", None),
        (4, &*large, None),
        (5, &*large, Some(head(TaskState::Working, 5))),
        (6, "x", None),
        (7, &*large, Some(head(TaskState::Failed, 9))),
    ] {
        append(&store, key("t"), after, [chunk(text)], head.clone()).await.unwrap();
        last = head.unwrap_or(last);
        let told = soon(async {
            loop {
                let (head, version) = store.newest(&key("t")).await.unwrap().unwrap();
                // It may be late.
                if version > after {
                    return (head, version);
                }
            }
        });
        assert_eq!(told.await, (last.clone(), after + 1));
    }
}

pub async fn unknown_journals_are_none(store: Store) {
    put(&store, "t", head(TaskState::Working, 1)).await;
    for key in [key("u"), key(""), key("T"), TaskKey { tenant: "t".into(), id: "t".into() }] {
        assert!(store.read(&key, 0).await.unwrap().is_none(), "{key:?}");
        assert!(store.head(&key).await.unwrap().is_none(), "{key:?}");
        assert!(store.newest(&key).await.unwrap().is_none(), "{key:?}");
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
