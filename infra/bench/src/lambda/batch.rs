//! A batch of records in one invocation: a raw echo beside our Kafka function.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use a2a_core::wire::kafka::Record;
use a2a_emulator::Function;
use a2a_kafka::event::{Cluster, write};
use bytes::Bytes;

use super::{PATIENCE, STORE, median, start};
use crate::cli::Options;
use crate::report::{Aim, Row};
use crate::stats::Sample;

const RECORDS: usize = 100;
const PARTITIONS: usize = 4;
/// Batches of one sample.
const BATCHES: usize = 100;

/// Records a second of both.
pub(super) async fn row(
    options: &Options,
    brokers: &str,
    (what, ours): (&str, &Path),
    echo: &Path,
) -> Result<Row, String> {
    let name = format!("Lambda Kafka, {RECORDS} records, {what}");
    let mut row = Row::new(name, "rec/s", Aim::ShareOfLimit(0.60));
    let unique = format!("{}-{}", what.replace(' ', "-"), std::process::id());
    let topic = |name: &str| format!("bench-lambda-{name}-{unique}");
    let (ours_topic, echo_topic) = (topic("ours"), topic("echo"));
    let broker = crate::kafka::broker::Broker::real(brokers);
    broker.create_topics([&ours_topic, &echo_topic]).await?;
    let function = |program, topic| async move {
        let variables = [STORE, ("A2A_KAFKA", brokers), ("A2A_KAFKA_RESPONSES", topic)];
        start(program, &variables).await
    };
    let mut ours = Batches::new(function(ours, &ours_topic).await?);
    let mut echo = Batches::new(function(echo, &echo_topic).await?);
    for sample in 0..=options.samples {
        // In turn, batch by batch: what the broker does meanwhile meets both alike.
        let (mut mine, mut limit) = (Vec::new(), Vec::new());
        for _ in 0..BATCHES {
            limit.push(echo.next().await?);
            mine.push(ours.next().await?);
        }
        // The first is for warming up, the broker above all.
        if sample > 0 {
            row.limit.push(rate(&mut limit));
            row.ours.push(rate(&mut mine));
        }
    }
    Ok(row)
}

/// Records a second, by the median batch.
fn rate(times: &mut [Duration]) -> Sample {
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
    let records = RECORDS as f64;
    Sample::of(records / median(times))
}

/// A function, and the position in the topic it has reached.
struct Batches {
    function: Function,
    offset: i64,
}

impl Batches {
    fn new(function: Function) -> Self {
        Self { function, offset: 0 }
    }

    /// How long the next batch takes; the making of its event does not count.
    async fn next(&mut self) -> Result<Duration, String> {
        let event = self.event()?;
        let answer = self.function.invoke(event, PATIENCE).await.map_err(|it| it.to_string())?;
        match &*answer.text() {
            r#"{"batchItemFailures":[]}"# => Ok(answer.took),
            text => Err(format!("records were not answered: {text}")),
        }
    }

    /// The next records of every partition. Each has a position of its own, so each is work.
    fn event(&mut self) -> Result<Vec<u8>, String> {
        let mut records: BTreeMap<String, Vec<Record>> = BTreeMap::new();
        for index in 0..RECORDS {
            let partition = index % PARTITIONS;
            let record = Record {
                topic: "agent.data.requests".to_owned(),
                partition: i32::try_from(partition).unwrap_or_default(),
                offset: self.offset,
                timestamp: 1_795_374_786_353,
                key: Some(Bytes::from(format!("corr-{}", self.offset))),
                value: Some(Bytes::from_static(br#"{"message":{"text":"Terran win rate"}}"#)),
                headers: Vec::new(),
            };
            records.entry(format!("agent.data.requests-{partition}")).or_default().push(record);
            self.offset += 1;
        }
        write(Cluster { arn: None, bootstrap_servers: "127.0.0.1:9092" }, records)
            .map_err(|error| error.to_string())
    }
}
