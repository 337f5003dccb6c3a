//! The partial batch response: what a batch's answer says to Lambda.
//!
//! Owns: its form. Must never know: why a record is to be redelivered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Which records Lambda is to redeliver: `ReportBatchItemFailures`. Empty when all are done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// The first record of each partition that is not done, and every later one: a partition stays
    /// in order.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// One record to be redelivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// Its position: an object for Kafka, unlike other event sources.
    pub item_identifier: ItemIdentifier,
}

/// A record's position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemIdentifier {
    /// The topic's name and the partition's number, as the event's `records` has them.
    pub partition: String,
    /// The offset.
    pub offset: i64,
}

impl BatchResponse {
    /// The first offset of each partition that is to be redelivered.
    pub fn first_failures(&self) -> BTreeMap<&str, i64> {
        let mut first = BTreeMap::new();
        for failure in &self.batch_item_failures {
            let ItemIdentifier { partition, offset } = &failure.item_identifier;
            let lowest = first.entry(&**partition).or_insert(*offset);
            *lowest = (*lowest).min(*offset);
        }
        first
    }
}
