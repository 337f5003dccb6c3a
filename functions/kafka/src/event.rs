//! The JSON in which Lambda delivers Kafka records.
//!
//! Owns: reading it one record at a time, so that a record Lambda's own types would refuse costs
//! itself alone, and writing it exactly as Lambda does. Must never know: what is in a record.

use std::collections::BTreeMap;

use a2a_core::wire::kafka::Record;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A batch of records, by `topic-partition`; what is inside each is read later.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KafkaEvent {
    /// The records of each partition, in order. What has none is no Kafka event.
    pub records: BTreeMap<String, Vec<Box<RawValue>>>,
}

/// Why a record cannot be read, and its offset where that much can.
#[derive(Debug)]
pub struct Unreadable {
    /// Its offset.
    pub offset: Option<i64>,
    /// What is wrong with it.
    pub reason: String,
    /// The record as it came.
    pub raw: String,
}

/// The type of a timestamp that is its producer's word, and of one that is the broker's.
const CREATE_TIME: &str = "CREATE_TIME";
const LOG_APPEND_TIME: &str = "LOG_APPEND_TIME";

/// A record as leniently as it can be read: everything but its position may be missing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    #[serde(default)]
    topic: Option<String>,
    partition: i32,
    offset: i64,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(default)]
    timestamp_type: Option<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    headers: Option<Vec<BTreeMap<String, Option<Vec<i64>>>>>,
}

/// Reads one record. `partition` is its key in the event, the topic's name and the partition's
/// number.
///
/// # Errors
/// [`Unreadable`] when it is no record at all, or has no position.
pub fn read(partition: &str, raw: &RawValue) -> Result<Record, Unreadable> {
    /// What is left to look for in a record that cannot be read.
    #[derive(Deserialize)]
    struct Position {
        offset: i64,
    }
    let record: Raw<'_> = serde_json::from_str(raw.get()).map_err(|error| Unreadable {
        offset: serde_json::from_str(raw.get()).ok().map(|Position { offset }| offset),
        reason: error.to_string(),
        raw: raw.get().to_owned(),
    })?;
    let topic_of_key = || partition.rsplit_once('-').map_or(partition, |(topic, _)| topic);
    Ok(Record {
        topic: record.topic.unwrap_or_else(|| topic_of_key().to_owned()),
        partition: record.partition,
        offset: record.offset,
        timestamp: record.timestamp.and_then(timestamp).unwrap_or_default(),
        broker_time: record.timestamp_type.as_deref() == Some(LOG_APPEND_TIME),
        key: record.key.map(decode),
        value: record.value.map(decode),
        headers: record.headers.into_iter().flatten().flatten().filter_map(header).collect(),
    })
}

/// Milliseconds, as a number or, as some tools write them, as a string.
fn timestamp(raw: &RawValue) -> Option<i64> {
    raw.get().trim_matches('"').parse().ok()
}

/// What is not base64 is taken as it is: it will be refused as JSON, in words its sender can read.
fn decode(text: String) -> Bytes {
    STANDARD.decode(&text).map_or_else(|_| text.into(), Bytes::from)
}

/// Header bytes are signed in Lambda's JSON; some tools write them unsigned. Both are the same
/// eight bits.
fn header((name, bytes): (String, Option<Vec<i64>>)) -> Option<(String, Bytes)> {
    let bytes: Option<Vec<u8>> = bytes?
        .into_iter()
        .map(|byte| match byte {
            -128..=-1 => u8::try_from(byte + 256).ok(),
            _ => u8::try_from(byte).ok(),
        })
        .collect();
    Some((name, bytes?.into()))
}

/// Where records come from.
#[derive(Clone, Copy, Debug)]
pub struct Cluster<'a> {
    /// The ARN of an Amazon MSK cluster; none for a cluster that its owner manages.
    pub arn: Option<&'a str>,
    /// Its brokers, with commas between.
    pub bootstrap_servers: &'a str,
}

/// How many bytes of an event a record takes, at most.
pub fn size(record: &Record) -> usize {
    // Names, quotes, and numbers at their longest.
    const FRAME: usize = 200;
    let base64 = |bytes: &Bytes| bytes.len().div_ceil(3) * 4;
    // A byte of a header is written as `-128,`; one of its name, where it is odd, as `\u0000`.
    let headers = record.headers.iter().map(|(name, value)| name.len() * 6 + value.len() * 5 + 8);
    let bytes = [&record.key, &record.value].into_iter().flatten().map(base64);
    FRAME + record.topic.len() + bytes.sum::<usize>() + headers.sum::<usize>()
}

