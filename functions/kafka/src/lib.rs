//! Kafka records, served: by the function, in the batches of Lambda's event source, and by the local
//! runner, record by record.
//!
//! Flow: an [`event`] is read record by record; [`batch`] begins all [`lanes`] at once, [`records`]
//! has the endpoint serve each record and its answers acknowledged by the [`producer`], and the
//! [`response`] names what is to be redelivered.
//!
//! | module | owns |
//! |---|---|
//! | [`event`] | the event's JSON, read record by record, and written for the emulator |
//! | [`batch`] | all lanes of a batch at once, within the invocation's time |
//! | [`lanes`] | which records may begin: order in a lane, lanes in parallel, backoff |
//! | [`records`] | one record: served, acknowledged, given up |
//! | `failures` | how often and since when a record has failed |
//! | [`response`] | the partial batch response: which records are to be redelivered |
//! | [`producer`] | producing answers with rdkafka |
//! | `login`, `tls`, `iam` | logging in to Kafka |
//! | `function` | the program that Lambda starts |

pub mod batch;
pub mod event;
mod failures;
mod function;
#[cfg(feature = "msk")]
mod iam;
pub mod lanes;
mod login;
pub mod producer;
pub mod records;
pub mod response;
#[cfg(feature = "msk")]
mod tls;

pub use batch::KafkaFunction;
pub use event::KafkaEvent;
pub use failures::GiveUp;
pub use function::main;
pub use producer::{Acknowledgement, Fault, KafkaProducer, ProduceError, Producer};
pub use records::{Outcome, RecordHandler};
pub use response::BatchResponse;
