//! What the DynamoDB store's requests cost, in the service's units: they do not depend on the machine.

use std::sync::Arc;

use a2a_core::{
    TaskState, TaskStatus, TaskStatusUpdateEvent, TaskStore,
    store::{
        DynamoDbStore, ListQuery,
        conformance::{append, chunk, head, key, submitted},
        units::Units,
    },
    task::{Entry, Head, Phase},
};

use crate::dynamodb::Table;

async fn counted(case: &str) -> (Arc<dyn TaskStore>, Units) {
    let table = Table::made("A2A_TEST_DYNAMODB", case).await;
    // With an expiry: it is billed, too.
    let (store, units) = DynamoDbStore::counted(&table.url("&ttl=3000000000")).await.unwrap();
    (Arc::new(store), units)
}

/// English text of that length, another at each place.
fn prose(from: usize, length: usize) -> String {
    let text = include_str!("../../../README.md");
    let text: String =
        text.chars().filter(char::is_ascii).cycle().skip(from).take(length).collect();
    text
}

fn completed() -> Entry {
    let head = head(TaskState::Completed, 1_800_000_000_000);
    let status = TaskStatus { ..head.status };
    Entry::Status(Arc::new(TaskStatusUpdateEvent { status, ..TaskStatusUpdateEvent::default() }))
}

/// A task's id as a server makes it.
const ID: &str = "6a1c1e54-6b5a-4b8e-9a7e-3f1d0f1c2b3a";

#[tokio::test]
async fn a_blocking_send_takes_two_writes_and_eight_units_at_most() {
    let (store, units) = counted("send").await;
    let done = || Head { owner: "caller".into(), ..head(TaskState::Completed, 1_800_000_000_000) };
    let entries = vec![submitted(&prose(0, 300)), chunk(&prose(300, 1_024)), completed()];
    append(&store, key(ID), 0, entries.clone(), Some(done())).await.unwrap();
    let all_at_once = units.take_sum();
    assert_eq!(all_at_once.requests, 1);
    assert!(all_at_once.writes <= 5.0, "{all_at_once:?}");
    // With a key: claimed first, then the rest.
    let claim = Head { phase: Phase::Claimed, ..head(TaskState::Submitted, 1_800_000_000_000) };
    append(&store, key("keyed"), 0, entries[..1].to_vec(), Some(claim)).await.unwrap();
    append(&store, key("keyed"), 1, entries[1..].to_vec(), Some(done())).await.unwrap();
    let keyed = units.take_sum();
    assert_eq!(keyed.requests, 2);
    assert!(keyed.writes <= 8.0, "{keyed:?}");
    println!("at once {all_at_once:?}\nkeyed {keyed:?}");
}

#[tokio::test]
async fn a_stream_takes_little_more_than_a_unit_per_kilobyte() {
    let (store, units) = counted("stream").await;
    let state = |state| Head { owner: "caller".into(), ..head(state, 1_800_000_000_000) };
    let first = vec![submitted(&prose(0, 300))];
    append(&store, key(ID), 0, first, Some(state(TaskState::Working))).await.unwrap();
    for after in 1..=400 {
        let text = prose(after as usize * 700, 1_024);
        append(&store, key(ID), after, [chunk(&text)], None).await.unwrap();
    }
    append(&store, key(ID), 401, [completed()], Some(state(TaskState::Completed))).await.unwrap();
    let cost = units.take_sum();
    println!("stream {cost:?}");
    assert_eq!(cost.requests, 402);
    assert!(cost.writes / 400.0 <= 1.15, "{} units per KB", cost.writes / 400.0);
    store.read(&key(ID), 0).await.unwrap().unwrap();
    println!("read {:?}", units.take_sum());
}

#[tokio::test]
async fn a_stream_that_comes_at_once_costs_no_more_and_few_requests() {
    let (store, units) = counted("burst").await;
    let state = |state| Some(Head { owner: "caller".into(), ..head(state, 1_800_000_000_000) });
    let slots = [(100, state(TaskState::Working)), (200, None), (100, state(TaskState::Completed))];
    for (after, (chunks, head)) in (0..).zip(slots) {
        let chunk = |number| chunk(&prose((after * 200 + number) as usize * 700, 1_024));
        let entries = (0..chunks).map(chunk).chain([completed()]);
        append(&store, key(ID), after, entries.collect::<Vec<_>>(), head).await.unwrap();
    }
    let cost = units.take_sum();
    println!("burst {cost:?}");
    assert!(cost.requests <= 10, "{cost:?}");
    assert!(cost.writes / 400.0 <= 1.15, "{} units per KB", cost.writes / 400.0);
    assert_eq!(store.read(&key(ID), 0).await.unwrap().unwrap().slots.len(), 3);
}

#[tokio::test]
async fn a_page_costs_the_same_among_many() {
    let (store, units) = counted("page").await;
    let query = || ListQuery {
        tenant: "".into(),
        owner: "caller".into(),
        context_id: None,
        state: None,
        since: None,
        after: None,
        limit: 10,
    };
    let mut costs = Vec::new();
    for number in 0..200 {
        let at = 1_800_000_000_000 + number;
        let done = Head { owner: "caller".into(), ..head(TaskState::Completed, at) };
        append(&store, key(&format!("{ID}{number}")), 0, [submitted("x")], Some(done))
            .await
            .unwrap();
        if number == 20 || number == 199 {
            units.take();
            let page = store.list(&query()).await.unwrap();
            assert_eq!((page.rows.len(), page.total), (10, number.unsigned_abs() + 1));
            let mut cost = units.take();
            cost.remove("Query (count)").unwrap();
            costs.push(cost);
            // The count is not made again for the next page.
            let next = store.list(&ListQuery { after: page.next, ..query() }).await.unwrap();
            assert_eq!(next.total, page.total);
            assert!(!units.take().contains_key("Query (count)"));
        }
    }
    println!("page {:?}", costs[0]);
    assert_eq!(costs[0], costs[1]);
}

/// An engine that says what it takes says the same.
#[tokio::test]
async fn an_engine_agrees_with_the_arithmetic() {
    let (store, units) = counted("reported").await;
    let steps = [TaskState::Working, TaskState::InputRequired, TaskState::Working];
    append(&store, key("t"), 0, [submitted("x")], Some(head(TaskState::Working, 1))).await.unwrap();
    for (after, state) in (1..).zip(steps) {
        let entry = [chunk(&prose(0, 3_000))];
        append(&store, key("t"), after, entry, Some(head(state, 2))).await.unwrap();
    }
    append(&store, key("t"), 4, [chunk("x")], None).await.unwrap();
    store.read(&key("t"), 0).await.unwrap().unwrap();
    store.head(&key("t")).await.unwrap().unwrap();
    let costs = units.take();
    assert_eq!(costs.len(), 5, "each kind of request: {:?}", costs.keys());
    for (operation, cost) in costs {
        assert!((cost.writes + cost.reads - cost.reported).abs() < 0.01, "{operation}: {cost:?}");
    }
}