/// Writes the event of these records, byte for byte as Lambda does.
///
/// # Errors
/// Never in practice: every record can be written as JSON.
pub fn write<P: AsRef<str>, R: AsRef<[Record]>>(
    cluster: Cluster,
    records: impl IntoIterator<Item = (P, R)>,
) -> Result<Vec<u8>, serde_json::Error> {
    let records: Vec<(P, R)> = records.into_iter().collect();
    let written = records.iter().map(|(partition, records)| {
        (partition.as_ref(), records.as_ref().iter().map(Written::from).collect())
    });
    let event = WrittenEvent {
        event_source: if cluster.arn.is_some() { "aws:kafka" } else { "SelfManagedKafka" },
        event_source_arn: cluster.arn,
        bootstrap_servers: cluster.bootstrap_servers,
        records: written.collect(),
    };
    serde_json::to_vec(&event)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenEvent<'a> {
    event_source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_source_arn: Option<&'a str>,
    bootstrap_servers: &'a str,
    records: BTreeMap<&'a str, Vec<Written<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    timestamp_type: &'a str,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<BTreeMap<&'a str, Vec<i8>>>,
}

impl<'a> From<&'a Record> for Written<'a> {
    fn from(record: &'a Record) -> Self {
        let header = |(name, bytes): &'a (String, Bytes)| {
            let signed = bytes.iter().map(|byte| i8::from_ne_bytes([*byte])).collect();
            BTreeMap::from([(&**name, signed)])
        };
        Self {
            topic: &record.topic,
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            timestamp_type: if record.broker_time { LOG_APPEND_TIME } else { CREATE_TIME },
            key: record.key.as_ref().map(|key| STANDARD.encode(key)),
            value: record.value.as_ref().map(|value| STANDARD.encode(value)),
            headers: record.headers.iter().map(header).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn records_are_read_leniently() {
        let position = r#""partition":2,"offset":7"#;
        let read =
            |rest: &str| read("agent.data.requests-2", &raw(&format!("{{{position}{rest}}}")));
        let bare = read("").unwrap();
        assert_eq!(
            (bare.topic.as_str(), bare.partition, bare.offset),
            ("agent.data.requests", 2, 7)
        );
        assert_eq!((bare.key, bare.value, bare.headers.len()), (None, None, 0));
        let headers = r#","headers":[{"a":[-20,97]},{"b":[236,97]},{"c":null},{"d":[300]}]"#;
        let bytes = Bytes::from_static(&[236, 97]);
        let expected = vec![("a".to_owned(), bytes.clone()), ("b".to_owned(), bytes)];
        assert_eq!(read(headers).unwrap().headers, expected);
        let nulls = read(r#","key":null,"value":null,"headers":null,"timestamp":null"#).unwrap();
        assert_eq!(nulls.timestamp, 0);
        assert_eq!(read(r#","timestamp":"1795374786353""#).unwrap().timestamp, 1_795_374_786_353);
        assert_eq!(read(r#","value":"not base64!""#).unwrap().value.unwrap(), "not base64!");
    }

    #[test]
    fn what_has_no_position_is_unreadable() {
        for json in ["5", "null", "{}", r#"{"partition":"x","offset":1}"#] {
            assert_eq!(read("t-0", &raw(json)).unwrap_err().raw, json);
        }
    }

    prop_compose! {
        fn any_record()(
            offset in 0..i64::MAX, timestamp in 0..4_000_000_000_000_i64,
            broker_time: bool,
            key in proptest::option::of(any::<Vec<u8>>()), value in proptest::option::of(any::<Vec<u8>>()),
            headers in proptest::collection::vec(("[a-z-]{1,12}", any::<Vec<u8>>()), 0..3),
        ) -> Record {
            Record {
                topic: "agent.data.requests".to_owned(), partition: 3, offset, timestamp, broker_time,
                key: key.map(Bytes::from), value: value.map(Bytes::from),
                headers: headers.into_iter().map(|(name, bytes)| (name, bytes.into())).collect(),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_and_lambda_reads_it_too(record in any_record()) {
            let partition = "agent.data.requests-3".to_owned();
            let records = [(&*partition, std::slice::from_ref(&record))];
            let json = write(Cluster { arn: None, bootstrap_servers: "localhost:9092" }, records).unwrap();
            let event: KafkaEvent = serde_json::from_slice(&json).unwrap();
            prop_assert!(event.records[&partition][0].get().len() <= size(&record));
            prop_assert_eq!(read(&partition, &event.records[&partition][0]).unwrap(), record.clone());
            let lambda: aws_lambda_events::event::kafka::KafkaEvent = serde_json::from_slice(&json).unwrap();
            let theirs = &lambda.records[&partition][0];
            prop_assert_eq!(theirs.offset, record.offset);
            prop_assert_eq!(theirs.headers.len(), record.headers.len());
            // Their own way back to JSON says the same as ours, but for the time, which they write
            // as a string.
            let mut again = serde_json::to_value(&lambda).unwrap();
            again["records"][&partition][0]["timestamp"] = record.timestamp.into();
            let ours: serde_json::Value = serde_json::from_slice(&json).unwrap();
            prop_assert_eq!(&again["records"], &ours["records"]);
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>(), text in ".{0,200}") {
            let _ = serde_json::from_slice::<KafkaEvent>(&bytes);
            if let Ok(json) = RawValue::from_string(text) {
                let _ = read("t-0", &json);
            }
        }
    }
}
