//! The Kafka function: what Lambda's Kafka event source hands over, answered.
//!
//! The local runner calls the very same [`KafkaFunction::handle`] with the very same event JSON as
//! Lambda does, so what runs here is what runs on AWS.
//!
//! | module | owns |
//! |---|---|
//! | [`event`] | the event's JSON, read record by record, and written for the local runner |
//! | [`batch`] | order within a partition, partitions in parallel, what counts as done |
//! | [`response`] | how it is said which records are to come again |
//! | `outbox` | answers that are there at about the same time are sent together |
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

pub use batch::{KafkaFunction, Patience};
pub use event::KafkaEvent;
pub use function::main;
pub use producer::{Acknowledgement, Fault, KafkaProducer, ProduceError, Producer};
pub use response::BatchResponse;
