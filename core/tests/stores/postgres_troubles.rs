//! PostgreSQL on its bad days: away, silent, forgetful, refusing, or not the one that was meant.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use a2a_core::{
    TaskState,
    store::{
        AppendError, PostgresStore, StoreError,
        conformance::{append, chunk, head, key, put},
    },
};
use futures_util::{StreamExt, future::join_all};

use crate::{
    postgres::{count, engine, open, prepared, sql},
    proxy::{Line, Proxy},
};

/// The URL that goes through a proxy, and the proxy.
async fn behind_proxy(schema: &str, parameters: &str) -> (String, Proxy) {
    let url = prepared(schema, parameters).await;
    let (user, rest) = url.split_once('@').unwrap();
    let (address, rest) = rest.split_once('/').unwrap();
    let proxy = Proxy::before(address).await;
    (format!("{user}@{}/{rest}", proxy.address()), proxy)
}

fn retriable(error: Result<impl Sized, StoreError>) {
    let error = error.err().expect("the engine is unavailable");
    assert!(error.is_retriable(), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_engine_is_recovered_from() {
    let (url, proxy) = behind_proxy("t_away", "ttl=0&pool=4").await;
    let store = open(&url).await;
    put(&store, "t", head(TaskState::Working, 1)).await;
    for (after, line) in [(1, Line::Cut), (2, Line::Stalled)] {
        // Some connections, all of them idle.
        join_all((0..4).map(|_| async { store.head(&key("t")).await.unwrap() })).await;
        let mut tail = Arc::clone(&store).tail(key("t"), after);
        assert!(tokio::time::timeout(Duration::from_millis(1_200), tail.next()).await.is_err());
        proxy.set(line);
        let begun = Instant::now();
        retriable(store.head(&key("t")).await);
        let change = append(&store, key("t"), after, [chunk("lost")], None).await;
        assert!(matches!(change, Err(AppendError::Store(error)) if error.is_retriable()));
        assert!(begun.elapsed() < Duration::from_secs(9), "{line:?} took {:?}", begun.elapsed());
        retriable(tail.next().await.unwrap());
        proxy.set(Line::Open);
        let begun = Instant::now();
        // The first call after that finds connections that are dead.
        assert!(store.head(&key("t")).await.unwrap().is_some());
        append(&store, key("t"), after, [chunk("x")], None).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "{line:?} took {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn connections_that_the_engine_ended_are_replaced_unnoticed() {
    let store = open(&prepared("t_ended", "ttl=0&pool=4&application_name=t_ended").await).await;
    put(&store, "t", head(TaskState::Working, 1)).await;
    join_all((0..8).map(|_| async { store.head(&key("t")).await.unwrap() })).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let ended = "select count(pg_terminate_backend(pid)) from pg_stat_activity
        where application_name = 't_ended'";
    assert!(count(ended).await > 1);
    for _ in 0..8 {
        assert!(store.head(&key("t")).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_lost_acknowledgement_is_a_slot_that_is_taken() {
    let (url, proxy) = behind_proxy("t_mute", "ttl=0&pool=1").await;
    let store = open(&url).await;
    put(&store, "t", head(TaskState::Working, 1)).await;
    let at_work = Some(head(TaskState::Working, 1));
    append(&store, key("t"), 1, [chunk("x")], at_work).await.unwrap();
    // The connection knows the statement by now: it takes the append and never brings the answer.
    tokio::time::sleep(Duration::from_millis(100)).await;
    proxy.set(Line::Mute);
    let lost = append(&store, key("t"), 2, [chunk("x")], Some(head(TaskState::Completed, 2))).await;
    assert!(matches!(&lost, Err(AppendError::Store(error)) if error.is_retriable()), "{lost:?}");
    proxy.set(Line::Open);
    let again = append(&store, key("t"), 2, [chunk("y")], Some(head(TaskState::Failed, 3))).await;
    assert!(matches!(again, Err(AppendError::Conflict)), "{again:?}");
    let journal = store.read(&key("t"), 2).await.unwrap().unwrap();
    assert_eq!(*journal.slots[0].entries, [chunk("x")]);
    assert_eq!(journal.head, head(TaskState::Completed, 2));
}

#[tokio::test]
async fn what_is_locked_is_waited_for_and_no_longer_than_a_call_may_take() {
    let store = open(&prepared("t_locked", "ttl=0").await).await;
    put(&store, "t", head(TaskState::Working, 1)).await;
    let locked = tokio::spawn(async {
        sql("begin; lock t_locked.head in access exclusive mode; select pg_sleep(6); commit").await;
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    retriable(store.head(&key("t")).await);
    assert!(begun.elapsed() < Duration::from_millis(5_600), "{:?}", begun.elapsed());
    locked.await.unwrap();
    assert!(store.head(&key("t")).await.unwrap().is_some());
}

#[tokio::test]
async fn many_prepare_at_once_and_repeatedly() {
    sql("drop schema if exists t_prepared cascade").await;
    let url = format!("{}?schema=t_prepared", engine());
    for outcome in join_all((0..8).map(|_| PostgresStore::prepare(&url))).await {
        outcome.unwrap();
    }
    a2a_core::store::prepare(&url).await.unwrap();
    assert_eq!(count("select count(*) from t_prepared.migrations").await, 1);
}

/// What opening says.
async fn refusal(url: &str) -> String {
    let begun = Instant::now();
    let sentence = a2a_core::store::open(url).await.err().expect("it cannot be opened");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}: {sentence}", begun.elapsed());
    assert!(sentence.ends_with('.') && !sentence.contains("secret"), "{sentence}");
    sentence
}

#[tokio::test]
async fn what_cannot_be_opened_is_said_in_a_sentence() {
    let (url, proxy) = behind_proxy("t_refused", "ttl=0").await;
    let (user, rest) = url.split_once('@').unwrap();
    for (url, said) in [
        (format!("postgres://nobody_there:secret@{rest}"), "refuses the user"),
        (url.replace("/postgres?", "/no_such_database?"), "no such database"),
        (url.replace("t_refused", "no_such_schema"), "a2a-local --prepare"),
        (format!("{user}:secret@127.0.0.1:1/postgres"), "127.0.0.1:1 cannot be reached"),
        (format!("{url}&sslmode=require"), "TLS"),
        (format!("{url}&pool=none"), "pool"),
    ] {
        let sentence = refusal(&url).await;
        assert!(sentence.contains(said), "{sentence}");
    }
    proxy.set(Line::Stalled);
    assert!(refusal(&url).await.contains("does not answer"));
}

#[tokio::test]
async fn a_schema_of_another_version_is_refused() {
    let url = prepared("t_version", "ttl=0").await;
    let migrations = "t_version.migrations";
    sql(&format!(
        "insert into {migrations} (version, description, success, checksum, execution_time)
         values (99, 'later', true, '', 0)"
    ))
    .await;
    assert!(refusal(&url).await.contains("migration 99"));
    assert!(PostgresStore::prepare(&url).await.unwrap_err().contains("newer"));
    sql(&format!("delete from {migrations} where version = 99")).await;
    open(&url).await;
    sql(&format!("update {migrations} set checksum = '\\x00'")).await;
    assert!(refusal(&url).await.contains("another migration 1"));
    assert!(PostgresStore::prepare(&url).await.unwrap_err().contains("another migration 1"));
    sql(&format!("delete from {migrations}")).await;
    assert!(refusal(&url).await.contains("--prepare"));
}

#[tokio::test]
async fn a_role_needs_its_rights_and_no_more() {
    let url = prepared("t_rights", "ttl=60").await;
    let gone = "do $$ begin
        if exists (select from pg_roles where rolname = 't_role') then
            drop owned by t_role; drop role t_role;
        end if; end $$";
    sql(gone).await;
    sql("create role t_role login password 'secret'").await;
    let rest = url.split_once('@').unwrap().1;
    let url = format!("postgres://t_role:secret@{rest}");
    assert!(refusal(&url).await.contains("does not permit"));
    assert!(PostgresStore::prepare(&url).await.unwrap_err().contains("does not permit"));
    sql("grant usage on schema t_rights to t_role;
        grant select on t_rights.migrations to t_role;
        grant select, insert, update, delete on t_rights.head, t_rights.journal to t_role")
    .await;
    let store = open(&url).await;
    put(&store, "t", head(TaskState::Working, 1)).await;
    append(&store, key("t"), 1, [chunk("x")], Some(head(TaskState::Working, 2))).await.unwrap();
    sql("revoke insert on t_rights.journal from t_role").await;
    let refused = append(&store, key("t"), 2, [chunk("x")], None).await;
    assert!(matches!(refused, Err(AppendError::Store(error)) if !error.is_retriable()));
    sql("drop table t_rights.journal").await;
    assert!(!store.read(&key("t"), 0).await.unwrap_err().is_retriable());
    drop(store);
    sql(gone).await;
}
