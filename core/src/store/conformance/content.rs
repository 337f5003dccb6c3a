//! What a journal may hold and be called: odd, long and large. Must never know: races.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::StreamExt;

use super::fixtures::*;
use crate::{
    store::{ListQuery, ReadLimit},
    task::{Cursor, Entry, Fold, Head, Step, TaskKey, Unknown},
    types::{Json, Message, Part, TaskState, TaskStatus, TaskStatusUpdateEvent, Timestamp},
};

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
    let running = running(store, 7, &[]).await;
    let running: BTreeSet<_> = running.iter().map(|running| running.key.id.to_string()).collect();
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

/// Wherever it stands in the journal, the head does without it and says where it is.
pub async fn a_status_message_of_1_mb_is_kept(store: Store) {
    let owner: Arc<str> = "".into();
    for version in 1..=5 {
        let id = format!("t{version}");
        let mut fold = Fold::new(id.as_str().into());
        for slot in 1..=version {
            let mut event = TaskStatusUpdateEvent::default();
            event.status.state = TaskState::Working;
            if slot == version {
                let said = Message::user("m", vec![Part::text(noise(1 << 20))]);
                event.status = TaskStatus {
                    state: TaskState::Completed,
                    message: Some(Arc::new(said)),
                    timestamp: Some(Timestamp::from_millis(version as i64)),
                };
            }
            let entries = [submitted("x"), Entry::Status(Arc::new(event))];
            let head = fold.head_after(&owner, &entries);
            append(&store, key(&id), slot - 1, entries.clone(), Some(head)).await.unwrap();
            for (index, entry) in (0..).zip(&entries) {
                fold.apply(Cursor { version: slot, index }, entry);
            }
        }
        let head = store.head(&key(&id)).await.unwrap().unwrap();
        assert_eq!((head.status.state, head.message_at), (TaskState::Completed, Some(version)));
        assert!(head.status.message.is_none(), "it would be written again with every change");
        let page = store.list(&ListQuery { limit: 1, ..everything() }).await.unwrap();
        assert!(page.rows.iter().all(|(_, listed)| *listed == head) && page.total == version);
        let said = store.read_page(&key(&id), version - 1, ReadLimit::SLOT).await.unwrap().unwrap();
        let said = said.slots[0].entries.last().and_then(Entry::status_message).cloned();
        assert!(said == fold.task.status.message, "{version}");
    }
}
