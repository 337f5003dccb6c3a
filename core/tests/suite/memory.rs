//! The memory store: the contract of all stores, and what is its own, which is to forget. It
//! forgets the oldest finished task first, then the oldest that waits, never one that is being
//! worked on; it counts what it holds; and a reader keeps what it reads.

use std::{collections::BTreeMap, sync::Arc};

use a2a_core::{
    Artifact, MemoryStore, Message, Metadata, Part, TaskArtifactUpdateEvent, TaskState, Timestamp,
    store::{
        AgentStore, AppendError, ListQuery,
        conformance::{self as contract, Store, append, chunk, head, key, running_keys, submitted},
    },
    task::{Entry, Head, Heartbeat, Phase, Submitted, TaskKey},
};
use futures_util::{FutureExt, StreamExt};
use proptest::prelude::*;

use crate::world::soon;

async fn fresh(_: &'static str) -> Store {
    Arc::new(MemoryStore::default())
}

mod keeps_the_contract {
    a2a_core::store_conformance!(super::fresh, #[tokio::test(start_paused = true)]);
}

/// One agent's part of a store that another agent uses too, for the same ids and tenants.
async fn shared(_: &'static str) -> Store {
    let shared = fresh("shared").await;
    let neighbour: Store = Arc::new(AgentStore::new(Arc::clone(&shared), "dat"));
    contract::neighbours(&neighbour).await;
    Arc::new(AgentStore::new(shared, "data"))
}

mod keeps_agents_apart {
    a2a_core::store_conformance!(super::shared, #[tokio::test(start_paused = true)]);
}

#[tokio::test]
async fn no_name_of_an_agent_looks_like_another_and_its_tenant() {
    let shared = fresh("shared").await;
    let of = |agent: &str| -> Store { Arc::new(AgentStore::new(Arc::clone(&shared), agent)) };
    let at = |tenant: &str| TaskKey { tenant: tenant.into(), id: "t".into() };
    let one = Some(head(TaskState::Working, 1));
    append(&of("a/b"), at("c"), 0, [submitted("t")], one.clone()).await.unwrap();
    append(&of("a%"), at("2Fb/c"), 0, [submitted("t")], one).await.unwrap();
    for (agent, tenant) in [("a", "b/c"), ("a%2Fb", "c"), ("a/", "b/c"), ("", "a/b/c")] {
        assert!(of(agent).head(&at(tenant)).await.unwrap().is_none(), "{agent:?} {tenant:?}");
        assert_eq!(running_keys(&of(agent)).await, [], "{agent:?}");
    }
    assert_eq!(running_keys(&of("a/b")).await, [at("c")]);
    assert_eq!(running_keys(&of("a%")).await, [at("2Fb/c")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn races_between_threads_are_decided_too() {
    for _ in 0..20 {
        contract::of_sixteen_racers_one_wins(Arc::<MemoryStore>::default()).await;
    }
    contract::racing_appends_are_all_read_in_order(Arc::<MemoryStore>::default()).await;
    contract::tails_of_one_journal_are_the_same(Arc::<MemoryStore>::default()).await;
}

/// A store whose bound is about this many tasks as [`put`] puts them.
fn small(tasks: usize) -> (Arc<MemoryStore>, Store) {
    let store = Arc::new(MemoryStore::new(tasks * 7_400));
    (Arc::clone(&store), store)
}

/// A journal of one slot, which weighs the same whatever its state: at rest it holds a text that is
/// as large as a run.
async fn put(store: &Store, id: &str, head: Head) {
    append(store, key(id), 0, [even(&head)], Some(head)).await.unwrap();
}

fn even(head: &Head) -> Entry {
    let at_work = matches!(head.phase, Phase::Running | Phase::Claimed);
    submitted(&"x".repeat(if at_work { 0 } else { 5_500 }))
}

async fn kept(store: &Store, ids: &[&str]) -> Vec<String> {
    let mut kept = Vec::new();
    for id in ids {
        if store.head(&key(id)).await.unwrap().is_some() {
            kept.push((*id).to_owned());
        }
    }
    kept
}

#[tokio::test]
async fn the_oldest_finished_task_goes_first() {
    let (memory, store) = small(3);
    // Oldest by when they came to rest, not by what their clocks say.
    for (id, at) in [("a", 9), ("b", 1), ("c", 5), ("d", 7)] {
        put(&store, id, head(TaskState::Completed, at)).await;
    }
    assert_eq!(kept(&store, &["a", "b", "c", "d"]).await, ["b", "c", "d"]);
    assert_eq!(memory.len(), 3);
    let all = ListQuery {
        tenant: "".into(),
        owner: "".into(),
        context_id: None,
        state: None,
        since: None,
        after: None,
        limit: 10,
    };
    let page = store.list(&all).await.unwrap();
    assert_eq!((page.rows.len(), page.total), (3, 3), "what was dropped is not listed");
    assert!(store.read(&key("a"), 0).await.unwrap().is_none());
}

#[tokio::test]
async fn finished_tasks_go_before_waiting_ones_and_running_ones_stay() {
    let (_, store) = small(4);
    let all = ["run", "wait", "done", "reply", "e", "f", "g"];
    put(&store, "run", head(TaskState::Working, 1)).await;
    put(&store, "wait", head(TaskState::InputRequired, 1)).await;
    put(&store, "done", head(TaskState::Completed, 1)).await;
    put(&store, "reply", Head { phase: Phase::Answered, ..head(TaskState::Submitted, 1) }).await;
    put(&store, "e", head(TaskState::Working, 1)).await;
    assert_eq!(kept(&store, &all).await, ["run", "wait", "reply", "e"]);
    put(&store, "f", head(TaskState::Working, 1)).await;
    assert_eq!(kept(&store, &all).await, ["run", "wait", "e", "f"]);
    put(&store, "g", head(TaskState::Working, 1)).await;
    assert_eq!(kept(&store, &all).await, ["run", "e", "f", "g"]);
}

#[tokio::test]
async fn a_task_that_goes_on_is_not_dropped() {
    let (_, store) = small(4);
    for id in ["a", "b"] {
        put(&store, id, head(TaskState::InputRequired, 1)).await;
    }
    append(&store, key("a"), 1, [submitted("go")], Some(head(TaskState::Working, 2)))
        .await
        .unwrap();
    for id in ["c", "d"] {
        put(&store, id, head(TaskState::Working, 1)).await;
    }
    assert_eq!(kept(&store, &["a", "b", "c", "d"]).await, ["a", "c", "d"]);
}

#[tokio::test]
async fn a_started_journal_is_not_evicted() {
    let (_, store) = small(2);
    put(&store, "a", Head { phase: Phase::Claimed, ..head(TaskState::Submitted, 1) }).await;
    for id in ["b", "c"] {
        put(&store, id, head(TaskState::Completed, 1)).await;
    }
    assert_eq!(kept(&store, &["a", "b", "c"]).await, ["a", "c"]);
}

#[tokio::test]
async fn full_of_work_it_refuses_new_tasks_and_serves_the_old() {
    let (memory, store) = small(2);
    for id in ["a", "b"] {
        put(&store, id, head(TaskState::Working, 1)).await;
    }
    let refused = append(&store, key("c"), 0, [submitted("x")], Some(head(TaskState::Working, 1)));
    match refused.await {
        Err(AppendError::Store(error)) => assert!(error.is_retriable(), "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!((memory.len(), kept(&store, &["c"]).await.len()), (2, 0), "nothing was written");
    append(&store, key("a"), 1, [chunk("x")], Some(head(TaskState::Completed, 2))).await.unwrap();
    put(&store, "c", head(TaskState::Working, 1)).await;
    assert_eq!(kept(&store, &["a", "b", "c"]).await, ["b", "c"]);
}

/// Or a reader of a task that has just ended would find nothing.
#[tokio::test]
async fn what_was_just_written_is_there() {
    let (_, store) = small(2);
    put(&store, "a", head(TaskState::Completed, 1)).await;
    append(
        &store,
        key("b"),
        0,
        [submitted(&"x".repeat(10_000))],
        Some(head(TaskState::Completed, 1)),
    )
    .await
    .unwrap();
    assert_eq!(kept(&store, &["a", "b"]).await, ["b"]);
    put(&store, "c", head(TaskState::Completed, 1)).await;
    assert_eq!(kept(&store, &["a", "b", "c"]).await, ["c"]);
}

/// A stream that is open holds its journal: it is not dropped under its reader, nor uncounted.
#[tokio::test(start_paused = true)]
async fn a_reader_keeps_what_it_reads() {
    let (memory, store) = small(3);
    put(&store, "a", head(TaskState::Working, 1)).await;
    let mut tail = Arc::clone(&store).tail(key("a"), 0);
    append(&store, key("a"), 1, [chunk("x")], Some(head(TaskState::Completed, 1))).await.unwrap();
    for id in ["b", "c", "d"] {
        put(&store, id, head(TaskState::Completed, 1)).await;
    }
    assert_eq!(kept(&store, &["a", "b", "c", "d"]).await, ["a", "c", "d"]);
    for version in 1..=2 {
        assert_eq!(soon(tail.next()).await.unwrap().unwrap().version, version);
    }
    let followed = memory.bytes();
    drop(tail);
    assert!(memory.bytes() < followed, "a reader is counted too");
    put(&store, "e", head(TaskState::Completed, 1)).await;
    put(&store, "f", head(TaskState::Completed, 1)).await;
    assert_eq!(kept(&store, &["a", "d", "e", "f"]).await, ["d", "e", "f"], "now it is dropped");
}

/// Whoever fills the store loses their own, finished or waiting, however new.
#[tokio::test]
async fn it_takes_from_the_owner_who_holds_most() {
    let (memory, store) = small(6);
    let of = |owner: &str, state| Head { owner: owner.into(), ..head(state, 1) };
    put(&store, "a1", of("ann", TaskState::Completed)).await;
    put(&store, "a2", of("ann", TaskState::InputRequired)).await;
    put(&store, "b1", of("bob", TaskState::InputRequired)).await;
    for number in 0..40 {
        let state = if number % 2 == 0 { TaskState::Completed } else { TaskState::InputRequired };
        put(&store, &format!("m{number}"), of("mallory", state)).await;
    }
    assert_eq!(kept(&store, &["a1", "a2", "b1"]).await, ["a1", "a2", "b1"]);
    assert_eq!(kept(&store, &["m38", "m39"]).await, ["m39"], "her finished ones go first");
    // Where she has none left that may be dropped, the next one's are.
    let filled = memory.len();
    for number in 0..3 {
        put(&store, &format!("w{number}"), of("mallory", TaskState::Working)).await;
    }
    assert!(memory.len() <= filled);
    assert_eq!(kept(&store, &["w0", "w1", "w2", "a1", "a2", "b1"]).await.len(), 6);
    put(&store, "w3", of("mallory", TaskState::Working)).await;
    assert_eq!(kept(&store, &["w3", "a1", "a2", "b1"]).await, ["w3", "a2", "b1"]);
}

#[tokio::test(start_paused = true)]
async fn there_is_nothing_to_follow_where_there_is_no_journal() {
    let (_, store) = small(2);
    let mut tail = Arc::clone(&store).tail(key("none"), 0);
    assert!(soon(tail.next()).await.unwrap().is_err());
    assert!(soon(tail.next()).await.is_none(), "an error is the last item");
}

#[tokio::test]
async fn its_bytes_are_bounded_and_come_back() {
    let store: Arc<MemoryStore> = Arc::new(MemoryStore::new(1_000_000));
    let shared: Store = Arc::clone(&store) as _;
    for number in 0..2_000 {
        let text = "x".repeat(number % 700 * 10);
        append(
            &shared,
            key(&number.to_string()),
            0,
            [submitted(&text)],
            Some(head(TaskState::Completed, 1)),
        )
        .await
        .unwrap();
        assert!(store.bytes() <= 1_000_000, "{number}");
    }
    assert!(store.bytes() > 900_000, "it is used");
    // A running task that fills the bound drives out what may be dropped. What does not fit then
    // is refused, but that it is alive and that it ends are recorded.
    put(&shared, "all", head(TaskState::Working, 1)).await;
    let large = || [chunk(&"x".repeat(100_000))];
    for after in 1..=9 {
        append(&shared, key("all"), after, large(), None).await.unwrap();
    }
    let refused = append(&shared, key("all"), 10, large(), None).await;
    assert!(matches!(refused, Err(AppendError::TooLarge)), "{refused:?}");
    let beat = Heartbeat { runner: "r".into(), at: Timestamp::from_millis(1) };
    append(&shared, key("all"), 10, [Entry::Heartbeat(beat)], None).await.unwrap();
    let text = [submitted(&"x".repeat(200_000))];
    let refused = append(&shared, key("new"), 0, text, Some(head(TaskState::Working, 1))).await;
    let Err(AppendError::Store(refused)) = refused else { panic!("{refused:?}") };
    assert!(refused.is_retriable(), "{refused}");
    let never = [submitted(&"x".repeat(1_000_000))];
    let refused = append(&shared, key("new"), 0, never, Some(head(TaskState::Working, 1))).await;
    assert!(matches!(refused, Err(AppendError::TooLarge)), "{refused:?}");
    assert!(store.bytes() <= 1_000_000, "{}", store.bytes());
    append(&shared, key("all"), 11, [chunk("x")], Some(head(TaskState::Completed, 1)))
        .await
        .unwrap();
    let text = [submitted(&"x".repeat(300_000))];
    append(&shared, key("last"), 0, text, Some(head(TaskState::Completed, 1))).await.unwrap();
    assert!(store.len() == 1 && store.bytes() < 303_000, "{}", store.bytes());
}

/// What a client or an agent can make large is counted, whatever it is.
#[tokio::test]
async fn everything_large_is_counted() {
    const LARGE: usize = 100_000;
    let text: Arc<str> = "x".repeat(LARGE).into();
    let metadata = || Metadata::new(&serde_json::json!({ "x": &*text })).ok();
    let message = |message: Message| {
        let at = Timestamp::from_millis(1);
        Entry::from(Submitted::new(Arc::new(message), at))
    };
    let user = |parts| Message::user("m", parts);
    let artifact = |artifact| {
        Entry::Artifact(Arc::new(TaskArtifactUpdateEvent { artifact, ..Default::default() }))
    };
    let small = || Artifact::new("a", vec![Part::text("x")]);
    for (what, entry) in [
        ("text", message(user(vec![Part::text(Arc::clone(&text))]))),
        ("raw", message(user(vec![Part::raw(vec![0; LARGE])]))),
        ("url", message(user(vec![Part::url(Arc::clone(&text))]))),
        ("data", message(user(vec![Part::data(&serde_json::json!(&*text))]))),
        ("filename", message(user(vec![Part::text("x").named(Arc::clone(&text))]))),
        ("media type", message(user(vec![Part::text("x").typed(Arc::clone(&text))]))),
        ("part metadata", message(user(vec![Part { metadata: metadata(), ..Part::text("x") }]))),
        ("empty parts", message(user(vec![Part::text(""); LARGE / 100]))),
        ("message id", message(Message::user(Arc::clone(&text), vec![]))),
        ("message metadata", message(Message { metadata: metadata(), ..user(vec![]) })),
        ("extensions", message(Message { extensions: vec![Arc::clone(&text)], ..user(vec![]) })),
        (
            "many extensions",
            message(Message { extensions: vec!["".into(); LARGE / 16], ..user(vec![]) }),
        ),
        (
            "references",
            message(Message { reference_task_ids: vec![Arc::clone(&text)], ..user(vec![]) }),
        ),
        ("artifact id", artifact(Artifact::new(Arc::clone(&text), vec![]))),
        ("artifact name", artifact(small().named(Arc::clone(&text)))),
        ("artifact description", artifact(small().described(Arc::clone(&text)))),
        ("artifact metadata", artifact(Artifact { metadata: metadata(), ..small() })),
        (
            "artifact extensions",
            artifact(Artifact { extensions: vec![Arc::clone(&text)], ..small() }),
        ),
    ] {
        let store: Arc<MemoryStore> = Arc::default();
        let shared: Store = Arc::clone(&store) as _;
        append(&shared, key("t"), 0, [entry], Some(head(TaskState::Working, 1))).await.unwrap();
        assert!(store.bytes() >= LARGE * 9 / 10, "{what}: {}", store.bytes());
    }
}

/// What is kept, by the rules: each task's state, when it got there, and its version.
type Model = BTreeMap<u8, (TaskState, usize, u64)>;

const STATES: [TaskState; 4] =
    [TaskState::Working, TaskState::InputRequired, TaskState::Completed, TaskState::Failed];

/// Takes a store and its model through the same steps: a task, and the state it gets into.
async fn both(memory: &MemoryStore, store: &Store, steps: &[(u8, usize)]) -> Model {
    let mut model = Model::new();
    for (time, (id, state)) in steps.iter().enumerate() {
        let (state, known) = (STATES[*state], model.get(id).copied());
        if known.is_some_and(|(state, ..)| state.is_terminal()) {
            continue;
        }
        let after = known.map_or(0, |(.., version)| version);
        let head = head(state, 1);
        match append(store, key(&id.to_string()), after, [even(&head)], Some(head)).await {
            Ok(()) => drop(model.insert(*id, (state, time, after + 1))),
            Err(_) => {
                let busy = model.values().any(|(state, ..)| *state == TaskState::Working);
                assert!(known.is_none() && busy, "refused without need");
                assert_eq!(memory.len(), model.len(), "dropped for what is refused");
            }
        }
        // How many are dropped is the store's arithmetic; which ones is not.
        while memory.len() < model.len() {
            let order = |(_, (state, time, _)): &(&u8, &(TaskState, usize, u64))| {
                (*state == TaskState::InputRequired, *time)
            };
            let droppable = model
                .iter()
                .filter(|(other, (state, ..))| *state != TaskState::Working && **other != *id);
            let dropped = *droppable.min_by_key(order).expect("one that may be dropped").0;
            model.remove(&dropped);
        }
    }
    model
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn it_forgets_by_the_rules_alone(
        steps in prop::collection::vec((0..12_u8, 0..4_usize), 1..60),
    ) {
        let (memory, store) = small(5);
        let model = both(&memory, &store, &steps).now_or_never().expect("it never waits");
        for id in 0..12_u8 {
            let head = store.head(&key(&id.to_string())).now_or_never().unwrap().unwrap();
            let found = head.map(|head| head.status.state);
            prop_assert_eq!(found, model.get(&id).map(|(state, ..)| *state), "task {}", id);
        }
    }
}

#[tokio::test]
async fn many_random_histories_are_kept_the_same_by_two_of_them() {
    let store = Arc::<MemoryStore>::default();
    a2a_core::store::conformance::random_histories(store, 30..500).await;
}

#[tokio::test]
async fn ten_thousand_tasks_of_one_context_are_listed() {
    contract::tasks_of_one_context_are_listed(fresh("ten_thousand").await, 10_000).await;
}
