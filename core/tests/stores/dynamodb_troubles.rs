//! What the DynamoDB store says and does when its table or its engine is not as it should be.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use a2a_core::{
    TaskState, TaskStore,
    store::{
        self, AppendError,
        conformance::{append, chunk, head, key, put},
    },
};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};

use crate::{
    dynamodb::Table,
    proxy::{Line, Proxy},
};

const ENGINE: &str = "A2A_TEST_DYNAMODB";

/// A store whose engine can be taken away.
async fn behind_a_proxy(case: &str) -> (Proxy, Table, Arc<dyn TaskStore>) {
    let table = Table::made(ENGINE, case).await;
    let engine = table.endpoint.strip_prefix("http://").unwrap().to_owned();
    let proxy = Proxy::before(&engine).await;
    let endpoint = format!("http://{}", proxy.address());
    let store = Table { endpoint, name: table.name.clone() }.open().await;
    (proxy, table, store)
}

async fn refused(url: String) -> String {
    let begun = Instant::now();
    let error = store::open(&url).await.err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(6), "{error} after {:?}", begun.elapsed());
    assert!(error.ends_with('.') && !error.contains('\n'), "{error}");
    error
}

#[tokio::test]
async fn what_is_wrong_with_a_table_is_said() {
    for engine in [ENGINE, "A2A_TEST_MOTO"] {
        let missing = refused(Table::unmade(engine, "missing").url("")).await;
        assert!(
            missing.contains("no table missing-") && missing.contains("--prepare"),
            "{missing}"
        );
        for (hash, range, says) in
            [("pk", "sk", "no index by_owner"), ("id", "at", "other keys than pk and sk")]
        {
            let table = Table::unmade(engine, "other");
            let mut create = table.client().await.create_table().table_name(&table.name);
            create = create.billing_mode(BillingMode::PayPerRequest);
            for (name, key) in [(hash, KeyType::Hash), (range, KeyType::Range)] {
                let schema = KeySchemaElement::builder().attribute_name(name).key_type(key);
                let definition = AttributeDefinition::builder()
                    .attribute_name(name)
                    .attribute_type(ScalarAttributeType::S);
                create = create.key_schema(schema.build().unwrap());
                create = create.attribute_definitions(definition.build().unwrap());
            }
            create.send().await.unwrap();
            let error = refused(table.url("")).await;
            assert!(error.contains(says), "{engine}: {error}");
        }
    }
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_said() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = refused(format!("dynamodb://tasks?endpoint=http://{unused}")).await;
    assert!(error.contains("cannot be reached"), "{error}");
    let (proxy, table, _store) = behind_a_proxy("silent").await;
    proxy.set(Line::Stalled);
    let url = format!("dynamodb://{}?endpoint=http://{}", table.name, proxy.address());
    let error = refused(url).await;
    assert!(error.contains("did not answer"), "{error}");
}

#[tokio::test]
async fn an_outage_of_the_engine_is_recovered_from() {
    let (proxy, table, store) = behind_a_proxy("outage").await;
    put(&store, "t", head(TaskState::Working, 1)).await;
    for line in [Line::Cut, Line::Stalled] {
        proxy.set(line);
        let begun = Instant::now();
        let task = key("t");
        let (read, appended) =
            tokio::join!(store.read(&task, 0), append(&store, key("t"), 9, [chunk("x")], None));
        assert!(read.unwrap_err().is_retriable(), "{line:?}");
        let Err(AppendError::Store(error)) = appended else { panic!("{line:?}") };
        assert!(error.is_retriable(), "{line:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{line:?}: {:?}", begun.elapsed());
        proxy.set(Line::Open);
        assert!(store.read(&key("t"), 0).await.unwrap().is_some(), "{line:?}");
    }
    append(&store, key("t"), 1, [chunk("x")], None).await.unwrap();
    assert_eq!(table.open().await.read(&key("t"), 0).await.unwrap().unwrap().slots.len(), 2);
}

/// The append lands and its acknowledgement does not: it is not written twice, and its writer can
/// see that it was written.
#[tokio::test]
async fn a_lost_acknowledgement_hides_nothing() {
    let (proxy, _table, store) = behind_a_proxy("lost").await;
    put(&store, "t", head(TaskState::Working, 1)).await;
    for (after, head) in (1..).zip([None, None, Some(head(TaskState::Completed, 2))]) {
        let entry = [chunk(&format!("mine {after}"))];
        proxy.set(Line::Mute);
        let (writer, written) = (Arc::clone(&store), entry.clone());
        let writing =
            tokio::spawn(async move { append(&writer, key("t"), after, written, head).await });
        tokio::time::sleep(Duration::from_millis(500)).await;
        proxy.set(Line::Open);
        match writing.await.unwrap() {
            Ok(()) | Err(AppendError::Conflict) => {}
            Err(AppendError::Store(error)) => assert!(error.is_retriable(), "{error}"),
            Err(other) => panic!("{other}"),
        }
        let slots = store.read(&key("t"), after).await.unwrap().unwrap().slots;
        assert_eq!(slots.len(), 1);
        assert_eq!(*slots[0].entries, entry);
    }
}
