//! `a2a` as a person or a script meets it: a process before agents, over HTTP and over Kafka.
//!
//! | module | proves |
//! |---|---|
//! | [`engines::people`] | what is printed where, what mistakes are told, how it exits |
//! | [`engines::scripts`] | every command with `--json`, over every transport |
//! | [`engines::streams`] | live progress, Ctrl-C, readers who leave, tasks that are canceled |
//! | [`engines::cluster`] | finding agents over Kafka alone, entering and withdrawing them |
//! | [`kafka_check`] | that the local runner meets the Kafka binding |
//!
//! | module | owns |
//! |---|---|
//! | [`program`] | `a2a` as a child process |
//! | [`served`] | the agents it is put before |
//! | [`canned`] | an agent that answers by a list |

#![recursion_limit = "256"]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod canned;
mod engines;
mod kafka_check;
mod program;
mod served;
