//! The HTTP function's tests, one binary.
//!
//! | module | proves |
//! |---|---|
//! | [`golden`] | the events of `events/`, exactly; each gateway's paths, addresses and callers |
//! | [`bad_input`] | what clients, gateways and a failing world may do to it |
//! | [`freeze`] | the program, stopped with the last byte of each answer, loses nothing |
//!
//! [`support`] has a function inside the test, events of each gateway, and a store with outages.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod bad_input;
mod freeze;
mod golden;
mod rough;
mod support;
