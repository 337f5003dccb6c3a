//! What went wrong in the database, in the store's words.
//!
//! Owns: which failure is retriable, and the sentence said at start-up. Must never know: what
//! was asked.

use std::borrow::Cow;

use sqlx::Error;

use crate::store::{AppendError, StoreError};

/// Whether a retry may succeed.
fn is_retriable(error: &Error) -> bool {
    match error {
        Error::Database(error) => error.code().is_some_and(|code| passes(&code)),
        // A broken pipe, an answer that does not fit what was asked: the next connection is new.
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) => true,
        Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed => true,
        _ => false,
    }
}

/// SQLSTATE classes and codes that time mends.
fn passes(code: &str) -> bool {
    // Connection lost, too many of them or out of memory, shut down or starting; a transaction that
    // lost against another.
    ["08", "53", "57P", "40"].iter().any(|class| code.starts_with(class))
        // Canceled by its timeout, a lock that did not come, a standby that is not the primary yet.
        || matches!(code, "57014" | "55P03" | "25006")
}

/// The engine's own code for it.
pub(super) fn sqlstate(error: &Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(|error| error.code())
}

/// Of a call that did not succeed.
pub(super) fn failed(error: Error) -> StoreError {
    let failure = if is_retriable(&error) {
        StoreError::unavailable("PostgreSQL is not available")
    } else {
        StoreError::broken("PostgreSQL refuses")
    };
    failure.with_source(error)
}

/// Of an append that did not succeed.
pub(super) fn append_failed(error: Error) -> AppendError {
    match sqlstate(&error).as_deref() {
        // The journal expired and was removed while this was written.
        Some("23503") => AppendError::Conflict,
        // Over PostgreSQL's own limits: 1 GB.
        Some("54000") => AppendError::TooLarge,
        _ => AppendError::Store(failed(error)),
    }
}

/// One sentence for the user, where a store cannot be opened. `host` is `host:port`.
pub(super) fn refusal(error: &Error, host: &str) -> String {
    match error {
        Error::Database(error) => match error.code().as_deref() {
            Some("28P01" | "28000") => {
                format!("PostgreSQL at {host} refuses the user or the password: {error}.")
            }
            Some("3D000") => format!("PostgreSQL at {host} has no such database: {error}."),
            Some("42501") => format!("PostgreSQL at {host} does not permit it: {error}."),
            _ => format!("PostgreSQL at {host} refuses: {error}."),
        },
        Error::PoolTimedOut => format!("PostgreSQL at {host} does not answer."),
        Error::Io(error) => format!("PostgreSQL at {host} cannot be reached: {error}."),
        Error::Tls(error) => format!("PostgreSQL at {host} offers no TLS that will do: {error}."),
        error => format!("PostgreSQL at {host} cannot be used: {error}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_time_mends_is_retriable() {
        for code in
            ["08006", "53300", "57P01", "57P03", "57014", "40001", "40P01", "55P03", "25006"]
        {
            assert!(passes(code), "{code}");
        }
        for code in ["42501", "42P01", "3D000", "28P01", "22P02", "54000", "23505", "XX001"] {
            assert!(!passes(code), "{code}");
        }
    }
}
