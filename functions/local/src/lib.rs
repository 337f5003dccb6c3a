//! The local runner: one handler behind an HTTP server and a Kafka consumer.
//!
//! | module | owns |
//! |---|---|
//! | [`config`] | the command line and its environment variables |
//! | [`http`] | sockets |
//! | [`kafka`] | the consumer: batches as Lambda's event source makes them, and offsets by the function's answer |
//! | [`broker`] | a real broker's topics, or the embedded broker |
//! | [`logs`] | where logs go |
//! | [`run`] | starting and stopping all of it |

pub mod broker;
pub mod config;
pub mod http;
pub mod kafka;
pub mod logs;
pub mod run;
