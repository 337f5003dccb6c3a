//! The Kafka function: the batches of Lambda's Kafka event source, answered.
//!
//! The local runner calls the very same [`KafkaFunction::handle`] with the very same event JSON as
//! Lambda does, so what runs here is what runs on AWS.
//!
//! Flow: an [`event`] is read record by record; [`batch`] has the endpoint serve each, the `outbox`
//! passes answers to the [`producer`], and once they are acknowledged the [`response`] names what
//! is to be redelivered.
//!
//! | module | owns |
//! |---|---|
//! | [`event`] | the event's JSON, read record by record, and written for the local runner |
//! | [`batch`] | order within a partition, partitions in parallel, what counts as done |
//! | [`response`] | the partial batch response: which records are to be redelivered |
//! | `outbox` | answers that are ready at about the same time are sent together |
//! | [`producer`] | producing answers with rdkafka |
//! | `login`, `tls`, `iam` | logging in to Kafka |
//! | `function` | the program that Lambda starts |

pub mod batch;
pub mod event;
mod function;
#[cfg(feature = "msk")]
mod iam;
mod login;
mod outbox;
pub mod producer;
pub mod response;
#[cfg(feature = "msk")]
mod tls;

pub use batch::{GiveUp, KafkaFunction};
pub use event::KafkaEvent;
pub use function::main;
pub use producer::{Acknowledgement, Fault, KafkaProducer, ProduceError, Producer};
pub use response::BatchResponse;
