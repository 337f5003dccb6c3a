//! Redis, or Valkey.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ::redis::{Value, cmd};
use a2a_core::{
    store::{
        self, AgentStore, AppendError, ListQuery, StoreError,
        conformance::{
            Store, append, chunk, everything, head, key, neighbours, put, running_keys, submitted,
            tasks_of_one_context_are_listed,
        },
    },
    task::{Head, Phase, TaskKey},
    types::{TaskState, Timestamp},
};
use futures_util::StreamExt;
use tokio::time::timeout;

use crate::proxy::{Line, Proxy};

/// HOST:PORT, which a proxy can stand before.
fn address() -> String {
    let url = std::env::var("A2A_TEST_REDIS").expect("run `cargo xtask test`, which starts it");
    url.trim_start_matches("redis://").to_owned()
}

/// A prefix that no other test has.
fn prefix(case: &str) -> String {
    format!("{case}-{:.8}", uuid::Uuid::new_v4().simple().to_string())
}

async fn fresh(case: &'static str) -> Store {
    open(&prefix(case), 0).await
}

async fn open(prefix: &str, ttl: u32) -> Store {
    open_at(&address(), prefix, ttl).await
}

async fn open_at(address: &str, prefix: &str, ttl: u32) -> Store {
    store::open(&format!("redis://{address}/?prefix={prefix}&ttl={ttl}")).await.unwrap()
}

async fn refused(url: &str) -> String {
    store::open(url).await.err().unwrap()
}

