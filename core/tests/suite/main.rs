//! What the core promises, held against it from outside: one test binary, one module per promise.
//!
//! Nearly every test runs under a paused clock: whoever waits for ever is found out at once, and nothing takes real
//! time.

#![allow(clippy::unwrap_used, reason = "all of it is tests; the helpers' unwraps are assertions")]

mod delivery;
mod handler;
mod misbehave;
mod streams;
mod world;
