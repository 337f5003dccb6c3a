//! Which store a URL names.
//!
//! Owns: the schemes, and what is said of one that names no store. Must never know: what a store
//! does with the rest of its URL.

use std::sync::Arc;

#[cfg(feature = "dynamodb")]
use super::DynamoDbStore;
use super::{MemoryStore, TaskStore};

/// The store that a URL names:
///
/// | URL | tasks are kept |
/// |---|---|
/// | `memory:` | in this process, at most 100 MB of them or as `memory:?bytes=N` says |
/// | `dynamodb://TABLE` | in that table, with the region and the credentials of the environment |
///
/// `dynamodb://TABLE?region=eu-west-1&endpoint=http://127.0.0.1:8000&ttl=2592000` says all that may be
/// said: `ttl` is how many seconds a finished task is kept, 30 days if nothing is said, 0 for ever.
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
        #[cfg(feature = "dynamodb")]
        "dynamodb" => Ok(Arc::new(DynamoDbStore::open(rest).await?)),
        "memory" => memory(rest),
        _ => Err(unknown(scheme)),
    }
}

/// Makes what the store of this URL needs before it can be opened, where that is missing. It may
/// be done again at any time, by many at once.
///
/// # Errors
/// One sentence for the user when it cannot be made.
pub async fn prepare(url: &str) -> Result<(), String> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        #[cfg(feature = "dynamodb")]
        "dynamodb" => DynamoDbStore::prepare(rest).await,
        "memory" => memory(rest).map(|_| ()),
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
    format!("`{scheme}:` is no store this build knows: use memory: or dynamodb:.")
}
