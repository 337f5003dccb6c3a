//! The local runner: one handler behind an HTTP server and a Kafka consumer, for each of its agents.
//!
//! Flow: [`program`] reads the [`config`], [`run`] opens the store and the broker, and [`serving`]
//! starts each agent's [`http`] server, [`kafka`] consumer and [`register`] entry.
//!
//! | module | owns |
//! |---|---|
//! | [`config`] | the command line and its environment variables |
//! | [`http`] | sockets |
//! | [`kafka`] | records into lanes, done prefixes into offsets, rebalances |
//! | [`consumer`] | rdkafka's consumer, set up |
//! | [`broker`] | a real broker's topics, or the embedded broker |
//! | [`health`] | what is wrong at the moment |
//! | [`register`] | the agent's entry in its cluster's registry |
//! | [`serving`] | one agent at work: its handler and its transports |
//! | [`run`] | starting and stopping all agents, and what they share |
//! | [`program`] | what a person meets: options, logs, signals |
//! | `tour` | the lines to paste that are printed at the start |

pub mod broker;
pub mod config;
pub mod consumer;
pub mod health;
pub mod http;
pub mod kafka;
pub mod program;
pub mod register;
pub mod run;
pub mod serving;
mod tour;

pub use program::main;
