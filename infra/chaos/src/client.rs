//! The client: records out, whatever is answered in. It outlives the broker's restart.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use a2a_core::{Cursor, kafka::Topics};
use a2a_local::broker::create_topics;
use anyhow::{Context, Error, Result};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer, future_producer::Delivery},
};
use tokio::task::spawn_blocking;

use crate::request::{Outgoing, number};

/// How long the broker may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// How the records of transactions are compressed.
const COMPRESSION: &str = "zstd";
/// The key of records in aborted transactions: whatever has it is no answer to a request.
const ABORTED: &str = "aborted";

/// A producer of requests, and a consumer of all answers and dead letters.
pub(crate) struct Client {
    producer: FutureProducer,
    /// Of one transaction after another, from a blocking thread.
    transactions: Arc<Mutex<FutureProducer>>,
    /// The run is over: no transaction waits for the broker any more.
    over: Arc<AtomicBool>,
    consumer: StreamConsumer,
    pub(crate) topics: Topics,
    /// How many records were read, from the beginning of every partition.
    received: i64,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// To which request.
    pub(crate) number: usize,
    /// The record's value.
    pub(crate) value: Vec<u8>,
    /// Its headers.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// When it was produced, in milliseconds since 1970.
    pub(crate) at: i64,
}

impl Reply {
    /// What that header says.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        std::str::from_utf8(value).ok()
    }

    /// Its position in a stream.
    pub(crate) fn event(&self) -> Option<Cursor> {
        self.header("a2a-event-id")?.parse().ok()
    }

    /// Whether nothing follows it in its stream.
    pub(crate) fn is_last(&self) -> bool {
        self.header("a2a-last").is_some()
    }
}

impl Client {
    /// Creates the topics of the agent of that name, with so many partitions, and connects to them.
    pub(crate) async fn connect(broker: &str, name: &str, partitions: i32) -> Result<Self> {
        let topics = Topics::of(name);
        create_topics(broker, &topics, partitions).await.map_err(Error::msg)?;
        let mut producing = config(broker);
        producing.set("enable.idempotence", "true").set("message.timeout.ms", "300000");
        let producer = producing.create()?;
        producing.set("transactional.id", "chaos").set("transaction.timeout.ms", "300000");
        producing.set("compression.type", COMPRESSION);
        let transactions: FutureProducer = producing.create()?;
        let consumer: StreamConsumer = config(broker)
            .set("group.id", "chaos-client")
            .set("enable.auto.commit", "false")
            .create()?;
        let mut all = TopicPartitionList::new();
        for topic in [&topics.responses, &topics.dead_letter] {
            all.add_partition_range(topic, 0, partitions - 1);
        }
        all.set_all_offsets(Offset::Beginning)?;
        consumer.assign(&all)?;
        let transactions = spawn_blocking(move || {
            transactions.init_transactions(PATIENCE)?;
            anyhow::Ok(transactions)
        });
        let transactions = Arc::new(Mutex::new(transactions.await??));
        let over = Arc::default();
        Ok(Self { producer, transactions, over, consumer, topics, received: 0 })
    }

