//! A batch of records in one invocation: a raw echo beside our Kafka function.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use a2a_core::wire::kafka::Record;
use a2a_emulator::Function;
use a2a_kafka::event::{Cluster, write};
use bytes::Bytes;

use super::{PATIENCE, STORE, start};
use crate::cli::Options;
use crate::report::{Aim, Row};
use crate::stats::Sample;

const RECORDS: usize = 100;
const PARTITIONS: usize = 4;
/// Batches of one sample, and before the first.
const BATCHES: usize = 60;
const WARM_UP: usize = 20;

/// Records a second of both.
pub(super) async fn row(
    options: &Options,
    brokers: &str,
    ours: &Path,
    echo: &Path,
) -> Result<Row, String> {
    let name = format!("Lambda Kafka, batches of {RECORDS}");
    let mut row = Row::new(name, "rec/s", Aim::ShareOfLimit(0.60));
    let topic = |name: &str| format!("bench-lambda-{name}-{}", std::process::id());
    let (ours_topic, echo_topic) = (topic("ours"), topic("echo"));
    let broker = crate::kafka::broker::Broker::real(brokers);
    broker.create_topics([&ours_topic, &echo_topic]).await?;
    let function = |program, topic| async move {
        let variables = [STORE, ("A2A_KAFKA", brokers), ("A2A_KAFKA_RESPONSES", topic)];
        start(program, &variables).await
    };
    let mut ours = Batches::new(function(ours, &ours_topic).await?);
    let mut echo = Batches::new(function(echo, &echo_topic).await?);
    for batches in [&mut ours, &mut echo] {
        batches.run(WARM_UP).await?;
    }
    for _ in 0..options.samples {
        row.limit.push(echo.run(BATCHES).await?);
        row.ours.push(ours.run(BATCHES).await?);
    }
    Ok(row)
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

    /// Records a second over this many invocations; the making of an event does not count.
    async fn run(&mut self, batches: usize) -> Result<Sample, String> {
        let mut took = Duration::ZERO;
        for _ in 0..batches {
            let event = self.event()?;
            let answer =
                self.function.invoke(event, PATIENCE).await.map_err(|it| it.to_string())?;
            let text = answer.text();
            if text != r#"{"batchItemFailures":[]}"# {
                return Err(format!("records were not answered: {text}"));
            }
            took += answer.took;
        }
        #[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
        let records = (batches * RECORDS) as f64;
        Ok(Sample::of(records / took.as_secs_f64()))
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
