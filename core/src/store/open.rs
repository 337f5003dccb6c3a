//! Which store a URL names.
//!
//! Owns: the schemes, and what is said of one that names no store. Must never know: what a store
//! does with the rest of its URL.

use std::sync::Arc;

#[cfg(feature = "dynamodb")]
use super::DynamoDbStore;
#[cfg(feature = "postgres")]
use super::PostgresStore;
use super::{MemoryStore, TaskStore};

/// The store that a URL names:
///
/// | URL | tasks are kept | feature |
/// |---|---|---|
/// | `memory:` | in this process, at most 100 MB of them or as `memory:?bytes=N` says | |
/// | `dynamodb://TABLE?region=eu-west-1` | in that table | `dynamodb` |
/// | `redis://USER:PASSWORD@HOST:PORT/DB?prefix=a2a` | under keys that begin so | `redis` |
/// | `postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=a2a` | in that schema | `postgres` |
///
/// Parameters may be left out. Each durable store takes `ttl=SECONDS`: how long a finished task is
/// kept, 30 days if nothing is said, for ever with 0. DynamoDB takes its credentials, and the region
/// if none is named, from the environment; `endpoint=http://127.0.0.1:8000` is for another engine of
/// its API. Redis is 7 or later, or Valkey; `rediss:` is over TLS. PostgreSQL takes `pool=10`, the
/// most connections, and libpq's parameters such as `sslmode`.
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
        #[cfg(feature = "dynamodb")]
        "dynamodb" => Ok(Arc::new(DynamoDbStore::open(url).await?)),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => Ok(Arc::new(PostgresStore::open(url).await?)),
        #[cfg(feature = "redis")]
        "redis" | "rediss" => super::redis::open(url).await,
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
        "memory" => memory(rest).map(drop),
        #[cfg(feature = "dynamodb")]
        "dynamodb" => DynamoDbStore::prepare(url).await,
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => PostgresStore::prepare(url).await,
        // Keys need no making: that it can be used is all.
        #[cfg(feature = "redis")]
        "redis" | "rediss" => super::redis::open(url).await.map(drop),
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
    let mut known = vec!["memory:"];
    for (scheme, is_built) in [
        ("dynamodb:", cfg!(feature = "dynamodb")),
        ("postgres:", cfg!(feature = "postgres")),
        ("redis:", cfg!(feature = "redis")),
    ] {
        known.extend(is_built.then_some(scheme));
    }
    format!("`{scheme}:` is no store this build knows; it knows {}.", known.join(", "))
}
