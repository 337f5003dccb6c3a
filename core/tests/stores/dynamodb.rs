//! The DynamoDB store, on two engines of its API that must agree, and on a third if one is named.
//!
//! Where they differ from the service's documentation, which wins: moto checks a condition and
//! writes in two steps, so `infra/serve_moto.py` lets it answer one request at a time.

use std::{sync::Arc, time::SystemTime};

use a2a_core::{
    TaskState, TaskStore, Timestamp,
    store::{
        self, AppendError, DynamoDbStore, ListQuery,
        conformance::{append, chunk, everything, head, key, noise, put, running_keys, submitted},
    },
    task::{Entry, Head, Phase, Slot, TaskKey},
};
use aws_sdk_dynamodb::{Client, primitives::Blob, types::AttributeValue};
use futures_util::StreamExt;

/// Where an engine is, by the variable that says it.
pub(crate) fn endpoint(variable: &str) -> String {
    std::env::var(variable).expect("run `cargo xtask test`, which starts it")
}

/// A table of this test alone, on the engine of that variable.
pub(crate) struct Table {
    pub(crate) endpoint: String,
    pub(crate) name: String,
}

/// An engine keeps each region's tables apart.
const REGION: &str = "eu-central-1";

impl Table {
    pub(crate) fn unmade(variable: &str, case: &str) -> Self {
        let unique = uuid::Uuid::new_v4().simple();
        Self { endpoint: endpoint(variable), name: format!("{case}-{unique}") }
    }

    pub(crate) async fn made(variable: &str, case: &str) -> Self {
        let table = Self::unmade(variable, case);
        store::prepare(&table.url("")).await.map(|()| table).unwrap()
    }

    pub(crate) fn url(&self, more: &str) -> String {
        format!("dynamodb://{}?endpoint={}&region={REGION}{more}", self.name, self.endpoint)
    }

    /// One instance of many. These tests' times are old, so by default nothing expires.
    pub(crate) async fn open(&self) -> Arc<dyn TaskStore> {
        store::open(&self.url("&ttl=0")).await.unwrap()
    }

    async fn open_with_ttl(&self) -> Arc<dyn TaskStore> {
        store::open(&self.url("&ttl=1000")).await.unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        DynamoDbStore::client(&self.url("")).await.unwrap()
    }

    /// Sets an attribute behind the store's back.
    async fn set(&self, pk: &str, sk: &str, name: &str, value: AttributeValue) {
        let update = self.client().await.update_item().table_name(&self.name);
        let update = update.key("pk", text(pk)).key("sk", text(sk));
        let update = update.update_expression("SET #n = :v").expression_attribute_names("#n", name);
        update.expression_attribute_values(":v", value).send().await.unwrap();
    }

    /// Removes an item behind the store's back, as the service does when it has expired.
    async fn remove(&self, pk: &str, sk: &str) {
        let delete = self.client().await.delete_item().table_name(&self.name);
        delete.key("pk", text(pk)).key("sk", text(sk)).send().await.unwrap();
    }

