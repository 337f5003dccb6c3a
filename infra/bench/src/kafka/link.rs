//! The driver's way to a server over Kafka: requests out, replies in, matched by key.

mod streams;

use std::cell::Cell;
use std::time::{Duration, Instant};

use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::settings;
use crate::cli::Route;
use crate::stats::Sample;

/// No reply at all for this long means that none will come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A producer of requests and a consumer of replies.
pub(super) struct Link {
    producer: ThreadedProducer<DefaultProducerContext>,
    consumer: StreamConsumer,
    topic: String,
    payload: Vec<u8>,
    expected: &'static str,
    /// The number of the next run: keys of two runs differ, so a late reply is not taken for one
    /// of the present run.
    run: Cell<u32>,
}

/// The requests of one run.
struct Run {
    number: u32,
    sent: Vec<Instant>,
    latencies: Vec<Option<u32>>,
    answered: usize,
}

impl Link {
    /// Opens both ends. The consumer has its partitions given: no group has to settle for it.
    pub(super) fn open(
        route: &Route,
        payload: Vec<u8>,
        expected: &'static str,
    ) -> Result<Self, String> {
        let error = |error| format!("no link to {}: {error}", route.brokers);
        let producer = settings::producer(&route.brokers).create().map_err(error)?;
        let group = format!("{}-driver", route.group);
        let consumer: StreamConsumer = settings::consumer(route, &group).create().map_err(error)?;
        let mut partitions = TopicPartitionList::new();
        for partition in 0..settings::PARTITIONS {
            partitions
                .add_partition_offset(&route.replies, partition, Offset::Beginning)
                .map_err(error)?;
        }
        consumer.assign(&partitions).map_err(error)?;
        let topic = route.requests.clone();
        Ok(Self { producer, consumer, topic, payload, expected, run: Cell::new(0) })
    }

    /// Sends `records` requests, never more than `window` without an answer, until all are
    /// answered once.
    pub(super) async fn run(&self, records: usize, window: usize) -> Result<Sample, String> {
        let number = self.run.replace(self.run.get() + 1);
        let sent = Vec::with_capacity(records);
        let mut run = Run { number, sent, latencies: vec![None; records], answered: 0 };
        let began = Instant::now();
        while run.answered < records {
            while run.sent.len() < records && run.sent.len() - run.answered < window.max(1) {
                self.send(&mut run)?;
            }
            self.receive(&mut run).await?;
        }
        let seconds = began.elapsed().as_secs_f64();
        let mut latencies: Vec<u32> = run.latencies.into_iter().flatten().collect();
        Ok(Sample::rate(records as f64 / seconds, &mut latencies))
    }

    fn send(&self, run: &mut Run) -> Result<(), String> {
        let key = key(run.number, run.sent.len());
        let record = BaseRecord::to(&self.topic).key(&key).payload(&self.payload);
        run.sent.push(Instant::now());
        self.producer.send(record).map_err(|(error, _)| format!("cannot send a request: {error}"))
    }

    async fn receive(&self, run: &mut Run) -> Result<(), String> {
        match self.next().await {
            Ok(Some(message)) => self.take(run, &message),
            Ok(None) => Ok(()),
            Err(reason) => {
                let (answered, asked) = (run.answered, run.sent.len());
                Err(format!("{reason}; {answered} of {asked} are answered"))
            }
        }
    }

    /// The next record of the replies' topic; none after trouble that passes.
    async fn next(&self) -> Result<Option<BorrowedMessage<'_>>, String> {
        match tokio::time::timeout(PATIENCE, self.consumer.recv()).await {
            Err(_) => Err(format!("no reply for {} s", PATIENCE.as_secs())),
            Ok(Err(error)) if is_passing(&error) => Ok(None),
            Ok(Err(error)) => Err(format!("cannot read replies: {error}")),
            Ok(Ok(message)) => Ok(Some(message)),
        }
    }

    /// Counts a reply. A second one to the same request counts once, one of an earlier run not.
    fn take(&self, run: &mut Run, message: &BorrowedMessage<'_>) -> Result<(), String> {
        let key = message.key().and_then(|key| str::from_utf8(key).ok()).unwrap_or_default();
        let Some(index) = index(run.number, key) else { return Ok(()) };
        let payload = String::from_utf8_lossy(message.payload().unwrap_or_default());
        if run.answered == 0 && !payload.contains(self.expected) {
            return Err(format!("a reply has no {:?}: {payload}", self.expected));
        }
        let (Some(sent), Some(latency)) = (run.sent.get(index), run.latencies.get_mut(index))
        else {
            return Err(format!("a reply's key {key} is none that was sent"));
        };
        if latency.is_none() {
            *latency = Some(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
            run.answered += 1;
        }
        Ok(())
    }
}

/// What a client gets over by itself: a connection or a leader that is not there yet.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, NotLeaderForPartition, UnknownTopicOrPartition,
    };
    let passing =
        [AllBrokersDown, BrokerTransportFailure, NotLeaderForPartition, UnknownTopicOrPartition];
    error.rdkafka_error_code().is_some_and(|code| passing.contains(&code))
}

fn key(run: u32, index: usize) -> String {
    format!("{run}-{index}")
}

/// The request's number in this run, if the key is of this run.
fn index(run: u32, key: &str) -> Option<usize> {
    let (of, index) = key.split_once('-')?;
    if of.parse() == Ok(run) { index.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_back_to_its_request() {
        assert_eq!(index(3, &key(3, 41)), Some(41));
        assert_eq!(index(4, &key(3, 41)), None);
        assert_eq!(index(0, ""), None);
        assert_eq!(index(0, "0-x"), None);
    }

    #[test]
    fn only_connection_trouble_passes() {
        let passing = KafkaError::MessageConsumption(RDKafkaErrorCode::BrokerTransportFailure);
        assert!(is_passing(&passing));
        let lasting = KafkaError::MessageConsumption(RDKafkaErrorCode::TopicAuthorizationFailed);
        assert!(!is_passing(&lasting));
    }
}
