//! The transports' tests, one binary.
//!
//! | module | proves |
//! |---|---|
//! | [`cases`] | only the transport changes: one script, every transport, the same replies |
//! | [`runner`] | the runner as a process: what it prints, answers, refuses, and how it ends |
//! | [`balance`] | an agent that calls another one, over both transports |
//! | [`engines::peers`] | the same with its peer elsewhere: over HTTP, over a real Kafka, as a function |
//! | [`engines::several`] | several agents in one runner, each on its own |
//! | [`engines::real_kafka`] | the runner on a real Kafka: poison, crashes, redelivery, sharing |
//! | [`engines::rebalance`] | partitions that are revoked while their records are worked on |
//! | [`engines::transactions`] | requests in transactions, and the lag that their markers leave |
//! | [`lanes`] | slow agents over Kafka: conversations in parallel, each in order |
//! | [`undecodable`] | batches that cannot be decoded |
//! | [`kafka_transport`] | the client over Kafka when things go wrong |
//! | [`engines::real_client`] | the client over a real Kafka |
//!
//! | module | owns |
//! |---|---|
//! | [`script`], [`expect`] | a case's steps, and the templates their replies are compared with |
//! | [`agents`] | the agents the cases talk to |
//! | [`transports`] | a step's way through each transport, and its reply in one common form |
//! | [`kafka_client`], [`kafka_agent`] | a Kafka client, and an agent behind a broker |
//! | [`process`] | the runner as a child process |

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod agents;
mod balance;
mod cases;
mod engines;
mod expect;
mod kafka_agent;
mod kafka_client;
mod kafka_document;
mod kafka_transport;
mod lanes;
mod process;
mod raw_batch;
mod runner;
mod script;
mod transports;
mod undecodable;
