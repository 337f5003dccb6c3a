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
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::kafka_client::KafkaClient;

/// Says each message back after a while, and counts how often it was asked.
struct Slow {
    takes: Duration,
    asked: AtomicUsize,
}

#[async_trait]
impl AgentExecutor for Slow {
    async fn execute(&self, context: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.takes).await;
        Ok(queue.complete(context.text()).await?)
    }
}

/// Members of one group, which serve one agent from one store.
struct Group {
    source: Source,
    records: RecordHandler,
    slow: Arc<Slow>,
    client: KafkaClient,
}

/// A member, and what has it shut down.
type Member = (JoinHandle<Result<(), String>>, CancellationToken);

impl Group {
    async fn new(takes: Duration) -> Self {
        let brokers = std::env::var("A2A_TEST_KAFKA").expect("run `cargo xtask test`");
        let name = format!("rebalance-{}", uuid::Uuid::new_v4().simple());
        let topics = Topics::of(&name);
        broker::create_topics(&brokers, &topics, 3).await.unwrap();
        let slow = Arc::new(Slow { takes, asked: AtomicUsize::new(0) });
        let card = AgentCard { name: name.clone(), ..AgentCard::default() };
        let agent = Arc::clone(&slow) as Arc<dyn AgentExecutor>;
        let handler = DefaultRequestHandler::new(card, agent, Arc::new(MemoryStore::default()));
        let endpoint = KafkaEndpoint::new(handler, &name, "");
        let records = RecordHandler::new(endpoint, Arc::new(KafkaProducer::new(&brokers).unwrap()));
        let client = KafkaClient::connect(&brokers, &name);
        let fetch_wait = Duration::from_millis(500);
        let source = Source { brokers, topic: topics.requests, group: Some(name), fetch_wait };
        Self { source, records, slow, client }
    }

    fn join(&self) -> Member {
        let (source, records, stop) =
            (self.source.clone(), self.records.clone(), CancellationToken::new());
        let work = Work::default();
        (tokio::spawn(kafka::consume(source, records, work, stop.clone())), stop)
    }

    async fn leave((member, stop): Member) {
        stop.cancel();
        member.await.unwrap().unwrap();
    }
}

fn question() -> Value {
    json!({ "message": { "text": "Terran win rate" } })
}

/// Another runner joins and shuts down while batches are under way: each rebalance
/// revokes every partition, and its owner finishes the record that it works on first.
#[tokio::test]
async fn a_rebalance_moves_a_partition_between_two_records() {
    let group = Group::new(Duration::from_millis(100)).await;
    let client = &group.client;
    let first = group.join();
    let all: Vec<String> = (0..240).map(|index| format!("key-{index}")).collect();
    let question = question();
    join_all(all.iter().map(|key| client.ask(key, &question))).await;
    let mut found = BTreeSet::from([client.next().await.key().to_owned()]);
    for _ in 0..2 {
        let second = group.join();
        let before = found.len();
        while found.len() < before + 60 {
            found.insert(client.next().await.key().to_owned());
        }
        Group::leave(second).await;
    }
    while found.len() < all.len() {
        found.insert(client.next().await.key().to_owned());
    }
    Group::leave(first).await;
    let asked = group.slow.asked.load(Ordering::SeqCst);
    assert_eq!(asked, all.len(), "each message is worked on once");
    assert_eq!(client.records(&client.topics().responses), all.len() as i64, "and answered once");
}

/// Records come all the time, also at the moment at which a partition is revoked and nothing of it is
/// worked on.
#[tokio::test(flavor = "multi_thread")]
async fn no_record_is_lost_that_comes_while_partitions_are_revoked() {
    let group = Group::new(Duration::ZERO).await;
    let (client, first) = (&group.client, group.join());
    let question = question();
    let sends = async {
        for number in 0..ALL {
            client.ask(&format!("key-{number}"), &question).await;
        }
    };
    let others = async {
        for _ in 0..4 {
            let second = group.join();
            tokio::time::sleep(Duration::from_millis(700)).await;
            Group::leave(second).await;
        }
    };
    let answers = async {
        let mut found = BTreeSet::new();
        while found.len() < ALL {
            let Some(answer) = client.next_within(PATIENCE).await else { break };
            found.insert(answer.key().to_owned());
        }
        found.len()
    };
    let ((), (), found) = tokio::join!(sends, others, answers);
    assert_eq!(found, ALL);
    Group::leave(first).await;
}

const ALL: usize = 20_000;
const PATIENCE: Duration = Duration::from_secs(20);
