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

use std::{fmt::Display, future::Future};

use a2a_kafka::{
    BatchResponse, KafkaEvent, KafkaFunction,
    event::{self, Cluster},
};
use tokio_util::sync::CancellationToken;

use crate::{
    consumer::{self, Source},
    partition::{Batch, Delivery, Reason},
};
use assigned::AssignedPartitions;

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
