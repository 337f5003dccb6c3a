//! Journals as they grow. Must never know: lists.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;

use super::fixtures::*;
use crate::{task::Slot, types::TaskState};

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
