//! PostgreSQL: the contract of all stores, a schema for each case; and what is its own.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use a2a_core::{
    Artifact, Part, TaskArtifactUpdateEvent, TaskState,
    store::{
        AppendError, ListPage, ListQuery, PostgresStore,
        conformance::{
            Store, append, chunk, everything, head, key, put, running_keys, submitted,
            tasks_of_one_context_are_listed,
        },
    },
    task::{Entry, Head, Phase, TaskKey},
};
use futures_util::StreamExt;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

pub(crate) fn engine() -> String {
    std::env::var("A2A_TEST_POSTGRES").expect("run `cargo xtask test`, which starts it")
}

async fn connect() -> PgConnection {
    PgConnection::connect(&engine()).await.unwrap()
}

pub(crate) async fn sql(statements: &str) {
    connect().await.execute(AssertSqlSafe(statements)).await.unwrap();
}

/// The first column of the first row, a number.
pub(crate) async fn count(statement: &str) -> i64 {
    let row = connect().await.fetch_one(AssertSqlSafe(statement)).await;
    row.unwrap().get(0)
}

/// A URL with these parameters; its schema is prepared and empty.
pub(crate) async fn prepared(schema: &str, parameters: &str) -> String {
    sql(&format!("drop schema if exists {schema} cascade")).await;
    let url = format!("{}?schema={schema}&{parameters}", engine());
    PostgresStore::prepare(&url).await.unwrap();
    url
}

pub(crate) async fn open(url: &str) -> Store {
    a2a_core::store::open(url).await.unwrap()
}

/// Its times are of 1970, so nothing may expire.
async fn fresh(case: &'static str) -> Store {
    open(&prepared(&format!("t_{case}"), "ttl=0").await).await
}

mod keeps_the_contract {
    a2a_core::store_conformance!(super::fresh);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_tasks_of_one_context_are_listed() {
    tasks_of_one_context_are_listed(fresh("ten_thousand").await, 10_000).await;
}

fn millis_ago(millis: i64) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap() - millis
}

#[tokio::test]
async fn what_has_expired_is_hidden_at_once_and_removed_later() {
    // This one removes nothing by itself, and sets no expiry.
    let url = prepared("t_expiry", "ttl=0").await;
    let store = open(&url).await;
    let expired = ["again", "finished", "running", "waiting"];
    put(&store, "again", head(TaskState::Completed, 1)).await;
    put(&store, "finished", head(TaskState::Completed, 2)).await;
    put(&store, "running", head(TaskState::Working, 3)).await;
    put(&store, "waiting", head(TaskState::InputRequired, 4)).await;
    put(&store, "kept", head(TaskState::Working, 5)).await;
    put(&store, "later", head(TaskState::Completed, 6)).await;
    sql("update t_expiry.head set expires_at = 1 where task not in ('kept', 'later')").await;
    let year_4000 = "update t_expiry.head set expires_at = 64060588800000 where task = 'later'";
    sql(year_4000).await;
    for id in expired {
        assert!(store.read(&key(id), 0).await.unwrap().is_none(), "{id}");
        assert!(store.head(&key(id)).await.unwrap().is_none(), "{id}");
        for head in [None, Some(head(TaskState::Working, 9))] {
            let more = append(&store, key(id), 1, [chunk("x")], head).await;
            assert!(matches!(more, Err(AppendError::Conflict)), "{id}");
        }
    }
    let page = store.list(&everything()).await.unwrap();
    let ids: Vec<_> = page.rows.iter().map(|(id, _)| &**id).collect();
    assert_eq!((page.total, &*ids), (2, &["later", "kept"][..]));
    assert_eq!(running_keys(&store).await, [key("kept")]);
    // Its id is free, and no slot of the expired task remains.
    put(&store, "again", head(TaskState::Working, 9)).await;
    append(&store, key("again"), 1, [chunk("x")], None).await.unwrap();
    assert_eq!(store.read(&key("again"), 0).await.unwrap().unwrap().slots.len(), 2);
    assert_eq!(count("select count(*) from t_expiry.head").await, 6);
    // The end of a task takes it away, by whichever instance.
    let store = open(&url.replace("ttl=0", "ttl=60")).await;
    put(&store, "end", head(TaskState::Completed, millis_ago(0))).await;
    soon(async || count("select count(*) from t_expiry.head").await == 4).await;
    assert_eq!(count("select count(*) from t_expiry.journal").await, 5);
}

