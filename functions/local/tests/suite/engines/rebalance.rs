//! Rebalances on a real Apache Kafka, while records of the revoked partitions are worked on.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use a2a_core::{
    AgentCard, AgentError, AgentExecutor, DefaultRequestHandler, EventQueue, MemoryStore,
    RequestContext, async_trait,
    kafka::{KafkaEndpoint, Topics},
};
use a2a_kafka::{KafkaProducer, RecordHandler};
use a2a_local::{
    broker,
    consumer::Source,
    kafka::{self, Work},
};
use futures_util::future::join_all;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::kafka_client::KafkaClient;

/// Says each message back after a while, and counts how often it was asked.
#[derive(Default)]
struct Slow(AtomicUsize);

#[async_trait]
impl AgentExecutor for Slow {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(queue.complete(context.text()).await?)
    }
}

/// Another runner joins and shuts down while batches are under way: each rebalance
/// revokes every partition, and its owner finishes the record that it works on first.
#[tokio::test]
async fn a_rebalance_moves_a_partition_between_two_records() {
    let brokers = std::env::var("A2A_TEST_KAFKA").expect("run `cargo xtask test`");
    let name = format!("rebalance-{}", uuid::Uuid::new_v4().simple());
    let topics = Topics::of(&name);
    broker::create_topics(&brokers, &topics, 3).await.unwrap();
    let slow = Arc::new(Slow::default());
    let card = AgentCard { name: name.clone(), ..AgentCard::default() };
    let agent = Arc::clone(&slow) as Arc<dyn AgentExecutor>;
    let handler = DefaultRequestHandler::new(card, agent, Arc::new(MemoryStore::default()));
    let endpoint = KafkaEndpoint::new(handler, &name, "");
    let records = RecordHandler::new(endpoint, Arc::new(KafkaProducer::new(&brokers).unwrap()));
    let join = || {
        let source = Source {
            brokers: brokers.clone(),
            topic: topics.requests.clone(),
            group: Some(name.clone()),
            fetch_wait: Duration::from_millis(500),
        };
        let stop = CancellationToken::new();
        (tokio::spawn(kafka::consume(source, records.clone(), Work::default(), stop.clone())), stop)
    };
    let client = KafkaClient::connect(&brokers, &name);
    let (first, stop_first) = join();
    let all: Vec<String> = (0..240).map(|index| format!("key-{index}")).collect();
    let question = json!({ "message": { "text": "Terran win rate" } });
    join_all(all.iter().map(|key| client.ask(key, &question))).await;
    let mut found = BTreeSet::from([client.next().await.key().to_owned()]);
    for _ in 0..2 {
        let (second, stop_second) = join();
        let before = found.len();
        while found.len() < before + 60 {
            found.insert(client.next().await.key().to_owned());
        }
        stop_second.cancel();
        second.await.unwrap().unwrap();
    }
    while found.len() < all.len() {
        found.insert(client.next().await.key().to_owned());
    }
    stop_first.cancel();
    first.await.unwrap().unwrap();
    assert_eq!(slow.0.load(Ordering::SeqCst), all.len(), "each message is worked on once");
    assert_eq!(client.records(&client.topics().responses), all.len() as i64, "and answered once");
}
