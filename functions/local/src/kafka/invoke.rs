//! What a function is to the consumer.
//!
//! Owns: handing over batches, as Lambda does it. Must never know: partitions' assignment, offsets.

use std::future::Future;

use a2a_kafka::{
    BatchResponse, KafkaEvent, KafkaFunction,
    event::{self, Cluster},
};
use tokio_util::sync::CancellationToken;

use crate::{
    consumer::Source,
    partition::{Batch, Reason},
};

/// A function that takes Lambda's events: in this process, or wherever it is reached.
pub trait Invoke: Clone + Send + Sync + 'static {
    /// Hands over one event with these batches, each of another partition, and answers what is to
    /// be redelivered. Once `drain` is cancelled, the partitions are to go to another runner: it may
    /// end early.
    ///
    /// # Errors
    /// In words, when the invocation failed as a whole: nothing of it counts as done.
    fn invoke(
        &self,
        source: &Source,
        batches: &[Batch],
        drain: CancellationToken,
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

impl Invoke for KafkaFunction {
    /// As Lambda does it: as JSON.
    async fn invoke(
        &self,
        source: &Source,
        batches: &[Batch],
        drain: CancellationToken,
    ) -> Result<BatchResponse, String> {
        let records = batches.iter().map(|batch| (batch.name(source), &*batch.records));
        let mut event =
            event::write(Cluster { arn: None, bootstrap_servers: &source.brokers }, records)
                .and_then(|json| serde_json::from_slice::<KafkaEvent>(&json))
                .map_err(|error| format!("the batch could not be written as an event: {error}"))?;
        let deliveries = batches.iter().map(|batch| (batch.name(source), batch.delivery));
        event.deliveries = deliveries.collect();
        Ok(self.clone().draining(drain).handle(event, None).await)
    }
}
