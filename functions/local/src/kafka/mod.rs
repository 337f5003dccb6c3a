//! The consumer: takes an agent's records from Kafka and has each served when it may begin.
//!
//! Owns: start and shutdown. Must never know: what a record says.
//!
//! Flow: [`consume`] subscribes (`consumer`); the `intake` puts each record in its lane (of
//! `a2a_kafka`), has it served, and commits offsets as far as each partition's `window` is done.

mod intake;
mod undecodable;
mod window;
mod work;

use a2a_kafka::RecordHandler;
use tokio_util::sync::CancellationToken;

use crate::consumer::{self, Source};
use intake::Intake;
pub use work::Work;

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
    let subscription = consumer::open(&source).await?;
    Intake::new(source, records, work, subscription).run(stop).await
}
