//! A batch of records in one invocation: a raw echo beside our Kafka function.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use a2a_core::wire::kafka::Record;
use a2a_emulator::Function;
use a2a_kafka::event::{Cluster, write};
use a2a_local::broker::create_missing;
use anyhow::{Context, Error, Result, ensure};
use bytes::Bytes;
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::function::{INVOKE_LIMIT, STORE, median, start};
use crate::cli::Options;
use crate::kafka::settings;
use crate::report::{Aim, Row};

const RECORDS: usize = 100;
/// Batches of one sample.
const BATCHES: usize = 100;

/// Records a second of both. `ours` is one of a program's agents, and the program.
pub(super) async fn row(
    options: &Options,
    brokers: &str,
    (agent, ours): (&str, &Path),
    echo: &Path,
    aim: Aim,
) -> Result<Row> {
    let name = format!("Lambda Kafka, {RECORDS} records, `{agent}`");
    let mut row = Row::new(name, "rec/s", aim);
    let unique = format!("{agent}-{}", std::process::id());
    let topic = |name: &str| format!("bench-lambda-{name}-{unique}");
    let topics = ["ours", "echo", "ours-requests", "echo-requests"].map(topic);
    let all = topics.each_ref().map(String::as_str);
    create_missing(brokers, &all, settings::PARTITIONS).await.map_err(Error::msg)?;
    let [ours_topic, echo_topic, ours_requests, echo_requests] = all;
    let requests: FutureProducer = settings::producer(brokers).create()?;
    let function = |program, topic| async move {
        let kafka = [("A2A_KAFKA", brokers), ("A2A_KAFKA_RESPONSES", topic)];
        start(program, &[STORE, ("A2A_AGENT", agent), kafka[0], kafka[1]]).await
    };
    let mut ours = Batches::new(function(ours, ours_topic).await?, &requests, ours_requests);
    let mut echo = Batches::new(function(echo, echo_topic).await?, &requests, echo_requests);
    for sample in 0..=options.samples {
        // In turn, batch by batch: what the broker does meanwhile meets both alike.
        let (mut mine, mut limit) = (Vec::new(), Vec::new());
        for _ in 0..BATCHES {
            limit.push(echo.next().await?);
            mine.push(ours.next().await?);
        }
        // The first is for warming up, the broker above all.
        if sample > 0 {
            row.limit.push(rate(&limit));
            row.ours.push(rate(&mine));
        }
    }
    Ok(row)
}

/// Records a second, by the median batch.
fn rate(times: &[Duration]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
    let records = RECORDS as f64;
    records / median(times)
}

/// A function, and the topic its records stand on.
pub(crate) struct Batches<'a> {
    function: Function,
    requests: &'a FutureProducer,
    topic: &'a str,
    batch: usize,
    /// What each record holds.
    pub(crate) value: Bytes,
    /// The partition of all records; without one, each is where a client's producer puts it.
    pub(crate) partition: Option<i32>,
    /// How long an invocation may take.
    pub(crate) limit: Duration,
}

impl<'a> Batches<'a> {
    pub(crate) fn new(function: Function, requests: &'a FutureProducer, topic: &'a str) -> Self {
        let value = Bytes::from_static(br#"{"message":{"text":"Terran win rate"}}"#);
        Self { function, requests, topic, batch: 0, value, partition: None, limit: INVOKE_LIMIT }
    }

    /// How long the next batch takes; the making of its event does not count.
    pub(crate) async fn next(&mut self) -> Result<Duration> {
        let event = self.event().await?;
        let answer = self.function.invoke(event, self.limit).await?;
        let text = answer.text();
        ensure!(text == r#"{"batchItemFailures":[]}"#, "records were not answered: {text}");
        Ok(answer.took)
    }

    /// New records. An answer with the same key has a partition of the same number where a client's
    /// producer chose it.
    async fn event(&mut self) -> Result<Vec<u8>> {
        let keys: Vec<String> = (0..RECORDS).map(|it| format!("{}-{it}", self.batch)).collect();
        self.batch += 1;
        let send = |key| {
            let mut record = FutureRecord::to(self.topic).key(key).payload(&*self.value);
            record.partition = self.partition;
            self.requests.send_result(record).map_err(|(error, _)| error)
        };
        let sent: Vec<_> = keys.iter().map(send).collect::<Result<_, _>>()?;
        let mut records: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        for (key, sent) in keys.into_iter().zip(sent) {
            let at = sent.await?.map_err(|(error, _)| error).context("a request was not sent")?;
            let record = Record {
                topic: self.topic.to_owned(),
                partition: at.partition,
                offset: at.offset,
                broker_time: false,
                timestamp: at.timestamp.to_millis().unwrap_or_default(),
                key: Some(key.into()),
                value: Some(self.value.clone()),
                headers: Vec::new(),
            };
            records.entry(format!("{}-{}", self.topic, at.partition)).or_default().push(record);
        }
        Ok(write(Cluster { arn: None, bootstrap_servers: "127.0.0.1:9092" }, records)?)
    }
}