#[tokio::test]
async fn what_ended_expires_after_its_time() {
    let store = open(&prepared("t_ttl", "ttl=60").await).await;
    let old = |state| head(state, millis_ago(61_000));
    for (id, phase) in [("c", Phase::Claimed), ("f", Phase::Finished), ("a", Phase::Answered)] {
        put(&store, id, Head { phase, ..old(TaskState::Submitted) }).await;
        assert!(store.head(&key(id)).await.unwrap().is_none(), "{id}");
        let young = Head { phase, ..head(TaskState::Submitted, millis_ago(50_000)) };
        put(&store, &format!("young {id}"), young).await;
        assert!(store.head(&key(&format!("young {id}"))).await.unwrap().is_some(), "{id}");
    }
    for state in [TaskState::Working, TaskState::InputRequired] {
        put(&store, state.name(), old(state)).await;
        assert!(store.head(&key(state.name())).await.unwrap().is_some(), "{state:?}");
    }
}

#[tokio::test]
async fn nothing_is_written_to_a_journal_that_is_being_removed() {
    let store = open(&prepared("t_removed", "ttl=0").await).await;
    for (id, head) in [("chunk", None), ("head", Some(head(TaskState::Completed, 2)))] {
        put(&store, id, self::head(TaskState::Working, 1)).await;
        let mut remover = connect().await;
        let remove = format!("begin; delete from t_removed.head where task = '{id}'");
        remover.execute(AssertSqlSafe(remove)).await.unwrap();
        let writer = Arc::clone(&store);
        let write =
            tokio::spawn(async move { append(&writer, key(id), 1, [chunk("x")], head).await });
        tokio::time::sleep(Duration::from_millis(300)).await;
        remover.execute("commit").await.unwrap();
        assert!(matches!(write.await.unwrap(), Err(AppendError::Conflict)), "{id}");
    }
    assert_eq!(count("select count(*) from t_removed.journal").await, 0);
}

#[tokio::test]
async fn what_goes_on_does_not_expire() {
    let store = open(&prepared("t_kept", "ttl=1").await).await;
    let claimed = Head { phase: Phase::Claimed, ..head(TaskState::Submitted, millis_ago(0)) };
    put(&store, "t", claimed).await;
    let at_work = head(TaskState::Working, millis_ago(0));
    append(&store, key("t"), 1, [chunk("x")], Some(at_work.clone())).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(store.head(&key("t")).await.unwrap(), Some(at_work));
}

