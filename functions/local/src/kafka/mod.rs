//! The consumer: takes an agent's records from Kafka and has each served when it may begin.
//!
//! Owns: start and shutdown. Must never know: what a record says.
//!
//! Flow: [`consume`] subscribes (`consumer`); the `intake` puts each record in its lane (of
//! `a2a_kafka`), has it served, and commits offsets as far as each partition's `window` is done.

mod intake;
mod undecodable;
mod window;

use std::{fmt::Display, time::Duration};

use a2a_kafka::RecordHandler;
use tokio_util::sync::CancellationToken;

use crate::{
    consumer::{self, Source},
    health::Health,
};
use intake::Intake;

/// How records are worked on.
#[derive(Clone, Debug)]
pub struct Work {
    /// How many are at once, each of another lane. Reads and cancels are not counted.
    pub concurrency: usize,
    /// Whether other runners see the tasks of this one. Then its partitions are handed over at once
    /// when it shuts down: their next owner joins the runs that go on here.
    pub store_is_shared: bool,
    /// How long a shutdown waits for the records in hand.
    pub drain: Duration,
    /// How long a batch that cannot be decoded holds up its partition before it is passed over.
    pub undecodable: Duration,
    /// Where trouble is shown.
    pub health: Health,
}

impl Default for Work {
    /// As the runner does it with tasks in memory.
    fn default() -> Self {
        Self {
            concurrency: 256,
            store_is_shared: false,
            drain: Duration::from_secs(600),
            undecodable: Duration::from_secs(30),
            health: Health::default(),
        }
    }
}

/// Consumes until `stop`; then the records in hand are finished, within [`Work::drain`].
///
/// # Errors
/// One sentence for the user when consuming cannot begin or cannot end well.
pub async fn consume(
    source: Source,
    records: RecordHandler,
    work: Work,
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
    Intake::new(source, records, work, consumer).run(stop).await
}
