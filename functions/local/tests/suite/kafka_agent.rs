//! An agent behind a broker, both in this process; and its producer, which can be told to lose.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use a2a_core::{
    DefaultRequestHandler,
    client::kafka::{KafkaOptions, KafkaTransport},
    kafka::{KafkaEndpoint, Outgoing},
};
use a2a_kafka::{Acknowledgement, KafkaProducer, Producer, RecordHandler};
use a2a_local::{
    consumer::Source,
    kafka::{self, Work},
};
use rdkafka::{mocking::MockCluster, producer::DefaultProducerContext};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) struct KafkaAgent {
    pub(crate) broker: MockCluster<'static, DefaultProducerContext>,
    pub(crate) losing: Arc<Losing>,
    stop: CancellationToken,
    consumer: JoinHandle<Result<(), String>>,
}

impl KafkaAgent {
    /// The agent `data`, on a broker of its own. It answers on `clients.*` as well; the broker has
    /// `clients.mine` and `mine`.
    pub(crate) fn start(handler: DefaultRequestHandler) -> Self {
        Self::start_with(handler, Work::default())
    }

    /// The same, which works so.
    pub(crate) fn start_with(handler: DefaultRequestHandler, work: Work) -> Self {
        let broker = MockCluster::new(1).unwrap();
        for topic in ["agent.data.requests", "agent.data.responses", "agent.data.dead-letter"] {
            broker.create_topic(topic, 2, 1).unwrap();
        }
        for topic in ["agent.registry", "clients.mine", "mine"] {
            broker.create_topic(topic, 1, 1).unwrap();
        }
        let brokers = broker.bootstrap_servers();
        let losing = Arc::new(Losing {
            producer: KafkaProducer::new(&brokers).unwrap(),
            kept: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
        });
        let endpoint =
            KafkaEndpoint::new(handler, "data", "").with_reply_topics("clients.*".parse().unwrap());
        let records = RecordHandler::new(endpoint, Arc::clone(&losing) as Arc<dyn Producer>);
        let source = Source {
            brokers,
            topic: "agent.data.requests".to_owned(),
            fetch_wait: Duration::from_millis(5),
            ..Source::default()
        };
        let stop = CancellationToken::new();
        let consumer = tokio::spawn(kafka::consume(source, records, work, stop.clone()));
        Self { broker, losing, stop, consumer }
    }

    pub(crate) fn url(&self) -> String {
        format!("kafka://{}/agent.data.requests", self.broker.bootstrap_servers())
    }

    /// A way to it, with these options.
    pub(crate) fn transport(&self, change: impl FnOnce(&mut KafkaOptions)) -> KafkaTransport {
        KafkaTransport::new(&self.url(), options(change)).unwrap()
    }

    /// A way to it whose answers are to come on that topic.
    pub(crate) fn transport_on(&self, replies: &str) -> KafkaTransport {
        let url = format!("{}?reply-to={replies}", self.url());
        KafkaTransport::new(&url, options(|_| {})).unwrap()
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.consumer.await.unwrap().unwrap();
    }
}

/// Options for the broker in this process, which does not wake a fetch that waits.
pub(crate) fn options(change: impl FnOnce(&mut KafkaOptions)) -> KafkaOptions {
    let mut options = KafkaOptions::default();
    options.settings.insert("fetch.wait.max.ms".to_owned(), "5".to_owned());
    change(&mut options);
    options
}

/// A producer that acknowledges everything, but loses some.
pub(crate) struct Losing {
    producer: KafkaProducer,
    kept: AtomicUsize,
    lost: AtomicUsize,
    sent: AtomicUsize,
}

impl Losing {
    /// Keeps the next so many, and loses so many after them.
    pub(crate) fn lose(&self, kept: usize, lost: usize) {
        self.lost.store(lost, Ordering::Relaxed);
        self.kept.store(kept, Ordering::Relaxed);
    }

    /// How many have been sent to it.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Producer for Losing {
    fn send(&self, record: Outgoing) -> Acknowledgement {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let counts_down = |count: &AtomicUsize| {
            let less = |count: usize| count.checked_sub(1);
            count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
        };
        if counts_down(&self.kept) || !counts_down(&self.lost) {
            return self.producer.send(record);
        }
        Box::pin(async { Ok(()) })
    }
}
