//! Every durable store, held to the contract on its real engine. `cargo xtask test` starts those.

#![allow(clippy::unwrap_used, reason = "all of it is tests; the helpers' unwraps are assertions")]

mod dynamodb;
mod dynamodb_troubles;
mod postgres;
mod postgres_troubles;
mod proxy;
mod redis;
