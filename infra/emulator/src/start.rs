//! Where a mapping begins to read: Lambda's `StartingPosition`.
//!
//! Owns: the first offsets of a group that has none yet; a group that has been here goes on where
//! it was. Must never know: records.

use std::{str::FromStr, time::Duration};

use a2a_core::Timestamp;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaError,
};

/// How long a broker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Which record is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest that the topic still has.
    TrimHorizon,
    /// The first after now.
    Latest,
    /// The first with this timestamp, or a later one.
    At(Timestamp),
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "trim-horizon" => Ok(Self::TrimHorizon),
            "latest" => Ok(Self::Latest),
            _ => text.parse().map(Self::At).map_err(|error| {
                format!("write trim-horizon, latest or the time of the first record: {error}")
            }),
        }
    }
}

impl Start {
    /// Makes it so for the group, in those of the topic's partitions where it has no offset. The
    /// oldest record is where a group begins anyway.
    ///
    /// # Errors
    /// One sentence when the brokers cannot be asked, or do not take it.
    pub async fn prepare(self, brokers: &str, topic: &str, group: &str) -> Result<(), String> {
        let since = match self {
            Self::TrimHorizon => return Ok(()),
            // Later than any record.
            Self::Latest => i64::MAX,
            Self::At(time) => time.as_millis(),
        };
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", group).set("log_level", "0");
        let name = topic.to_owned();
        let settled = tokio::task::spawn_blocking(move || settle(&config, &name, since)).await;
        let settled = settled.map_err(|error| error.to_string());
        settled.and_then(|settled| settled.map_err(|error| error.to_string())).map_err(|error| {
            format!("It was not settled where {group} begins in {topic}: {error}.")
        })
    }
}

fn settle(config: &ClientConfig, topic: &str, since: i64) -> Result<(), KafkaError> {
    let consumer: BaseConsumer = config.create()?;
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let mut all = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        all.add_partition_offset(topic, partition.id(), Offset::Offset(since))?;
    }
    let committed = consumer.committed_offsets(all.clone(), TIMEOUT)?;
    let mut first = TopicPartitionList::new();
    for found in consumer.offsets_for_times(all, TIMEOUT)?.elements() {
        let (partition, mut offset) = (found.partition(), found.offset());
        let known = committed.find_partition(topic, partition);
        if known.is_some_and(|known| known.offset() != Offset::Invalid) {
            continue;
        }
        if offset == Offset::End {
            offset = Offset::Offset(consumer.fetch_watermarks(topic, partition, TIMEOUT)?.1);
        }
        first.add_partition_offset(topic, partition, offset)?;
    }
    if first.count() > 0 { consumer.commit(&first, CommitMode::Sync) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_or_a_time() {
        assert_eq!("trim-horizon".parse(), Ok(Start::TrimHorizon));
        assert_eq!("latest".parse(), Ok(Start::Latest));
        let at = Timestamp::from_millis(1_795_374_786_353);
        assert_eq!("2026-11-22T19:13:06.353Z".parse(), Ok(Start::At(at)));
        let said = "yesterday".parse::<Start>().unwrap_err();
        assert!(said.starts_with("write trim-horizon, latest or the time"), "{said}");
    }
}
