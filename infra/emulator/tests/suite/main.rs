//! The emulator held to its promises: one test binary.
//!
//! | module | proves |
//! |---|---|
//! | [`function`] | starting, invoking, freezing; every way not to answer is told, and none hangs |
//! | [`engines::event_source`] | a topic's records in events, what is redelivered, what is passed over |

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in its helpers")]

mod engines;
mod function;
