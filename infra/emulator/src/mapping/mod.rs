//! The event source mapping: takes a topic's records as Lambda does, and re-drives them by the
//! function's answer.
//!
//! Owns: what a function is to it ([`Invoke`]), start and shutdown. Must never know: what a record
//! says; which batches go when is `assigned`'s.
//!
//! Flow: [`deliver`] subscribes (a2a-local's `consumer`), queues each assigned partition's records
//! (`partition`), and lets `assigned` invoke the function and store offsets.
//!
//! As on Lambda, one invocation at a time serves a partition and partitions go in parallel. While
//! an invocation is under way the partition's next records gather, so batches form by themselves.

mod assigned;
mod invoke;

use a2a_local::consumer::{self, Source};
use tokio_util::sync::CancellationToken;

use crate::partition::Delivery;
use assigned::AssignedPartitions;
pub use invoke::Invoke;

/// Delivers until `stop`; then the invocations under way end and their offsets are committed.
///
/// # Errors
/// One sentence for the user when consuming cannot begin or cannot end well.
pub async fn deliver(
    source: Source,
    delivery: Delivery,
    function: impl Invoke,
    stop: CancellationToken,
) -> Result<(), String> {
    let subscription = consumer::open(&source).await?;
    AssignedPartitions::new(source, delivery, subscription, function).run(stop).await
}