    /// Sends a record in a transaction, after one that is aborted, and answers where it stands.
    pub(crate) fn transact(
        &self,
        record: Outgoing,
    ) -> impl Future<Output = Result<Delivery>> + use<> {
        let (transactions, over) = (Arc::clone(&self.transactions), Arc::clone(&self.over));
        let topic = self.topics.requests.clone();
        let sent = spawn_blocking(move || {
            let producer = transactions.lock().unwrap_or_else(PoisonError::into_inner);
            let void = Outgoing { key: Some(ABORTED.to_owned()), ..record.clone() };
            transaction(&producer, &topic, &void, (ABORT, &over))?;
            loop {
                match transaction(&producer, &topic, &record, (COMMIT, &over)) {
                    Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                        finish(&producer, (ABORT, &over))?;
                    }
                    sent => return sent,
                }
            }
        });
        async move {
            let delivered = sent.await?.context("a transaction failed")?.await?;
            delivered.map_err(|(error, _)| error).context("a transaction's record was not sent")
        }
    }

    /// Sends a record, and answers with what tells where it stands.
    pub(crate) fn send(
        &self,
        record: &Outgoing,
    ) -> Result<impl Future<Output = Result<Delivery>> + use<>> {
        let sent = self.producer.send_result(outgoing(&self.topics.requests, record));
        const FAILED: &str = "a request was not sent";
        let sent = sent.map_err(|(error, _)| error).context(FAILED)?;
        Ok(async move { sent.await?.map_err(|(error, _)| error).context(FAILED) })
    }

    /// The next answer.
    pub(crate) async fn receive(&mut self) -> Result<Reply> {
        loop {
            match self.consumer.recv().await {
                Ok(message) => {
                    self.received += 1;
                    return reply(&message).with_context(|| {
                        let key = message.key().map(String::from_utf8_lossy);
                        format!("an answer has a key that no request had: {key:?}")
                    });
                }
                // The broker is unavailable; the client connects again by itself.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Every answer that is there and was not received yet.
    pub(crate) async fn drain(&mut self) -> Result<Vec<Reply>> {
        let mut all = 0;
        for it in self.consumer.assignment()?.elements() {
            let ends = self.consumer.fetch_watermarks(it.topic(), it.partition(), PATIENCE);
            all += ends.context("the answers have no end")?.1;
        }
        let (mut rest, began) = (Vec::new(), Instant::now());
        while self.received < all {
            let left = PATIENCE.saturating_sub(began.elapsed());
            let received = tokio::time::timeout(left, self.receive()).await;
            rest.push(received.context("the last answers cannot be read")??);
        }
        Ok(rest)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// How a transaction ends.
type End = fn(&FutureProducer) -> KafkaResult<()>;
/// How long one try takes.
const TRY: Duration = Duration::from_secs(5);
const COMMIT: End = |producer| producer.commit_transaction(TRY);
const ABORT: End = |producer| producer.abort_transaction(TRY);

/// Sends a record in a transaction that ends so.
fn transaction(
    producer: &FutureProducer,
    topic: &str,
    record: &Outgoing,
    end: (End, &AtomicBool),
) -> KafkaResult<DeliveryFuture> {
    producer.begin_transaction()?;
    let sent = producer.send_result(outgoing(topic, record)).map_err(|(error, _)| error)?;
    // What is aborted before it was written never was there: readers are to meet it.
    finish(producer, (|producer| producer.flush(TRY), end.1))?;
    finish(producer, end).map(|()| sent)
}

/// Does this, however long the broker is unavailable, unless the run is over.
fn finish(producer: &FutureProducer, (end, over): (End, &AtomicBool)) -> KafkaResult<()> {
    loop {
        match end(producer) {
            Err(error) if is_retriable(&error) && !over.load(Ordering::Relaxed) => {}
            ended => return ended,
        }
    }
}

/// Whether the transaction may end yet: what was sent is flushed before, which takes as long as the
/// broker is unavailable.
fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable(),
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}

fn outgoing<'a>(topic: &'a str, record: &'a Outgoing) -> FutureRecord<'a, str, [u8]> {
    let headers = record.headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
        all.insert(Header { key, value: Some(value) })
    });
    FutureRecord {
        topic,
        partition: Some(record.partition),
        payload: record.value.as_deref(),
        key: record.key.as_deref(),
        timestamp: None,
        headers: Some(headers),
    }
}

fn config(broker: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    // What it cannot reach for a while it would log again and again.
    config.set("bootstrap.servers", broker).set("log_level", "0");
    config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "500");
    config
}

fn reply(message: &BorrowedMessage<'_>) -> Option<Reply> {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let headers: Vec<(String, Vec<u8>)> = headers
        .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
        .collect();
    let trace = headers.iter().find(|(name, _)| name == "traceparent");
    let trace = trace.and_then(|(_, value)| std::str::from_utf8(value).ok());
    Some(Reply {
        number: number(message.key(), trace)?,
        value: message.payload().unwrap_or_default().to_vec(),
        at: message.timestamp().to_millis().unwrap_or_default(),
        headers,
    })
}
