//! The driver's way to a server over Kafka: requests out, replies in, matched by key.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use a2a_core::kafka::Topics;
use anyhow::{Context, Result, bail, ensure};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, ThreadedProducer};
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::settings::{self, PARTITIONS};
use crate::requests;
use crate::sse::events::Events;
use crate::stats::Sample;
use crate::subjects::Ask;

/// No reply at all for this long means that none will come.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// What is sent: so many times the same, never more than `window` of them without an answer.
pub(crate) struct Requests {
    pub(crate) ask: Ask,
    pub(crate) count: usize,
    pub(crate) window: usize,
}

/// A producer of requests and a consumer of replies.
pub(crate) struct Link {
    producer: ThreadedProducer<DefaultProducerContext>,
    consumer: StreamConsumer,
    topic: String,
    /// The number of the next run: keys of two runs differ, so a late reply is not taken for one
    /// of the present run.
    run: Cell<u32>,
}

impl Link {
    /// Opens both ends of the agent of that name. The consumer has its partitions given: no group
    /// has to settle for it.
    pub(crate) fn open(address: &str, name: &str, is_real: bool) -> Result<Self> {
        let producer = settings::producer(address).create()?;
        let consumer = settings::consumer(address, &format!("{name}-driver"), is_real);
        let consumer: StreamConsumer = consumer.create()?;
        let topics = Topics::of(name);
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_range(&topics.responses, 0, PARTITIONS - 1);
        partitions.set_all_offsets(Offset::Beginning)?;
        consumer.assign(&partitions)?;
        Ok(Self { producer, consumer, topic: topics.requests, run: Cell::new(0) })
    }

    /// Answers the rate at which requests are answered once, and their latencies. A second answer
    /// to the same request does not count.
    pub(crate) async fn run(&self, requests: Requests, expected: &str) -> Result<Sample> {
        let count = requests.count;
        let mut latencies = Vec::with_capacity(count);
        let open = || Some(Instant::now());
        let answer = |sent: &mut Option<Instant>, message: &BorrowedMessage<'_>| {
            let payload = String::from_utf8_lossy(message.payload().unwrap_or_default());
            let is_good = !latencies.is_empty() || payload.contains(expected);
            ensure!(is_good, "a reply has no {expected:?}: {payload}");
            let Some(sent) = sent.take() else { return Ok(false) };
            latencies.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
            Ok(true)
        };
        let seconds = self.exchange(requests, open, answer).await?;
        Ok(Sample::rate(count as f64 / seconds, &mut latencies))
    }

    /// Answers the events a second of streams of so many chunks. Each request is answered with a
    /// record per event, and every event must come, in order, before the run counts.
    pub(crate) async fn streams(&self, requests: Requests, chunks: usize) -> Result<f64> {
        let mut events = 0;
        let answer = |stream: &mut Events, message: &BorrowedMessage<'_>| {
            stream.event(&String::from_utf8_lossy(message.payload().unwrap_or_default()))?;
            let is_last = message
                .headers()
                .is_some_and(|headers| headers.iter().any(|header| header.key == "a2a-last"));
            if is_last {
                events += stream.finish(chunks)?;
            }
            Ok(is_last)
        };
        let seconds = self.exchange(requests, Events::default, answer).await?;
        Ok(events as f64 / seconds)
    }

    /// Sends and receives until all are answered, and answers how many seconds that took. `answer`
    /// takes each reply, and tells whether its request is answered with it.
    async fn exchange<T>(
        &self,
        Requests { ask, count, window }: Requests,
        open: impl Fn() -> T,
        mut answer: impl FnMut(&mut T, &BorrowedMessage<'_>) -> Result<bool>,
    ) -> Result<f64> {
        let run = self.run.replace(self.run.get() + 1);
        let payload = &requests::record(ask);
        let (mut asked, mut answered) = (HashMap::with_capacity(count), 0);
        let began = Instant::now();
        while answered < count {
            while asked.len() < count && asked.len() - answered < window.max(1) {
                let key = format!("{run}-{}", asked.len());
                self.send(&key, payload)?;
                asked.insert(key, open());
            }
            let message = self.next().await;
            let answered_of = || format!("{answered} of {} are answered", asked.len());
            let Some(message) = message.with_context(answered_of)? else { continue };
            let key = message.key().and_then(|key| str::from_utf8(key).ok()).unwrap_or_default();
            if let Some(asked) = asked.get_mut(key) {
                answered += usize::from(answer(asked, &message)?);
            }
        }
        Ok(began.elapsed().as_secs_f64())
    }

    /// Sends a request that counts for nothing else, and answers the reply and how long it took.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Result<(Value, Duration)> {
        let key = format!("ask-{}", self.run.replace(self.run.get() + 1));
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let began = Instant::now();
        self.send(&key, request.to_string().as_bytes())?;
        loop {
            let Some(message) = self.next().await? else { continue };
            if message.key() == Some(key.as_bytes()) {
                let reply = serde_json::from_slice(message.payload().unwrap_or_default());
                return Ok((reply?, began.elapsed()));
            }
        }
    }

    /// Sends a request.
    pub(crate) fn send(&self, key: &str, value: &[u8]) -> Result<()> {
        let sent = self.producer.send(BaseRecord::to(&self.topic).key(key).payload(value));
        sent.map_err(|(error, _)| error).context("cannot send a request")
    }

    /// The next record of the replies' topic; none after trouble that passes.
    pub(crate) async fn next(&self) -> Result<Option<BorrowedMessage<'_>>> {
        match tokio::time::timeout(REPLY_TIMEOUT, self.consumer.recv()).await {
            Err(_) => bail!("no reply for {} s", REPLY_TIMEOUT.as_secs()),
            Ok(Err(error)) if is_transient(&error) => Ok(None),
            Ok(message) => message.map(Some).context("cannot read replies"),
        }
    }
}

/// What a client gets over by itself: a connection or a leader that is not there yet.
fn is_transient(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code();
    matches!(code, Some(Code::AllBrokersDown | Code::BrokerTransportFailure))
        || matches!(code, Some(Code::NotLeaderForPartition | Code::UnknownTopicOrPartition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connection_trouble_is_transient() {
        let transient = KafkaError::MessageConsumption(RDKafkaErrorCode::BrokerTransportFailure);
        assert!(is_transient(&transient));
        let lasting = KafkaError::MessageConsumption(RDKafkaErrorCode::TopicAuthorizationFailed);
        assert!(!is_transient(&lasting));
    }
}
