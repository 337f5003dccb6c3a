//! The Kafka function's tests, one binary.
//!
//! | module | proves |
//! |---|---|
//! | [`golden`] | whole events: exactly what is produced, and what is to be redelivered |
//! | [`bad_input`] | bad records, batches and deadlines, and an unavailable broker |
//! | [`give_up`] | what is redelivered for too long, and topics that take nothing: nothing is held up |
//! | [`engines::freeze`] | the program, stopped with the last byte of each answer, loses nothing |
//! | [`engines::cuts`] | an agent longer than an invocation ends, and does no step twice |
//! | `engines::login` (feature `msk`) | the program over TLS and SCRAM, and what a refused login costs |
//!
//! | module | owns |
//! |---|---|
//! | [`support`] | a function inside the test, its producer and its store |
//! | [`program`] | the program under a Runtime API |
//! | [`topic`] | an agent's topics on a real broker, from the client's side |

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod bad_input;
mod engines;
mod give_up;
mod golden;
mod program;
mod support;
mod topic;