    async fn attribute(&self, pk: &str, sk: &str, name: &str) -> Option<AttributeValue> {
        let get = self.client().await.get_item().table_name(&self.name);
        let found = get.key("pk", text(pk)).key("sk", text(sk)).send().await.unwrap();
        found.item.and_then(|mut item| item.remove(name))
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

async fn ids(store: &Arc<dyn TaskStore>, query: ListQuery) -> (Vec<String>, u64) {
    let page = store.list(&query).await.unwrap();
    (page.rows.iter().map(|(id, _)| id.to_string()).collect(), page.total)
}

async fn slots(store: &Arc<dyn TaskStore>, id: &str) -> Vec<Slot> {
    store.read(&key(id), 0).await.unwrap().unwrap().slots
}

/// Each case on an engine, after the contract's own.
macro_rules! on {
    ($engine:ident, $variable:literal $(, $ignored:meta)?) => {
        #[doc = $variable]
        mod $engine {
            async fn fresh(case: &'static str) -> std::sync::Arc<dyn a2a_core::TaskStore> {
                super::Table::made($variable, case).await.open().await
            }

            a2a_core::store_conformance!(
                fresh,
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                $(#[$ignored])?
            );
            on!(@cases $variable, ($($ignored)?),
                what_expires_is_gone,
                a_later_journal_has_nothing_of_an_earlier_one,
                what_is_corrupt_is_named,
                an_append_beyond_the_end_is_a_conflict,
                large_slots_are_split_or_refused,
                large_slots_are_raced_for,
                instances_race_and_follow_each_other,
                a_stale_index_shows_nothing_wrong,
                totals_are_exact,
                long_names_are_kept,
                a_table_is_made_once,
            );
        }
    };
    (@cases $variable:literal, $ignored:tt, $($case:ident,)*) => {
        $(on!(@case $variable, $ignored, $case);)*
    };
    (@case $variable:literal, ($($ignored:meta)?), $case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $(#[$ignored])?
        async fn $case() {
            super::$case(super::Table::made($variable, stringify!($case)).await).await;
        }
    };
}

on!(dynoxide, "A2A_TEST_DYNAMODB");
on!(moto, "A2A_TEST_MOTO");
on!(
    endpoint,
    "A2A_TEST_DYNAMODB_ENDPOINT",
    ignore = "needs an engine or the service named in A2A_TEST_DYNAMODB_ENDPOINT"
);

async fn what_expires_is_gone(table: Table) {
    let store = table.open_with_ttl().await;
    let old = |phase| Head { phase, ..head(TaskState::Working, 1) };
    for (id, phase) in [
        ("running", Phase::Running),
        ("waiting", Phase::Waiting),
        ("claimed", Phase::Claimed),
        ("finished", Phase::Finished),
        ("answered", Phase::Answered),
    ] {
        put(&store, id, old(phase)).await;
        let expires = phase.may_expire();
        assert_eq!(table.attribute(&format!("0:{id}"), "H", "ttl").await.is_some(), expires);
        assert_eq!(store.read(&key(id), 0).await.unwrap().is_none(), expires, "{id}");
        assert_eq!(store.head(&key(id)).await.unwrap().is_none(), expires, "{id}");
    }
    put(&store, "recent", head(TaskState::Completed, now() - 990_000)).await;
    put(&store, "past", head(TaskState::Completed, now() - 1_010_000)).await;
    assert!(store.head(&key("recent")).await.unwrap().is_some());
    assert!(store.head(&key("past")).await.unwrap().is_none());
    let listed = ["recent", "running", "waiting"].map(str::to_owned).to_vec();
    assert_eq!(ids(&store, everything()).await, (listed.clone(), 3));
    let page = store.list(&ListQuery { limit: 1, ..everything() }).await.unwrap();
    assert_eq!(page.total, 3, "what has expired is not counted");
    assert_eq!(running_keys(&store).await, [key("running")]);
    // What goes on does not expire any more, nor does anything where nothing shall.
    append(&store, key("claimed"), 1, [chunk("x")], Some(old(Phase::Running))).await.unwrap();
    assert!(store.head(&key("claimed")).await.unwrap().is_some());
    assert!(table.attribute("0:claimed", "H", "ttl").await.is_none());
    let for_ever = table.open().await;
    put(&for_ever, "kept", old(Phase::Finished)).await;
    assert!(for_ever.head(&key("kept")).await.unwrap().is_some());
}

async fn a_later_journal_has_nothing_of_an_earlier_one(table: Table) {
    let store = table.open_with_ttl().await;
    for id in ["unremoved", "removed"] {
        put(&store, id, head(TaskState::Working, 1)).await;
        for after in 1..6 {
            append(&store, key(id), after, [chunk(&noise(900_000))], None).await.unwrap();
        }
        append(&store, key(id), 6, [chunk("end")], Some(head(TaskState::Completed, 1)))
            .await
            .unwrap();
        if id == "removed" {
            table.remove("0:removed", "H").await;
        }
        // Also by one who knows nothing.
        let other = table.open_with_ttl().await;
        let at_work = head(TaskState::Working, now());
        append(&other, key(id), 0, [submitted("new")], Some(at_work.clone())).await.unwrap();
        assert_eq!(slots(&store, id).await.len(), 1, "{id}");
        let stores = [&store, &other];
        for after in 1..9 {
            let entry = [chunk(&format!("new {after}"))];
            let head = (after == 5).then(|| at_work.clone());
            append(stores[after as usize % 2], key(id), after, entry, head).await.unwrap();
            let all = slots(&other, id).await;
            assert_eq!(all.len() as u64, after + 1, "{id}");
            assert_eq!(*all[after as usize].entries, [chunk(&format!("new {after}"))]);
        }
    }
}

async fn what_is_corrupt_is_named(table: Table) {
    let store = table.open().await;
    let garbage = || AttributeValue::B(Blob::new(b"\x01garbage".to_vec()));
    for (id, sk, attribute) in
        [("slot", "E000000000003", "v"), ("first", "H", "e1"), ("head", "H", "h")]
    {
        put(&store, id, head(TaskState::Working, 1)).await;
        for after in 1..4 {
            append(&store, key(id), after, [chunk("x")], None).await.unwrap();
        }
        table.set(&format!("0:{id}"), sk, attribute, garbage()).await;
        let error = store.read(&key(id), 0).await.unwrap_err();
        assert!(error.to_string().contains(&format!("{id:?}")), "{error}");
        assert!(!error.is_retriable());
    }
    assert!(store.head(&key("head")).await.is_err());
    // A slot that has vanished is not passed over.
    put(&store, "gap", head(TaskState::Working, 1)).await;
    for after in 1..5 {
        append(&store, key("gap"), after, [chunk("x")], None).await.unwrap();
    }
    table.remove("0:gap", "E000000000003").await;
    let error = store.read(&key("gap"), 0).await.unwrap_err();
    assert!(error.to_string().contains("slot 3") && error.to_string().contains("gap"), "{error}");
    put(&store, "fine", head(TaskState::Working, 1)).await;
    assert_eq!(slots(&store, "fine").await.len(), 1);
    let others = ["fine", "first", "gap", "slot"].map(String::from);
    assert_eq!(ids(&store, everything()).await.0, others, "a list shows the others");
}

async fn an_append_beyond_the_end_is_a_conflict(table: Table) {
    let (one, two) = (table.open().await, table.open().await);
    let conflicts = async |store, id: &str, after, head| {
        let refused = append(store, key(id), after, [chunk("no")], head).await;
        assert!(matches!(refused, Err(AppendError::Conflict)), "{id} {after}");
    };
    put(&one, "t", head(TaskState::Working, 1)).await;
    for after in 1..4 {
        for beyond in [after + 1, after + 5, 999_999_999_999, u64::MAX] {
            for store in [&one, &two] {
                conflicts(store, "t", beyond, None).await;
                conflicts(store, "t", beyond, Some(head(TaskState::Failed, 1))).await;
            }
        }
        append(&one, key("t"), after, [chunk("x")], None).await.unwrap();
    }
    for after in [1, 2, 3, 9] {
        conflicts(&two, "none", after, Some(head(TaskState::Working, 1))).await;
    }
    assert_eq!(slots(&two, "t").await.len(), 4);
    assert_eq!(ids(&two, everything()).await.0, ["t"]);
}

async fn large_slots_are_split_or_refused(table: Table) {
    let store = table.open().await;
    // Every place a slot can have, with every head.
    for (id, state) in [("working", TaskState::Working), ("completed", TaskState::Completed)] {
        let mut expected: Vec<Vec<Entry>> = Vec::new();
        for (after, length) in (0..).zip([900_000, 40_000, 900_000, 3_000, 300_000, 2_500_000]) {
            let entries = vec![submitted(&noise(length)), chunk("and")];
            let head = (after != 3).then(|| head(state, 1));
            append(&store, key(id), after, entries.clone(), head).await.unwrap();
            expected.push(entries);
        }
        // Leftovers of writer conflicts, and of appends that were never finished.
        for sk in ["E000000000003#left#00", "E000000000007#left#00", "E000000000009#left#00"] {
            let part = AttributeValue::B(Blob::new(b"left".to_vec()));
            table.set(&format!("0:{id}"), sk, "v", part).await;
        }
        let read = slots(&table.open().await, id).await;
        let read: Vec<&[Entry]> = read.iter().map(|slot| &*slot.entries).collect();
        assert!(read == expected, "{id}");
        assert!(store.head(&key(id)).await.unwrap().is_some());
    }
    let huge = noise(12_000_000);
    for (id, after) in [("working", 6), ("new", 0)] {
        let at_work = Some(head(TaskState::Working, 1));
        let refused = append(&store, key(id), after, [chunk(&huge)], at_work).await;
        assert!(matches!(refused, Err(AppendError::TooLarge)), "{id} {refused:?}");
    }
    assert!(store.head(&key("new")).await.unwrap().is_none());
    assert_eq!(slots(&store, "working").await.len(), 6);
}

async fn large_slots_are_raced_for(table: Table) {
    let (one, two) = (table.open().await, table.open().await);
    for (after, length) in (0..).zip([40_000, 40_000, 40_000, 800_000]) {
        let entry = |name: &str| [chunk(&format!("{name}{}", noise(length)))];
        let at_work = || (after != 3).then(|| head(TaskState::Working, 1));
        let (first, second) = tokio::join!(
            append(&one, key("t"), after, entry("one"), at_work()),
            append(&two, key("t"), after, entry("two"), at_work()),
        );
        let won = match (first, second) {
            (Ok(()), Err(AppendError::Conflict)) => "one",
            (Err(AppendError::Conflict), Ok(())) => "two",
            outcomes => panic!("{outcomes:?}"),
        };
        let read = slots(&table.open().await, "t").await;
        assert!(*read.last().unwrap().entries == entry(won), "{after}");
    }
}

async fn instances_race_and_follow_each_other(table: Table) {
    let (one, two, three) = (table.open().await, table.open().await, table.open().await);
    put(&one, "t", head(TaskState::Working, 1)).await;
    let follower = Arc::clone(&three).tail(key("t"), 0).take(61);
    let follower = tokio::spawn(follower.map(Result::unwrap).collect::<Vec<_>>());
    let writers = [one, two].map(|store| {
        tokio::spawn(async move {
            let (mut written, mut after) = (0, 1);
            while written < 30 {
                let head = (written % 7 == 0).then(|| head(TaskState::Working, written));
                match append(&store, key("t"), after, [chunk("x")], head).await {
                    Ok(()) => (written, after) = (written + 1, after + 1),
                    Err(AppendError::Conflict) => after = slots(&store, "t").await.len() as u64,
                    Err(other) => panic!("{other}"),
                }
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let followed = tokio::time::timeout(std::time::Duration::from_secs(1), follower);
    let followed = followed.await.expect("what was appended is followed within a second").unwrap();
    assert!(followed == slots(&three, "t").await);
}

/// An index follows its table after a moment. Here it never does.
async fn a_stale_index_shows_nothing_wrong(table: Table) {
    let store = table.open().await;
    for number in 0..10 {
        put(&store, &number.to_string(), head(TaskState::Working, number)).await;
    }
    // The index has those states and times, the heads have others.
    let done = serde_json::to_vec(&head(TaskState::Completed, 5)).unwrap();
    table.set("0:5", "H", "h", AttributeValue::B(Blob::new(done))).await;
    let risen = serde_json::to_vec(&head(TaskState::Working, 50)).unwrap();
    table.set("0:3", "H", "h", AttributeValue::B(Blob::new(risen))).await;
    let working = ListQuery { state: Some(TaskState::Working), limit: 4, ..everything() };
    let page = store.list(&working).await.unwrap();
    let shown: Vec<&str> = page.rows.iter().map(|(id, _)| &**id).collect();
    assert_eq!(shown, ["9", "8", "7", "6"], "a full page");
    let page = store.list(&ListQuery { after: page.next, ..working }).await.unwrap();
    let shown: Vec<&str> = page.rows.iter().map(|(id, _)| &**id).collect();
    assert_eq!(shown, ["4", "2", "1", "0"], "what has risen is before this page");
    let all = ids(&store, everything()).await.0;
    assert_eq!(all, ["3", "9", "8", "7", "6", "5", "4", "2", "1", "0"]);
}

async fn totals_are_exact(table: Table) {
    let store = table.open().await;
    for number in 0..7 {
        put(&store, &number.to_string(), head(TaskState::Working, number)).await;
        let page = store.list(&ListQuery { limit: 2, ..everything() }).await.unwrap();
        assert_eq!(page.total, u64::try_from(number).unwrap() + 1, "this instance's own are seen");
    }
    let context = ListQuery { context_id: Some("c".into()), limit: 2, ..everything() };
    assert_eq!(store.list(&context).await.unwrap().total, 7);
    let state = ListQuery { state: Some(TaskState::Completed), ..context.clone() };
    assert_eq!(store.list(&state).await.unwrap().total, 0);
    append(&store, key("3"), 1, [chunk("x")], Some(head(TaskState::Completed, 9))).await.unwrap();
    assert_eq!(store.list(&state).await.unwrap().total, 1);
    let since = ListQuery { since: Some(Timestamp::from_millis(5)), limit: 1, ..everything() };
    assert_eq!(store.list(&since).await.unwrap().total, 3);
}

async fn long_names_are_kept(table: Table) {
    let store = table.open().await;
    let long = "é".repeat(2_000);
    let name =
        |last: &str| TaskKey { tenant: long.as_str().into(), id: format!("{long}{last}").into() };
    let long_head = || {
        let head = head(TaskState::Working, 1);
        Head { owner: long.as_str().into(), context_id: long.as_str().into(), ..head }
    };
    for last in ["a", "b", "c"] {
        append(&store, name(last), 0, [submitted(last)], Some(long_head())).await.unwrap();
        append(&store, name(last), 1, [chunk(last)], None).await.unwrap();
    }
    assert_eq!(
        store.read(&name("b"), 1).await.unwrap().unwrap().slots[0].entries[..],
        [chunk("b")]
    );
    let mut running = running_keys(&store).await;
    running.sort();
    assert_eq!(running, ["a", "b", "c"].map(name));
    for state in [None, Some(TaskState::Working)] {
        let (tenant, owner) = (long.as_str().into(), long.as_str().into());
        let context_id = Some(long.as_str().into());
        let mut query = ListQuery { tenant, owner, context_id, state, limit: 1, ..everything() };
        let mut found = Vec::new();
        loop {
            let page = store.list(&query).await.unwrap();
            found.extend(page.rows.into_iter().map(|(id, _)| id));
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        found.sort();
        assert_eq!(found, ["a", "b", "c"].map(|last| name(last).id));
    }
}

async fn a_table_is_made_once(table: Table) {
    let store = table.open().await;
    put(&store, "t", head(TaskState::Working, 1)).await;
    let url = table.url("");
    let (one, two) = tokio::join!(store::prepare(&url), store::prepare(&url));
    assert_eq!((one, two), (Ok(()), Ok(())));
    assert_eq!(slots(&store, "t").await.len(), 1);
    let describe = table.client().await.describe_time_to_live().table_name(&table.name);
    let ttl = describe.send().await.unwrap().time_to_live_description.unwrap();
    assert_eq!(ttl.attribute_name(), Some("ttl"));
}
