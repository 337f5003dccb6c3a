//! What a client holds at most of what it is answered, and for how long, whoever answers.
//!
//! | what | bound | past it |
//! |---|---|---|
//! | an answer, or one event of a stream | [`ANSWER`], or [`Connector::answer_limit`] | an error |
//! | a card | [`CARD`] | an error |
//! | the head of an answer | hyper's: 100 headers, 400 KiB | an error |
//! | the sentence of an error | [`SENTENCE`] | it is cut |
//! | how deep JSON is nested | serde's 128, 100 where it is carried | an error |
//! | making a connection | [`CONNECT_TIME`] | an error; it is tried again as [`Parameters::tries`] says |
//! | a call; a stream without a byte | [`Parameters::timeout`] | an error |
//! | redirects | none is followed | an error |
//! | pages | one a call: the caller asks for the next | |
//! | answers of a call over Kafka that nobody has read | 256, and 1 MiB | the rest is asked for again |
//! | a registry of agents over Kafka | [`REGISTRY_ENTRIES`], [`REGISTRY_BYTES`] | an error |
//!
//! [`Connector::answer_limit`]: super::Connector::answer_limit
//! [`Parameters::timeout`]: super::Parameters::timeout
//! [`Parameters::tries`]: super::Parameters::tries

use std::time::Duration;

pub use crate::wire::status::SENTENCE;

/// How many bytes an answer, or one event of a stream, may have where nothing else is said.
pub const ANSWER: usize = 16 << 20;

/// How many bytes a card may have.
pub const CARD: usize = 1 << 20;

/// How long making a connection may take.
pub const CONNECT_TIME: Duration = Duration::from_secs(10);

/// How many entries a registry may have.
pub const REGISTRY_ENTRIES: usize = 10_000;

/// How many bytes of cards a registry may have.
pub const REGISTRY_BYTES: usize = 64 << 20;
