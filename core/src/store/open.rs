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
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    match scheme {
        "memory" => memory(rest),
        #[cfg(feature = "dynamodb")]
        "dynamodb" => Ok(Arc::new(DynamoDbStore::open(url).await?)),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => Ok(Arc::new(PostgresStore::open(url).await?)),
        #[cfg(feature = "redis")]
        "redis" | "rediss" => super::redis::open(url).await,
        _ => Err(unknown()),
    }
}

/// Makes what the store of this URL needs before it can be opened, where that is missing. It may
/// be done again at any time, by many at once.
///
/// # Errors
/// One sentence for the user when it cannot be made.
pub async fn prepare(url: &str) -> Result<(), String> {
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    match scheme {
        "memory" => memory(rest).map(drop),
        #[cfg(feature = "dynamodb")]
        "dynamodb" => DynamoDbStore::prepare(url).await,
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => PostgresStore::prepare(url).await,
        // Keys need no making: that it can be used is all.
        #[cfg(feature = "redis")]
        "redis" | "rediss" => super::redis::open(url).await.map(drop),
        _ => Err(unknown()),
    }
}

fn memory(rest: &str) -> Result<Arc<dyn TaskStore>, String> {
    match (rest, rest.strip_prefix("?bytes=").map(str::parse)) {
        ("", _) => Ok(Arc::new(MemoryStore::default())),
        (_, Some(Ok(bytes))) => Ok(Arc::new(MemoryStore::new(bytes))),
        _ => Err("This memory: is no store: write memory: or memory:?bytes=N.".to_owned()),
    }
}

/// Without anything of the URL, in which a password may stand anywhere: it may be all there is.
fn unknown() -> String {
    let mut known = vec!["memory:"];
    for (scheme, is_built) in [
        ("dynamodb:", cfg!(feature = "dynamodb")),
        ("postgres:", cfg!(feature = "postgres")),
        ("redis:", cfg!(feature = "redis")),
    ] {
        known.extend(is_built.then_some(scheme));
    }
    format!("It is the URL of no store that this build knows; it knows {}.", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whatever_is_wrong_with_a_url_nothing_of_it_is_repeated() {
        for url in [
            "secret",
            "secret:",
            "user:secret@host",
            ":secret",
            "secret://host",
            "floppy://u:secret@h/x",
            "memory:secret",
            "memory:?bytes=secret",
            "memory:?secret=1",
            "dynamodb:secret",
            "dynamodb://secret@t/",
            "dynamodb://u:secret@t",
            "dynamodb://table?secret",
            "dynamodb://table?a&secret=",
            "dynamodb://table?ttl=secret",
            "dynamodb://table?endpoint=secret",
            "dynamodb://table?endpoint=http://u:secret@h",
            "postgres:secret",
            "postgres://u:secret@h:x/db",
            "postgres://u:a@h/db?secret",
            "postgres://u:a@h/db?x=1&secret=",
            "postgres://u:a@h/db?ttl=secret",
            "postgres://u:a@h/db?pool=secret",
            "postgres://u:a@h/db?schema=secret!",
            "postgres://u:a@h/db?sslmode=secret",
            "postgres://u:a@h/db?port=secret",
            "redis:secret",
            "redis://u:secret@h:x",
            "redis://u:a@h/secret",
            "redis://u:a@h?secret",
            "redis://u:a@h?x&secret=",
            "redis://u:a@h?ttl=secret",
            "redis://u:a@h?prefix=secret!",
            "rediss://u:a@h#secret",
        ] {
            for told in [open(url).await.err(), prepare(url).await.err()] {
                let told = told.unwrap_or_else(|| panic!("{url}"));
                assert!(!told.contains("secret") && told.ends_with('.'), "{url}: {told}");
            }
        }
    }
}
