//! The consumer: what Lambda's event source mapping does, on this machine.
//!
//! Owns: what a function is to it ([`Invoke`]), start and shutdown. Must never know: what a record
//! says; which batches go when is `assigned`'s.
//!
//! Flow: [`consume`] subscribes (`consumer`), queues each assigned partition's records
//! (`partition`), and lets `assigned` invoke the function and store offsets.
//!
//! As on Lambda, one invocation at a time serves a partition and partitions go in parallel. While
//! an invocation is under way the partition's next records gather, so batches form by themselves.

mod assigned;
mod invoke;

use std::fmt::Display;

use tokio_util::sync::CancellationToken;

use crate::{
    consumer::{self, Source},
    partition::Delivery,
};
use assigned::AssignedPartitions;
pub use invoke::Invoke;

/// Consumes until `stop`; then the records that are worked on are finished and their offsets committed.
///
/// # Errors
/// One sentence for the user when consuming cannot begin or cannot end well.
pub async fn consume(
    source: Source,
    function: impl Invoke,
    stop: CancellationToken,
) -> Result<(), String> {
    deliver(source, Delivery::default(), function, stop).await
}

/// The same, with a say in how batches are delivered.
///
/// # Errors
/// As [`consume`].
pub async fn deliver(
    source: Source,
    delivery: Delivery,
    function: impl Invoke,
    stop: CancellationToken,
) -> Result<(), String> {
    let cannot = |why: &dyn Display| {
        format!("The topic {} cannot be consumed from {}: {why}.", source.topic, source.brokers)
    };
    let to_subscribe = source.clone();
    let consumer = tokio::task::spawn_blocking(move || consumer::subscribe(&to_subscribe))
        .await
        .map_err(|error| cannot(&error))?
        .map_err(|error| cannot(&error))?;
    AssignedPartitions::new(source, delivery, consumer, function).run(stop).await
}
