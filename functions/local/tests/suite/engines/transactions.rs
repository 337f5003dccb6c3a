//! Requests in transactions: what is aborted is no request, and the group's lag goes back to none
//! although a transaction's marker is no record.

use std::time::Duration;

use a2a_core::kafka::Topics;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord, Producer},
};
use tokio::task::spawn_blocking;

use super::real_kafka::{PATIENCE, answers, brokers, client, is_terran, new_name, question, start};

/// Sends the question under that key in a transaction, which is committed or aborted.
fn transact(producer: &FutureProducer, topic: &str, key: &str, commits: bool) {
    let question = question().to_string();
    producer.begin_transaction().unwrap();
    let record = FutureRecord::to(topic).partition(0).key(key).payload(&question);
    let _sent = producer.send_result(record).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    match commits {
        true => producer.commit_transaction(PATIENCE).unwrap(),
        false => producer.abort_transaction(PATIENCE).unwrap(),
    }
}

/// Where the agent's group goes on in the partition, and where that ends.
fn offsets(name: &str, topic: &str) -> (Offset, i64) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers()).set("group.id", format!("agent.{name}"));
    let group: BaseConsumer = config.create().unwrap();
    let mut one = TopicPartitionList::new();
    one.add_partition(topic, 0);
    let committed = group.committed_offsets(one, PATIENCE).unwrap();
    let end = group.fetch_watermarks(topic, 0, PATIENCE).unwrap().1;
    (committed.elements()[0].offset(), end)
}

#[tokio::test]
async fn what_is_aborted_is_no_request_and_markers_leave_no_lag() {
    let name = new_name("transactions");
    let runner = start(&name, &["--partitions", "1"]);
    let client = client(&name);
    let Topics { requests, .. } = client.topics().clone();
    let (topic, id) = (requests.clone(), name.clone());
    let produced = spawn_blocking(move || {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers()).set("transactional.id", id);
        let producer: FutureProducer = config.create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        for (key, commits) in [("aborted", false), ("kept", true), ("aborted", false)] {
            transact(&producer, &topic, key, commits);
        }
    });
    produced.await.unwrap();
    let answered = answers(&client, &["kept".to_owned()]).await;
    assert!(is_terran(&answered["kept"][0].json()), "{answered:?}");
    // Three records and three markers.
    let lag = async || loop {
        let (name, topic) = (name.clone(), requests.clone());
        let (committed, end) = spawn_blocking(move || offsets(&name, &topic)).await.unwrap();
        assert_eq!(end, 6);
        if committed == Offset::Offset(end) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    tokio::time::timeout(PATIENCE, lag()).await.expect("the group lags behind markers");
    assert_eq!(answered.len(), 1, "what was aborted is answered");
    drop(runner);
}
