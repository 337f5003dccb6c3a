//! What a function is to the mapping.
//!
//! Owns: handing over batches, as Lambda does it. Must never know: partitions' assignment, offsets.

use std::future::Future;

use a2a_kafka::BatchResponse;
use a2a_local::consumer::Source;

use crate::partition::{Batch, Reason};

/// A function that takes Lambda's events: in this process, or wherever it is reached.
pub trait Invoke: Clone + Send + Sync + 'static {
    /// Hands over one event with these batches, each of another partition, and answers what is to
    /// be redelivered.
    ///
    /// # Errors
    /// In words, when the invocation failed as a whole: nothing of it counts as done.
    fn invoke(
        &self,
        source: &Source,
        batches: &[Batch],
    ) -> impl Future<Output = Result<BatchResponse, String>> + Send;

    /// Hears of records that are not redelivered, before they count as done.
    fn discarded(
        &self,
        source: &Source,
        batch: &Batch,
        reason: Reason,
    ) -> impl Future<Output = ()> + Send {
        let (partition, first, last) = (batch.partition, batch.first, batch.last);
        let topic = &*source.topic;
        tracing::error!(topic, partition, first, last, ?reason, "records are discarded");
        std::future::ready(())
    }
}