/// What a raw client says.
async fn raw(words: &[&str]) -> Value {
    let client = ::redis::Client::open(format!("redis://{}/", address())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.unwrap()
}

async fn listed(store: &Store, query: ListQuery) -> (u64, Vec<String>) {
    let page = store.list(&query).await.unwrap();
    (page.total, page.rows.iter().map(|(id, _)| id.to_string()).collect())
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

mod contract {
    a2a_core::store_conformance!(super::fresh);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_tasks_of_one_context_are_listed() {
    tasks_of_one_context_are_listed(fresh("ten_thousand").await, 10_000).await;
}

/// One agent's part of a store that another agent uses too.
async fn shared(case: &'static str) -> Store {
    let shared = fresh(case).await;
    let neighbour: Store = Arc::new(AgentStore::new(Arc::clone(&shared), "balance"));
    neighbours(&neighbour).await;
    Arc::new(AgentStore::new(shared, "data"))
}

mod contract_of_an_agents_part {
    a2a_core::store_conformance!(super::shared);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_take_each_slot_once() {
    let prefix = prefix("racers");
    let first = open(&prefix, 0).await;
    put(&first, "t", head(TaskState::Working, 1)).await;
    let mut tail = Arc::clone(&first).tail(key("t"), 1);
    let mut writers = Vec::new();
    for instance in 0..4 {
        let store = open(&prefix, 0).await;
        writers.push(tokio::spawn(async move {
            let (mut after, mut taken) = (1, 0);
            while taken < 50 {
                let entry = [chunk(&format!("{instance}.{taken}"))];
                match append(&store, key("t"), after, entry, None).await {
                    Ok(()) => taken += 1,
                    Err(AppendError::Conflict) => {}
                    Err(other) => panic!("{other}"),
                }
                let journal = store.read(&key("t"), after).await.unwrap().unwrap();
                after = journal.slots.last().map_or(after, |slot| slot.version);
            }
        }));
    }
    for version in 2..=201 {
        assert_eq!(tail.next().await.unwrap().unwrap().version, version);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(timeout(Duration::from_millis(100), tail.next()).await.is_err(), "there is no more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_instance_hears_of_an_append_at_once() {
    let prefix = prefix("heard");
    let (writer, reader) = (open(&prefix, 0).await, open(&prefix, 0).await);
    put(&writer, "t", head(TaskState::Working, 1)).await;
    let mut tail = reader.tail(key("t"), 1);
    let mut delays = Vec::new();
    for after in 1..=100 {
        // Longer than the pause between two reads without a hint may be at first.
        let pause = if after % 25 == 0 { 900 } else { 10 };
        let _ = timeout(Duration::from_millis(pause), tail.next()).await.map(|_| panic!("nothing"));
        let begun = Instant::now();
        append(&writer, key("t"), after, [chunk("x")], None).await.unwrap();
        assert_eq!(tail.next().await.unwrap().unwrap().version, after + 1);
        delays.push(begun.elapsed());
    }
    delays.sort();
    println!("from append to delivery: p50 {:?}, p99 {:?}", delays[50], delays[98]);
    assert!(delays[50] < Duration::from_millis(25), "{delays:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_hint_costs_less_than_a_second() {
    let prefix = prefix("lost");
    let store = open(&prefix, 0).await;
    put(&store, "t", head(TaskState::Working, 1)).await;
    let entries = serde_json::to_string(&[chunk("x")]).unwrap();
    let mut tail = store.tail(key("t"), 1);
    for after in 1..=3 {
        assert!(timeout(Duration::from_millis(1_500), tail.next()).await.is_err());
        // Written past the store: no hint is published.
        raw(&["XADD", &format!("{{{prefix}:}}:log:t"), &format!("{}-1", after + 1), "e", &entries])
            .await;
        let slot = timeout(Duration::from_secs(1), tail.next()).await.unwrap();
        assert_eq!(slot.unwrap().unwrap().version, after + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_followers_are_few_subscribers() {
    let prefix = prefix("many");
    let (writer, reader) = (open(&prefix, 0).await, open(&prefix, 0).await);
    let channel = |id: &str| format!("{{{prefix}:}}:log:{id}");
    for task in 0..20 {
        put(&writer, &format!("t{task}"), head(TaskState::Working, 1)).await;
    }
    let mut tails: Vec<_> = (0..1_000)
        .map(|number| Arc::clone(&reader).tail(key(&format!("t{}", number % 20)), 1))
        .collect();
    let all = tails.iter_mut().map(|tail| async { tail.next().await.unwrap().unwrap().version });
    let all = futures_util::future::join_all(all);
    let appends = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let subscribers = raw(&["PUBSUB", "NUMSUB", &channel("t7")]).await;
        assert_eq!(
            subscribers,
            Value::Array(vec![Value::BulkString(channel("t7").into_bytes()), Value::Int(1),])
        );
        for task in 0..20 {
            append(&writer, key(&format!("t{task}")), 1, [chunk("x")], None).await.unwrap();
        }
    };
    let (versions, ()) =
        timeout(Duration::from_secs(10), async { tokio::join!(all, appends) }).await.unwrap();
    assert!(versions.iter().all(|version| *version == 2));
    drop(tails);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let channels = raw(&["PUBSUB", "CHANNELS", &channel("*")]).await;
        if channels == Value::Array(vec![]) {
            return;
        }
    }
    panic!("channels remain without a follower");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finished_tasks_expire_and_unfinished_ones_do_not() {
    let store = open(&prefix("expiry"), 2).await;
    let at = now();
    let of = |phase, at| Head { phase, ..head(TaskState::Completed, at) };
    for (id, phase, at) in [
        ("old", Phase::Finished, at - 10_000),
        ("soon", Phase::Finished, at - 1_000),
        ("running", Phase::Running, at - 9_000),
        ("waiting", Phase::Waiting, at - 9_000),
        ("claimed", Phase::Claimed, at - 9_000),
        ("answered", Phase::Answered, at - 9_000),
    ] {
        put(&store, id, of(phase, at)).await;
    }
    for id in ["old", "claimed", "answered"] {
        assert!(store.head(&key(id)).await.unwrap().is_none(), "{id}");
        assert!(store.read(&key(id), 0).await.unwrap().is_none(), "{id}");
    }
    assert_eq!(
        listed(&store, everything()).await,
        (3, ["soon", "running", "waiting"].map(Into::into).into())
    );
    // Work on it again clears it: a task that may go on never expires.
    put(&store, "again", of(Phase::Claimed, at - 1_500)).await;
    append(&store, key("again"), 1, [chunk("x")], Some(of(Phase::Running, at - 1_500)))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    let left = ["again", "running", "waiting"].map(Into::into).to_vec();
    assert_eq!(listed(&store, everything()).await, (3, left));
    assert_eq!(running_keys(&store).await, [key("again"), key("running")]);
    assert!(store.head(&key("soon")).await.unwrap().is_none());
    // What is over frees its id, for another owner too.
    let other = Head { owner: "other".into(), ..of(Phase::Running, at) };
    let stale = append(&store, key("soon"), 1, [chunk("x")], Some(other.clone()));
    assert!(matches!(stale.await, Err(AppendError::Conflict)));
    append(&store, key("soon"), 0, [submitted("x")], Some(other)).await.unwrap();
    assert_eq!(listed(&store, everything()).await.0, 3);
    let others = ListQuery { owner: "other".into(), ..everything() };
    assert_eq!(listed(&store, others).await, (1, vec!["soon".into()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_expired_rows_are_taken_out_before_a_list_answers() {
    let prefix = prefix("purge");
    let (keeps, store) = (open(&prefix, 0).await, open(&prefix, 1).await);
    let at = now();
    put(&keeps, "kept", head(TaskState::Completed, at)).await;
    let puts =
        (0..1_300).map(|number| {
            let store = Arc::clone(&store);
            async move {
                put(&store, &format!("{number}"), head(TaskState::Completed, at + 1_000)).await
            }
        });
    futures_util::future::join_all(puts).await;
    // The id is reused after its expiry, before its row is removed, under another context.
    tokio::time::sleep(Duration::from_millis((at + 2_100 - now()).max(0) as u64)).await;
    let moved = Head { context_id: "d".into(), ..head(TaskState::Working, at) };
    append(&store, key("1299"), 0, [submitted("x")], Some(moved)).await.unwrap();
    let all = ListQuery { limit: 5, ..everything() };
    assert_eq!(listed(&store, all).await, (2, vec!["1299".into(), "kept".into()]));
    let context = |id: &str| ListQuery { context_id: Some(id.into()), ..everything() };
    assert_eq!(listed(&store, context("d")).await, (1, vec!["1299".into()]));
    assert_eq!(listed(&store, context("c")).await, (1, vec!["kept".into()]));
    assert_eq!(raw(&["ZCARD", &format!("{{{prefix}:}}:expiring")]).await, Value::Int(0));
}

#[tokio::test]
async fn what_is_corrupt_names_its_task_and_harms_no_other() {
    let prefix = prefix("corrupt");
    let store = open(&prefix, 0).await;
    let name = |kind: &str, id: &str| format!("{{{prefix}:}}:{kind}:{id}");
    for (at, id) in (1..).zip(["good", "entry", "gap", "head", "kind"]) {
        put(&store, id, head(TaskState::Working, at)).await;
    }
    raw(&["XADD", &name("log", "entry"), "2-1", "e", "{"]).await;
    raw(&["XADD", &name("log", "gap"), "3-1", "e", "[]"]).await;
    raw(&["HSET", &name("head", "head"), "head", "?"]).await;
    raw(&["DEL", &name("head", "kind")]).await;
    raw(&["SET", &name("head", "kind"), "?"]).await;
    for id in ["entry", "gap", "head", "kind"] {
        let error: StoreError = store.read(&key(id), 0).await.err().unwrap();
        assert!(!error.is_retriable() && error.to_string().contains(id), "{id}: {error}");
    }
    assert!(store.head(&key("kind")).await.is_err() && store.head(&key("head")).await.is_err());
    let (total, ids) = listed(&store, everything()).await;
    assert_eq!((total, &*ids), (5, &["gap", "entry", "good"].map(String::from)[..]));
    append(&store, key("good"), 1, [chunk("x")], None).await.unwrap();
    assert_eq!(store.read(&key("good"), 0).await.unwrap().unwrap().slots.len(), 2);
    // A key of another kind in the way of an append: it is refused whole.
    put(&store, "whole", head(TaskState::Working, 9)).await;
    let context = format!("{{{prefix}:}}:list:oc::x");
    raw(&["SET", &context, "?"]).await;
    let moved = Head { context_id: "x".into(), ..head(TaskState::Failed, 10) };
    let refused = append(&store, key("whole"), 1, [chunk("x")], Some(moved)).await;
    assert!(matches!(refused, Err(AppendError::Store(error)) if !error.is_retriable()));
    let journal = store.read(&key("whole"), 0).await.unwrap().unwrap();
    assert_eq!((journal.slots.len(), journal.head), (1, head(TaskState::Working, 9)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_engine_costs_nothing_acknowledged() {
    let proxy = Proxy::before(&address()).await;
    let prefix = prefix("gone");
    let store = open_at(&proxy.address().to_string(), &prefix, 0).await;
    put(&store, "t", head(TaskState::Working, 1)).await;
    let mut tail = Arc::clone(&store).tail(key("t"), 1);
    append(&store, key("t"), 1, [chunk("x")], None).await.unwrap();
    assert_eq!(tail.next().await.unwrap().unwrap().version, 2);
    let other = open(&prefix, 0).await;

    proxy.set(Line::Cut);
    for _ in 0..3 {
        let begun = Instant::now();
        let error = store.head(&key("t")).await.err().unwrap();
        assert!(error.is_retriable() && begun.elapsed() < Duration::from_secs(3), "{error}");
    }
    append(&other, key("t"), 2, [chunk("x")], None).await.unwrap();
    proxy.set(Line::Open);
    // The first request reconnects.
    assert!(store.head(&key("t")).await.unwrap().is_some());
    let mut tail = Arc::clone(&store).tail(key("t"), 2);
    assert_eq!(tail.next().await.unwrap().unwrap().version, 3);
    // Hints arrive too after the reconnect: then delivery is quick.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let _ = timeout(Duration::from_millis(900), tail.next()).await.map(|_| panic!("nothing"));
    let begun = Instant::now();
    append(&other, key("t"), 3, [chunk("x")], None).await.unwrap();
    assert_eq!(tail.next().await.unwrap().unwrap().version, 4);
    assert!(begun.elapsed() < Duration::from_millis(150), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_acknowledgement_is_found_as_a_conflict() {
    let proxy = Proxy::before(&address()).await;
    let store = open_at(&proxy.address().to_string(), &prefix("mute"), 0).await;
    put(&store, "t", head(TaskState::Working, 1)).await;
    proxy.set(Line::Mute);
    let begun = Instant::now();
    let lost = append(&store, key("t"), 1, [chunk("x")], None).await;
    assert!(matches!(lost, Err(AppendError::Store(error)) if error.is_retriable()));
    assert!(begun.elapsed() < Duration::from_secs(6));
    proxy.set(Line::Open);
    let again = append(&store, key("t"), 1, [chunk("x")], None).await;
    assert!(matches!(again, Err(AppendError::Conflict)));
    let journal = store.read(&key("t"), 1).await.unwrap().unwrap();
    assert_eq!(*journal.slots[0].entries, [chunk("x")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_died_in_silence_is_replaced_before_it_is_used() {
    let proxy = Proxy::before(&address()).await;
    let store = open_at(&proxy.address().to_string(), &prefix("frozen"), 0).await;
    put(&store, "t", head(TaskState::Working, 1)).await;
    // As after a freeze: the connection was idle, and its socket is dead. The proxy brings
    // new connections through as soon as the test has failed.
    tokio::time::sleep(Duration::from_secs(11)).await;
    proxy.set(Line::Stalled);
    let begun = Instant::now();
    let opens = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        proxy.set(Line::Open);
    };
    let (appended, ()) = tokio::join!(append(&store, key("t"), 1, [chunk("x")], None), opens);
    appended.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn tenants_without_anything_running_are_forgotten_in_time() {
    let prefix = prefix("tenants");
    let store = open(&prefix, 0).await;
    let of = |tenant: &str| TaskKey { tenant: tenant.into(), id: "t".into() };
    for tenant in ["", "busy", "idle", "lately"] {
        append(&store, of(tenant), 0, [submitted("x")], Some(head(TaskState::Working, 1)))
            .await
            .unwrap();
    }
    for tenant in ["", "idle", "lately"] {
        append(&store, of(tenant), 1, [chunk("x")], Some(head(TaskState::Completed, 2)))
            .await
            .unwrap();
    }
    let (tenants, seen) = (format!("{{{prefix}}}:tenants"), format!("{{{prefix}}}:tenants:seen"));
    let long_ago = (now() - 2 * 24 * 60 * 60 * 1_000).to_string();
    raw(&["ZADD", &seen, &long_ago, "", &long_ago, "busy", &long_ago, "idle"]).await;
    for _ in 0..2 {
        assert_eq!(running_keys(&store).await, [of("busy")]);
        assert_eq!(raw(&["ZCARD", &tenants]).await, Value::Int(2));
    }
    let other = open(&prefix, 0).await;
    append(&other, of("idle"), 2, [chunk("x")], Some(head(TaskState::Working, 3))).await.unwrap();
    assert_eq!(running_keys(&store).await, [of("busy"), of("idle")]);
}

#[tokio::test]
async fn what_cannot_be_used_is_one_sentence() {
    let user = prefix("limited");
    for rights in ["+@all -xadd ~*", "+@all ~other:*", "+@all -eval ~*", "+@all ~* resetchannels"] {
        let mut words = vec!["ACL", "SETUSER", &user, "reset", "on", ">secret"];
        words.extend(rights.split(' '));
        raw(&words).await;
        let opened = store::open(&format!("redis://{user}:secret@{}/", address())).await;
        match opened {
            Ok(_) => assert!(rights.contains("channels"), "hints can be done without"),
            Err(told) => assert!(told.contains("allow") && !told.contains("secret"), "{told}"),
        }
    }
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let stalled = Proxy::before(&address()).await;
    stalled.set(Line::Stalled);
    for (url, part) in [
        (format!("redis://{user}:wrong-secret@{}/", address()), "password"),
        (format!("redis://{closed}/"), "cannot be reached"),
        (format!("redis://{}/", stalled.address()), "does not answer"),
        (format!("rediss://{}/", address()), "does not answer"),
        (format!("redis://{}/999", address()), "cannot be used"),
        ("redis://no-such-host.invalid/".to_owned(), "cannot be reached"),
        ("redis://h:x/".to_owned(), "URL is wrong"),
    ] {
        let begun = Instant::now();
        let told = refused(&url).await;
        println!("{told}");
        assert!(told.contains(part) && !told.contains("secret"), "{url}: {told}");
        assert!(told.ends_with('.') && !told.contains('\n'), "{told}");
        assert!(begun.elapsed() < Duration::from_secs(6));
    }
    raw(&["ACL", "DELUSER", &user]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_appends_pass_and_too_large_ones_are_refused_whole() {
    let store = fresh("large").await;
    put(&store, "t", head(TaskState::Working, 1)).await;
    let text = "x".repeat(4 << 20);
    append(&store, key("t"), 1, [chunk(&text), chunk(&text)], None).await.unwrap();
    let many = vec![chunk(&text); 17];
    let refused = append(&store, key("t"), 2, many, Some(head(TaskState::Failed, 2))).await;
    assert!(matches!(refused, Err(AppendError::TooLarge)));
    let journal = store.read(&key("t"), 1).await.unwrap().unwrap();
    assert_eq!(journal.slots.len(), 1);
    assert_eq!(*journal.slots[0].entries, [chunk(&text), chunk(&text)]);
    assert_eq!(journal.head.status.timestamp, Some(Timestamp::from_millis(1)));
    // Longer than is read at once.
    for after in 2..=600 {
        append(&store, key("t"), after, [chunk("x")], None).await.unwrap();
    }
    assert_eq!(store.read(&key("t"), 0).await.unwrap().unwrap().slots.len(), 601);
}
