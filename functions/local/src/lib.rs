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
//! | [`logs`] | where logs go |
//! | [`run`] | starting and stopping all of it |

pub mod broker;
pub mod config;
pub mod consumer;
pub mod http;
pub mod kafka;
pub mod lane;
pub mod logs;
pub mod run;
