//! The function behind a topic, as a mapping calls it.
//!
//! Owns: the event as MSK's has it, the check of the answer, a line for each batch. Must never
//! know: offsets and order, which are `mapping`'s.

use std::sync::Arc;

use a2a_kafka::{
    BatchResponse,
    event::{self, Cluster},
};
use a2a_local::consumer::Source;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    destination::{CLUSTER, Destination, failure},
    invoke::Endpoint,
    mapping::Invoke,
    partition::{Batch, Reason},
};

/// A function wherever it is served, taking a topic's batches.
#[derive(Clone)]
pub struct LambdaFunction {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is called.
    pub endpoint: Endpoint,
    /// Whether its answer says what is to be redelivered (Lambda's `ReportBatchItemFailures`). Else
    /// an answer that is no error is success, whatever it is.
    pub reports: bool,
    /// Where records go that are given up; else they are only printed.
    pub destination: Option<Destination>,
}

impl Invoke for LambdaFunction {
    async fn invoke(&self, source: &Source, batches: &[Batch]) -> Result<BatchResponse, String> {
        let began = Instant::now();
        let answered = match write(source, batches) {
            Ok(event) => self.endpoint.invoke(event.into()).await,
            Err(error) => Err(format!("the event could not be written: {error}")),
        };
        let response = answered.and_then(|answer| {
            if self.reports { read(&answer, source, batches) } else { Ok(BatchResponse::default()) }
        });
        let took = began.elapsed().as_millis();
        println!("{} in {took} ms: {}", sentence(batches), outcome(&response));
        response
    }

    /// As Lambda does it: what the destination does not take is lost to it all the same, or it would
    /// hold up its partition.
    async fn discarded(&self, source: &Source, batch: &Batch, reason: Reason) {
        let records = sentence(std::slice::from_ref(batch));
        let why = match reason {
            Reason::Retries => "they were retried as often as they may be",
            Reason::Age => "they are older than they may be",
        };
        let failure = failure(&self.name, source, batch, reason);
        let whereto = match &self.destination {
            None => format!("An on-failure destination would get: {failure}"),
            Some(destination) => match destination.put(batch, &failure).await {
                Ok(()) => format!("They are in {} now.", destination.topic),
                Err(error) => format!("{error}. It would get: {failure}"),
            },
        };
        println!("{records}: PASSED OVER, {why}. {whereto}");
    }
}

/// The event of an MSK cluster.
fn write(source: &Source, batches: &[Batch]) -> Result<Vec<u8>, serde_json::Error> {
    let records = batches.iter().map(|batch| (batch.name(source), &*batch.records));
    event::write(Cluster { arn: Some(CLUSTER), bootstrap_servers: &source.brokers }, records)
}

/// Reads the answer as Lambda does: nothing at all, or no failures, is success; a record that was
/// not in the batch makes the whole batch fail.
fn read(answer: &[u8], source: &Source, batches: &[Batch]) -> Result<BatchResponse, String> {
    let shown = || String::from_utf8_lossy(answer).into_owned();
    let value: Value = match answer {
        [] => Value::Null,
        _ => serde_json::from_slice(answer)
            .map_err(|error| format!("the answer is no JSON, {error}: {}", shown()))?,
    };
    if value.get("batchItemFailures").is_none_or(Value::is_null) {
        return Ok(BatchResponse::default());
    }
    let response: BatchResponse = serde_json::from_value(value)
        .map_err(|error| format!("the answer is no batch response, {error}: {}", shown()))?;
    let holds = |batch: &Batch, partition: &str, offset| {
        batch.name(source) == partition && (batch.first..=batch.last).contains(&offset)
    };
    let mut items = response.batch_item_failures.iter().map(|failure| &failure.item_identifier);
    let is_there = |partition: &str, offset| batches.iter().any(|it| holds(it, partition, offset));
    match items.find(|item| !is_there(&item.partition, item.offset)) {
        None => Ok(response),
        Some(item) => Err(format!(
            "the answer names {} of {}, which was not in the batch",
            item.offset, item.partition
        )),
    }
}

/// The batch in words: how many records, and which.
fn sentence(batches: &[Batch]) -> String {
    let records: usize = batches.iter().map(|batch| batch.records.len()).sum();
    let range = |Batch { partition, first, last, .. }: &Batch| match last > first {
        true => format!("{partition}: {first} to {last}"),
        false => format!("{partition}: {first}"),
    };
    let ranges: Vec<String> = batches.iter().map(range).collect();
    let plural = if records == 1 { "" } else { "s" };
    format!("{records} record{plural} (partition {})", ranges.join(", "))
}

