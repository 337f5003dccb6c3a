//! What is said when Redis fails.
//!
//! Owns: which failures pass by themselves. Must never say: passwords. The engine's own words go
//! along as the cause, for the log.

use redis::{ErrorKind, RedisError};

use crate::{
    journal::TaskKey,
    store::{StoreError, codec::corrupt},
};

/// Passing by themselves: starting, busy, full, failing over.
const PASSING: &[&str] = &[
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    // It cannot save, say because its disk is full.
    "MISCONF",
    "NOREPLICAS",
    "NOSCRIPT",
    "OOM",
    // A primary that has become a replica: its name will lead to the new primary.
    "READONLY",
    "TRYAGAIN",
];

/// A request failed.
pub(super) fn failed(error: RedisError) -> StoreError {
    let answer = match error.code() {
        _ if error.is_timeout() => StoreError::unavailable("Redis did not answer in time"),
        _ if error.is_io_error() => StoreError::unavailable("Redis cannot be reached"),
        // Said with the plain code, before the connection is closed.
        _ if is_full(&error) => StoreError::unavailable("Redis has no connection left"),
        Some("OOM") => StoreError::unavailable("Redis is full"),
        Some(code) if PASSING.contains(&code) => {
            StoreError::unavailable(format!("Redis is not ready ({code})"))
        }
        Some("NOPERM") => StoreError::broken("Redis does not allow this user a command"),
        Some("MOVED" | "ASK" | "CROSSSLOT") => {
            StoreError::broken("this Redis is one node of a cluster, and others hold the keys")
        }
        _ if refuses_login(&error) => StoreError::broken("Redis refuses the user or password"),
        Some(code) => StoreError::broken(format!("Redis refuses the request ({code})")),
        None => StoreError::broken("Redis answers what was not asked"),
    };
    answer.with_source(error)
}

/// A request about that task failed.
pub(super) fn failed_for(key: &TaskKey, error: RedisError) -> StoreError {
    if error.code() == Some("WRONGTYPE") {
        return corrupt(key, "record").with_source(error);
    }
    failed(error)
}

fn is_full(error: &RedisError) -> bool {
    error.to_string().contains("max number of clients")
}

fn refuses_login(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

/// Of a server that cannot be used from the beginning: one sentence for the user.
pub(super) fn unusable(address: &str, error: &RedisError) -> String {
    if error.is_timeout() {
        return format!("Redis at {address} does not answer.");
    }
    if error.is_io_error() {
        return format!("Redis at {address} cannot be reached: {error}.");
    }
    if refuses_login(error) && !is_full(error) {
        return format!("Redis at {address} refuses the user or password of the URL.");
    }
    if error.kind() == ErrorKind::RESP3NotSupported {
        return too_old(address, "before 6");
    }
    format!("Redis at {address} cannot be used: {error}.")
}

pub(super) fn too_old(address: &str, version: &str) -> String {
    format!("Redis at {address} is version {version}: version 7 or later is needed, or Valkey.")
}
