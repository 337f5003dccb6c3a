//! What is said when Redis fails.
//!
//! Owns: which failures are retriable. Must never say: passwords. The engine's own words go
//! along as the cause, for the log.

use redis::{ErrorKind, RedisError};

use crate::{
    store::{StoreError, codec::corrupt},
    task::TaskKey,
};

/// Retriable: starting, busy, full, failing over.
const RETRIABLE: &[&str] = &[
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
        Some(code) if RETRIABLE.contains(&code) => {
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
    let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    let detail = detail.trim_end_matches('.');
    if error.code() == Some("NOPERM") {
        return format!(
            "Redis at {address} does not allow this user what the store does: {detail}."
        );
    }
    format!("Redis at {address} cannot be used: {detail}.")
}

pub(super) fn too_old(address: &str, version: &str) -> String {
    format!("Redis at {address} is version {version}: version 7 or later is needed, or Valkey.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(answer: &str) -> RedisError {
        let answer = ::redis::parse_redis_value(format!("-{answer}\r\n").as_bytes());
        answer.and_then(::redis::Value::extract_error).unwrap_err()
    }

    #[test]
    fn what_is_retriable_is_said_to_be() {
        for (answer, retriable) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", true),
            ("READONLY You can't write against a read only replica.", true),
            ("LOADING Redis is loading the dataset in memory", true),
            ("BUSY Redis is busy running a script.", true),
            ("CLUSTERDOWN The cluster is down", true),
            ("TRYAGAIN Multiple keys request during rehashing of slot", true),
            ("MASTERDOWN Link with MASTER is down", true),
            ("MISCONF Redis is configured to save RDB snapshots, but", true),
            ("NOREPLICAS Not enough good replicas to write.", true),
            ("ERR max number of clients reached", true),
            ("MOVED 3999 127.0.0.1:6381", false),
            ("CROSSSLOT Keys in request don't hash to the same slot", false),
            ("NOAUTH Authentication required.", false),
            ("WRONGPASS invalid username-password pair or user is disabled.", false),
            ("NOPERM this user has no permissions to run the 'xadd' command", false),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", false),
            ("ERR unknown command", false),
        ] {
            let error = failed(answered(answer));
            assert_eq!(error.is_retriable(), retriable, "{answer}: {error}");
        }
        for kind in [std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::TimedOut] {
            assert!(failed(std::io::Error::from(kind).into()).is_retriable(), "{kind}");
        }
        let key = TaskKey { tenant: "".into(), id: "it".into() };
        let corrupt = failed_for(&key, answered("WRONGTYPE Operation against a key"));
        assert!(corrupt.to_string().contains("\"it\""), "{corrupt}");
    }
}
