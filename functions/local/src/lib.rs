//! The local runner: one handler behind an HTTP server and a Kafka consumer.
//!
//! | module | owns |
//! |---|---|
//! | [`config`] | the command line and its environment variables |
//! | [`http`] | sockets |
//! | [`kafka`] | what Lambda's event source mapping does: batches, offsets, redelivery |
//! | [`lane`] | one partition's records: in order, one batch at a time |
//! | [`consumer`] | rdkafka's consumer, set up |
//! | [`broker`] | a real broker's topics, or the embedded broker |
//! | [`run`] | starting and stopping all of it |
//! | [`program`] | what a person meets: options, logs, signals |

pub mod broker;
pub mod config;
pub mod consumer;
pub mod http;
pub mod kafka;
pub mod lane;
pub mod program;
pub mod run;

pub use program::main;