fn outcome(response: &Result<BatchResponse, String>) -> String {
    match response.as_ref().map(BatchResponse::first_failures) {
        Err(reason) => format!("FAILED, all of it is redelivered. {reason}"),
        Ok(failures) if failures.is_empty() => "done".to_owned(),
        Ok(failures) => {
            let from =
                failures.iter().map(|(partition, offset)| format!("{partition} from {offset}"));
            format!("redelivered: {}", from.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use a2a_core::wire::kafka::Record;
    use serde_json::json;

    use super::*;

    fn source() -> Source {
        Source {
            brokers: "h:1".to_owned(),
            topic: "agent.data.requests".to_owned(),
            ..Source::default()
        }
    }

    fn batch(partition: i32, offsets: std::ops::RangeInclusive<i64>) -> Batch {
        let (first, last) = (*offsets.start(), *offsets.end());
        let record = |offset| Record {
            topic: source().topic,
            partition,
            offset,
            timestamp: 1_795_374_786_353,
            value: Some(vec![0xec, 0x8a].into()),
            headers: vec![("note".to_owned(), vec![0xec, 0x61].into())],
            ..Record::default()
        };
        Batch { generation: 1, partition, first, last, records: offsets.map(record).collect() }
    }

    #[test]
    fn the_event_is_one_of_msk() {
        let json = write(&source(), &[batch(0, 5..=6), batch(2, 1..=1)]).unwrap();
        let event: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(
            (&event["eventSource"], &event["eventSourceArn"]),
            (&json!("aws:kafka"), &json!(CLUSTER))
        );
        assert_eq!(event["bootstrapServers"], "h:1");
        assert_eq!(event["records"]["agent.data.requests-0"][1]["offset"], 6);
        assert_eq!(
            event["records"]["agent.data.requests-2"][0]["headers"],
            json!([{ "note": [-20, 97] }])
        );
    }

    #[test]
    fn an_answer_is_read_as_lambda_reads_it() {
        let batches = [batch(0, 5..=6), batch(2, 1..=1)];
        let read = |answer: &str| read(answer.as_bytes(), &source(), &batches);
        for done in
            ["", "null", "{}", r#"{"batchItemFailures":null}"#, r#"{"batchItemFailures":[]}"#]
        {
            assert_eq!(read(done), Ok(BatchResponse::default()), "{done}");
        }
        let failed = |partition: Value, offset: Value| {
            let item = json!({ "itemIdentifier": { "partition": partition, "offset": offset } });
            read(&json!({ "batchItemFailures": [item] }).to_string())
        };
        let one = failed("agent.data.requests-0".into(), 6.into()).unwrap();
        assert_eq!(one.first_failures(), BTreeMap::from([("agent.data.requests-0", 6)]));
        for (partition, offset) in [
            (json!("agent.data.requests-0"), json!(7)),
            (json!("agent.data.requests-1"), json!(6)),
            (json!("agent.data.requests-0"), json!("6")),
            (json!(0), json!(6)),
        ] {
            let refused = failed(partition.clone(), offset.clone());
            assert!(refused.is_err(), "{partition} {offset}");
        }
        assert!(read("nonsense").unwrap_err().contains("nonsense"));
    }

    #[test]
    fn a_batch_is_one_line() {
        let batches = [batch(0, 5..=6), batch(2, 1..=1)];
        assert_eq!(sentence(&batches), "3 records (partition 0: 5 to 6, 2: 1)");
        assert_eq!(sentence(&batches[1..]), "1 record (partition 2: 1)");
        assert_eq!(outcome(&Ok(BatchResponse::default())), "done");
    }

    #[test]
    fn a_destination_hears_which_records() {
        let told = failure("a2a-kafka", &source(), &batch(0, 5..=6), Reason::Age);
        let records = &told["KafkaBatchInfo"]["recordInfo"]["agent.data.requests-0"];
        assert_eq!(
            (&records["firstRecordOffset"], &records["lastRecordOffset"]),
            (&json!("5"), &json!("6"))
        );
        assert_eq!(records["firstRecordTimestamp"], "2026-11-22T19:13:06.353Z");
        assert_eq!(told["KafkaBatchInfo"]["payloadSize"], 4);
        assert_eq!(told["requestContext"]["condition"], "RecordAgeExceeded");
    }
}
