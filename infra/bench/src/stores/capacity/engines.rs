//! What the DynamoDB store's requests cost, in the service's units.

use std::time::{Duration, Instant};

use a2a_core::store::conformance::{append, chunk, head, key, submitted};
use a2a_core::store::{self, ListQuery};
use a2a_core::task::{Entry, Head, Phase};
use a2a_core::{
    AgentCard, AgentError, AgentExecutor, Call, Caller, CancelTaskRequest, DefaultRequestHandler,
    Env, EventQueue, Reply, RequestContext, SendMessageConfiguration, SendMessageResponse,
    TaskState, TaskStatus, TaskStatusUpdateEvent, async_trait,
};
use futures_util::StreamExt;
use tokio::sync::Notify;

use super::super::agent::ask;
use super::super::sweeps;
use super::*;
use crate::text::text;

/// The URL of a table of this case's own.
async fn made(case: &str) -> String {
    let engine =
        std::env::var("A2A_TEST_DYNAMODB").expect("run `cargo xtask test`, which starts it");
    // With an expiry: it is billed, too.
    let url = format!(
        "dynamodb://{case}-{}?endpoint={engine}&region=eu-central-1&ttl=3000000000",
        Env::system().id()
    );
    store::prepare(&url).await.unwrap();
    url
}

async fn counted(case: &str) -> (Store, Capacity) {
    Capacity::open(&made(case).await).await.unwrap()
}

/// With another instance, which is not counted.
async fn counted_beside_another(case: &str) -> (Store, Capacity, Store) {
    let url = made(case).await;
    let (store, capacity) = Capacity::open(&url).await.unwrap();
    (store, capacity, store::open(&url).await.unwrap())
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

/// An agent that is silent until it is dropped, and says when that is.
struct Silent(Arc<Notify>);

#[async_trait]
impl AgentExecutor for Silent {
    async fn execute(&self, _: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        struct Dropped(Arc<Notify>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let _dropped = Dropped(Arc::clone(&self.0));
        queue.working(()).await?;
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_run_reads_half_a_unit_a_second_and_sees_its_cancel() {
    let (store, capacity, other) = counted_beside_another("waiting").await;
    let (dropped, card) = (Arc::<Notify>::default(), AgentCard::default());
    let of = |store: &Store| {
        let silent = Arc::new(Silent(Arc::clone(&dropped)));
        DefaultRequestHandler::new(card.clone(), silent, Arc::clone(store))
    };
    let (handler, elsewhere) = (of(&store), of(&other));
    let mut request = ask(1);
    let at_once = SendMessageConfiguration { return_immediately: true, ..Default::default() };
    request.configuration = Some(at_once);
    let sent = handler.call(Caller::default(), Call::SendMessage(request)).await.unwrap();
    let Reply::Sent(SendMessageResponse::Task(task)) = sent else { panic!("{sent:?}") };
    capacity.take();
    let waited = Duration::from_secs(24);
    tokio::time::sleep(waited).await;
    let cost = capacity.take();
    let reads = sum(&cost, |name| matches!(name, "Query" | "GetItem"));
    assert!(reads.requests > 0 && reads.units <= waited.as_secs_f64() * 0.5, "{reads:?}");
    let begun = Instant::now();
    let cancel = CancelTaskRequest { id: task.id.clone(), ..CancelTaskRequest::default() };
    elsewhere.call(Caller::default(), Call::CancelTask(cancel)).await.unwrap();
    dropped.notified().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_follower_reads_half_a_unit_a_second_while_nothing_comes_and_two_while_something_does() {
    let (store, capacity, writer) = counted_beside_another("following").await;
    let working = || Some(Head { owner: "caller".into(), ..head(TaskState::Working, 1) });
    append(&writer, key(ID), 0, [submitted("x")], working()).await.unwrap();
    for after in 1..4 {
        append(&writer, key(ID), after, [chunk("x")], None).await.unwrap();
    }
    // Who follows a task has read it.
    store.read(&key(ID), 0).await.unwrap().unwrap();
    let mut tail = Arc::clone(&store).tail(key(ID), 4);
    capacity.take();
    let silence = Duration::from_secs(20);
    assert!(tokio::time::timeout(silence, tail.next()).await.is_err());
    let silent = taken(&capacity);
    assert!(silent.units > 0.0 && silent.units <= silence.as_secs_f64() * 0.5, "{silent:?}");
    let (begun, mut bytes) = (Instant::now(), 0);
    let follower = tokio::spawn(tail.take(100).collect::<Vec<_>>());
    for after in 4..104 {
        append(&writer, key(ID), after, [chunk(&text(after, 1_000))], None).await.unwrap();
        bytes += 1_000;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(follower.await.unwrap().len(), 100);
    let (busy, seconds) = (taken(&capacity), begun.elapsed().as_secs_f64());
    let allowed = seconds * 2.0 + f64::from(bytes) / 4_096.0 * 0.5;
    assert!(busy.units <= allowed, "{busy:?} in {seconds} s");
}

#[tokio::test]
async fn forty_megabytes_are_read_once() {
    let (store, capacity) = counted("behind").await;
    let working = Some(Head { owner: "caller".into(), ..head(TaskState::Working, 1) });
    append(&store, key(ID), 0, [submitted("x")], working).await.unwrap();
    for after in 1..=160 {
        append(&store, key(ID), after, [chunk(&text(after, 250_000))], None).await.unwrap();
    }
    capacity.take();
    let followed = Arc::clone(&store).tail(key(ID), 1).take(160).collect::<Vec<_>>().await;
    assert!(followed.iter().all(Result::is_ok));
    let cost = taken(&capacity);
    let megabytes = cost.units * 2.0 * 4_096.0 / 1_000_000.0;
    assert!(megabytes < 44.0, "{megabytes} MB in {cost:?}");
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

#[tokio::test]
async fn a_sweeper_pays_for_few_of_the_runs_that_live() {
    for hosts in [1, 2] {
        let minute = sweeps::minute(&made("sweep").await, 600, hosts).await.unwrap();
        assert!(minute.units > 0.0 && minute.units <= 50.0, "{hosts}: {minute:?}");
    }
}
