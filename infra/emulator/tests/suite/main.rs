//! The emulator held to its promises: one test binary.
//!
//! | module | proves |
//! |---|---|
//! | [`function`] | starting, invoking, freezing; every way not to answer is told, and none hangs |
//! | [`event_source`] | a topic's records in events, what is redelivered, what is passed over |

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod event_source;
mod function;
