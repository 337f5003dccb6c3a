//! What the DynamoDB store's requests cost, in the service's units.

use a2a_core::store::conformance::{append, chunk, head, key, submitted};
use a2a_core::store::{self, ListQuery};
use a2a_core::task::{Entry, Head, Phase};
use a2a_core::{Env, TaskState, TaskStatus, TaskStatusUpdateEvent};

use super::*;
use crate::text::text;

async fn counted(case: &str) -> (Store, Capacity) {
    let engine =
        std::env::var("A2A_TEST_DYNAMODB").expect("run `cargo xtask test`, which starts it");
    // With an expiry: it is billed, too.
    let url = format!(
        "dynamodb://{case}-{}?endpoint={engine}&region=eu-central-1&ttl=3000000000",
        Env::system().id()
    );
    store::prepare(&url).await.unwrap();
    Capacity::open(&url).await.unwrap()
}

fn taken(capacity: &Capacity) -> Cost {
    sum(&capacity.take(), |_| true)
}

/// English text of that length, another at each place.
fn prose(from: usize, length: usize) -> String {
    let text = include_str!("../../../../../README.md");
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
    let (store, capacity) = counted("send").await;
    let done = || Head { owner: "caller".into(), ..head(TaskState::Completed, 1_800_000_000_000) };
    let entries = vec![submitted(&prose(0, 300)), chunk(&prose(300, 1_024)), completed()];
    append(&store, key(ID), 0, entries.clone(), Some(done())).await.unwrap();
    let all_at_once = taken(&capacity);
    assert_eq!(all_at_once.requests, 1);
    assert!(all_at_once.units > 0.0 && all_at_once.units <= 5.0, "{all_at_once:?}");
    // With a key: claimed first, then the rest.
    let claim = Head { phase: Phase::Claimed, ..head(TaskState::Submitted, 1_800_000_000_000) };
    append(&store, key("keyed"), 0, entries[..1].to_vec(), Some(claim)).await.unwrap();
    append(&store, key("keyed"), 1, entries[1..].to_vec(), Some(done())).await.unwrap();
    let keyed = taken(&capacity);
    assert_eq!(keyed.requests, 2);
    assert!(keyed.units > 0.0 && keyed.units <= 8.0, "{keyed:?}");
}

#[tokio::test]
async fn a_stream_takes_little_more_than_a_unit_per_kilobyte() {
    let (store, capacity) = counted("stream").await;
    let state = |state| Head { owner: "caller".into(), ..head(state, 1_800_000_000_000) };
    let first = vec![submitted(&prose(0, 300))];
    append(&store, key(ID), 0, first, Some(state(TaskState::Working))).await.unwrap();
    for after in 1..=400 {
        let text = prose(after as usize * 700, 1_024);
        append(&store, key(ID), after, [chunk(&text)], None).await.unwrap();
    }
    append(&store, key(ID), 401, [completed()], Some(state(TaskState::Completed))).await.unwrap();
    let cost = taken(&capacity);
    assert_eq!(cost.requests, 402);
    assert!(cost.units / 400.0 <= 1.15, "{} units per KB", cost.units / 400.0);
    store.read(&key(ID), 0).await.unwrap().unwrap();
    let read = taken(&capacity);
    assert_eq!(read.requests, 1);
    assert!(read.units > 0.0 && read.units <= 101.0, "four kilobytes per unit: {read:?}");
}

#[tokio::test]
async fn a_stream_that_comes_at_once_costs_no_more_and_few_requests() {
    let (store, capacity) = counted("burst").await;
    let state = |state| Some(Head { owner: "caller".into(), ..head(state, 1_800_000_000_000) });
    let slots = [(100, state(TaskState::Working)), (200, None), (100, state(TaskState::Completed))];
    for (after, (chunks, head)) in (0..).zip(slots) {
        let chunk = |number| chunk(&prose((after * 200 + number) as usize * 700, 1_024));
        let entries = (0..chunks).map(chunk).chain([completed()]);
        append(&store, key(ID), after, entries.collect::<Vec<_>>(), head).await.unwrap();
    }
    let cost = taken(&capacity);
    assert!(cost.requests <= 10, "{cost:?}");
    assert!(cost.units / 400.0 <= 1.15, "{} units per KB", cost.units / 400.0);
    assert_eq!(store.read(&key(ID), 0).await.unwrap().unwrap().slots.len(), 3);
}

#[tokio::test]
async fn a_page_costs_the_same_among_many() {
    let (store, capacity) = counted("page").await;
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
            capacity.take();
            let page = store.list(&query()).await.unwrap();
            assert_eq!((page.rows.len(), page.total), (10, number.unsigned_abs() + 1));
            let mut cost = capacity.take();
            cost.remove("Query (count)").unwrap();
            costs.push(cost);
            // The count is not made again for the next page.
            let next = store.list(&ListQuery { after: page.next, ..query() }).await.unwrap();
            assert_eq!(next.total, page.total);
            assert!(!capacity.take().contains_key("Query (count)"));
        }
    }
    let cost = |requests, units| Cost { requests, units };
    let expected = [("BatchGetItem", cost(1, 10.0)), ("Query", cost(1, 0.5))];
    let expected = expected.map(|(operation, cost)| (operation.to_owned(), cost));
    assert_eq!(costs, vec![BTreeMap::from(expected); 2]);
}

/// The service's published arithmetic, over the items that are really sent.
#[tokio::test]
async fn an_engine_agrees_with_the_arithmetic() {
    let (store, capacity) = counted("reported").await;
    let steps = [TaskState::Working, TaskState::InputRequired, TaskState::Working];
    append(&store, key("t"), 0, [submitted("x")], Some(head(TaskState::Working, 1))).await.unwrap();
    for (after, state) in (1..).zip(steps) {
        let entry = [chunk(&text(1, 3_000))];
        append(&store, key("t"), after, entry, Some(head(state, 2))).await.unwrap();
    }
    append(&store, key("t"), 4, [chunk("x")], None).await.unwrap();
    store.read(&key("t"), 0).await.unwrap().unwrap();
    store.head(&key("t")).await.unwrap().unwrap();
    let told = capacity.take();
    let told: Vec<_> =
        told.iter().map(|(name, cost)| (&**name, cost.requests, cost.units)).collect();
    let expected = [
        ("GetItem", 1, 1.0),
        // The first slot with four rows of indexes, the second's text of 3 KB, and the fifth slot.
        ("PutItem", 3, 9.0),
        ("Query", 1, 2.0),
        // Each 3 KB and 1 KB, twice; two rows that change, one that moves, one that comes or goes.
        ("TransactWriteItems", 2, 26.0),
        // 1 KB, and three rows that move.
        ("UpdateItem", 1, 7.0),
    ];
    assert_eq!(told, expected);
}
