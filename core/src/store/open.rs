//! Which store a URL names.
//!
//! Owns: the schemes, and what is said of one that names no store. Must never know: what a store
//! does with the rest of its URL.

use std::sync::Arc;

#[cfg(feature = "postgres")]
use super::PostgresStore;
use super::{MemoryStore, TaskStore};

/// The store that a URL names:
///
/// | URL | tasks are kept |
/// |---|---|
/// | `memory:` | in this process, at most 100 MB of them or as `memory:?bytes=N` says |
/// | `postgres://user:password@host:port/database` | in PostgreSQL, see `PostgresStore::open` |
///
/// # Errors
/// One sentence for the user when the URL names no store, or one that cannot be reached or used.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// assert!(a2a_core::store::open("memory:").await.is_ok());
/// assert!(a2a_core::store::open("floppy:").await.is_err());
/// # }
/// ```
pub async fn open(url: &str) -> Result<Arc<dyn TaskStore>, String> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "memory" => memory(rest),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => Ok(Arc::new(PostgresStore::open(url).await?)),
        _ => Err(unknown(scheme)),
    }
}

/// Makes what the store of this URL needs before it can be opened, where that is missing. It may
/// be done again at any time, by many at once.
///
/// # Errors
/// One sentence for the user when it cannot be made.
pub async fn prepare(url: &str) -> Result<(), String> {
    let (scheme, _) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        "memory" => Ok(()),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => PostgresStore::prepare(url).await,
        _ => Err(unknown(scheme)),
    }
}

fn memory(rest: &str) -> Result<Arc<dyn TaskStore>, String> {
    match (rest, rest.strip_prefix("?bytes=").map(str::parse)) {
        ("", _) => Ok(Arc::new(MemoryStore::default())),
        (_, Some(Ok(bytes))) => Ok(Arc::new(MemoryStore::new(bytes))),
        _ => Err(format!("`memory:{rest}` is no store: write memory: or memory:?bytes=N.")),
    }
}

/// Not the whole URL: it may hold a password.
fn unknown(scheme: &str) -> String {
    format!("`{scheme}:` is no store this build knows: use memory:.")
}