/// Waits until it is so.
async fn soon(is: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never came");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_is_corrupt_is_named_and_the_rest_is_fine() {
    let store = open(&prepared("t_corrupt", "ttl=0").await).await;
    for id in ["entry", "empty", "head", "well"] {
        put(&store, id, head(TaskState::Working, 1)).await;
    }
    for (id, entries) in [("entry", r#"[{"started":1}]"#), ("empty", "[]")] {
        sql(&format!(
            "update t_corrupt.journal set entries = '{entries}'
             where key = (select key from t_corrupt.head where task = '{id}')"
        ))
        .await;
    }
    sql("update t_corrupt.head set content = '{}' where task = 'head'").await;
    for id in ["entry", "empty", "head"] {
        let error = store.read(&key(id), 0).await.unwrap_err();
        assert!(!error.is_retriable() && error.to_string().contains(id), "{error}");
    }
    assert!(store.read(&key("well"), 0).await.unwrap().is_some());
    // A page shows the others, and goes on behind it.
    let by_threes = ListQuery { limit: 3, ..everything() };
    let (first, all) =
        (store.list(&by_threes).await.unwrap(), store.list(&everything()).await.unwrap());
    let ids = |page: &ListPage| page.rows.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>();
    assert_eq!((ids(&all), all.total), (["empty", "entry", "well"].map(String::from).into(), 4));
    let rest = store.list(&ListQuery { after: first.next.clone(), ..by_threes }).await.unwrap();
    assert_eq!(
        (ids(&first), first.total, ids(&rest)),
        (ids(&all)[..2].into(), 4, vec!["well".into()])
    );
}

#[tokio::test]
async fn carried_json_is_kept_to_the_letter() {
    let store = fresh("exact").await;
    let text = r#"{"b":1.0,"a":1e2,"a":12345678901234567890.10,"s":"\u0000\ud800\/é"}"#;
    let part = serde_json::from_str::<Part>(&format!(r#"{{"data":{text}}}"#)).unwrap();
    let entry = Entry::Artifact(Arc::new(TaskArtifactUpdateEvent {
        artifact: Artifact::new("a", vec![part]),
        ..TaskArtifactUpdateEvent::default()
    }));
    append(&store, key("t"), 0, [entry.clone()], Some(head(TaskState::Working, 1))).await.unwrap();
    let journal = store.read(&key("t"), 0).await.unwrap().unwrap();
    assert_eq!(*journal.slots[0].entries, [entry]);
}

#[tokio::test]
async fn texts_of_any_length_find_their_rows() {
    let store = fresh("long").await;
    // It does not compress, as an index's row may.
    let long: String = (0..9_000_u32)
        .filter_map(|at| char::from_u32(0x4e00 + at.wrapping_mul(2_654_435_761) % 20_000))
        .collect();
    for end in ["a", "b"] {
        let key = TaskKey { tenant: long.as_str().into(), id: format!("{long}{end}").into() };
        let (owner, context_id) = (long.as_str().into(), format!("{long}{end}").into());
        let head = Head { owner, context_id, ..head(TaskState::Working, 1) };
        append(&store, key.clone(), 0, [submitted("x")], Some(head.clone())).await.unwrap();
        assert_eq!(store.head(&key).await.unwrap(), Some(head));
    }
    let (tenant, owner) = (long.as_str().into(), long.as_str().into());
    let query = ListQuery { tenant, owner, limit: 1, ..everything() };
    let first = store.list(&query).await.unwrap();
    assert!(first.rows[0].0.ends_with('a') && first.total == 2);
    let second = store.list(&ListQuery { after: first.next, ..query.clone() }).await.unwrap();
    assert!(second.rows[0].0.ends_with('b') && second.next.is_none());
    let context_id = Some(format!("{long}b").into());
    assert_eq!(store.list(&ListQuery { context_id, ..query }).await.unwrap().total, 1);
    assert_eq!(running_keys(&store).await.len(), 2);
}

/// However the rows came to lie in the table.
#[tokio::test]
async fn ties_are_paged_by_id() {
    let store = fresh("ties").await;
    for id in ["c", "a", "d", "b"] {
        put(&store, id, head(TaskState::Working, 5)).await;
    }
    let mut query = ListQuery { limit: 1, ..everything() };
    for expected in ["a", "b", "c", "d"] {
        let page = store.list(&query).await.unwrap();
        assert_eq!(&*page.rows[0].0, expected);
        query.after = page.next;
    }
    assert!(query.after.is_none());
}

#[tokio::test]
async fn nothing_comes_beyond_the_end_and_much_fits() {
    let store = fresh("beyond").await;
    put(&store, "t", head(TaskState::Working, 1)).await;
    for after in [0, 2, 9, u64::MAX - 1, u64::MAX] {
        for head in [None, Some(head(TaskState::Failed, 9))] {
            if after == 0 && head.is_none() {
                continue;
            }
            let refused = append(&store, key("t"), after, [chunk("no")], head).await;
            assert!(matches!(refused, Err(AppendError::Conflict)), "{after}");
        }
    }
    let refused = append(&store, key("u"), 1, [chunk("no")], Some(head(TaskState::Failed, 9)));
    assert!(matches!(refused.await, Err(AppendError::Conflict)));
    let large = chunk(&"é".repeat(4 << 20));
    append(&store, key("t"), 1, [large.clone()], None).await.unwrap();
    let journal = store.read(&key("t"), 1).await.unwrap().unwrap();
    assert!(*journal.slots[0].entries == [large]);
    assert_eq!(journal.head, head(TaskState::Working, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_race_and_follow_each_other() {
    let url = prepared("t_instances", "ttl=0&pool=2").await;
    let stores = [open(&url).await, open(&url).await];
    put(&stores[0], "t", head(TaskState::Working, 1)).await;
    let tails = stores.each_ref().map(|store| {
        let tail = Arc::clone(store).tail(key("t"), 1).take(40);
        tokio::spawn(tail.map(Result::unwrap).collect::<Vec<_>>())
    });
    let writers = stores.each_ref().map(|store| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            for number in 0..20 {
                let entry = [chunk(&number.to_string())];
                loop {
                    let all = store.read(&key("t"), 0).await.unwrap().unwrap().slots;
                    let after = all.len() as u64;
                    match append(&store, key("t"), after, entry.clone(), None).await {
                        Ok(()) => break,
                        Err(AppendError::Conflict) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let all = stores[0].read(&key("t"), 1).await.unwrap().unwrap().slots;
    for tail in tails {
        assert_eq!(tail.await.unwrap(), all);
    }
}

/// From an append by one store to its delivery by another's tail, for each of many.
async fn deliveries(from: &Store, to: &Store, id: &str, many: u64) -> Vec<Duration> {
    put(from, id, head(TaskState::Working, 1)).await;
    let mut tail = Arc::clone(to).tail(key(id), 0);
    tail.next().await.unwrap().unwrap();
    let mut times = Vec::new();
    for after in 1..=many {
        // The tail waits, as a client's does.
        let _ = tokio::time::timeout(Duration::from_millis(15), tail.next()).await.map(drop);
        let begun = Instant::now();
        append(from, key(id), after, [chunk("x")], None).await.unwrap();
        assert_eq!(tail.next().await.unwrap().unwrap().version, after + 1);
        times.push(begun.elapsed());
    }
    times.sort();
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn word_comes_soon_and_a_lost_one_costs_no_more_than_a_second() {
    let url = prepared("t_word", "ttl=0&application_name=t_word").await;
    let (writer, reader) = (open(&url).await, open(&url).await);
    let times = deliveries(&writer, &reader, "warm", 20).await;
    let times = [times, deliveries(&writer, &reader, "t", 100).await].concat();
    println!("delivered in p50 {:?}, p99 {:?}", times[60], times[118]);
    assert!(times[60] < Duration::from_millis(50), "{times:?}");
    // The listener goes; the follower finds out by itself, and the listener comes back.
    let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where application_name = 't_word' and query like 'LISTEN%'";
    let mut tail = Arc::clone(&reader).tail(key("t"), 101);
    assert!(tokio::time::timeout(Duration::from_secs(3), tail.next()).await.is_err());
    assert_eq!(count(kill).await, 1);
    let begun = Instant::now();
    append(&writer, key("t"), 101, [chunk("x")], None).await.unwrap();
    assert_eq!(tail.next().await.unwrap().unwrap().version, 102);
    assert!(begun.elapsed() < Duration::from_millis(1_500), "{:?}", begun.elapsed());
    let listeners = "select count(*) from pg_stat_activity
        where application_name = 't_word' and query like 'LISTEN%'";
    soon(async || count(listeners).await == 1).await;
    let times = deliveries(&writer, &reader, "again", 20).await;
    assert!(times[10] < Duration::from_millis(50), "{times:?}");
    // It ends with its store.
    drop((tail, reader));
    soon(async || count(listeners).await == 0).await;
}
