//! A store that is measured, and what every part of the measuring needs.
//!
//! Owns: the two handles, time limits and how a figure becomes a row. Must never know: the parts.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use a2a_core::store;
use anyhow::{Context, Error, Result};

use super::options::{Engine, Size};
use super::writer::Store;
use crate::report::{Aim, Row};
use crate::stats::Sample;

/// Time limit of anything that must come.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// A store, open twice: what one handle does the other sees as another instance would, on
/// connections of its own.
pub(super) struct Subject {
    pub(super) engine: Engine,
    pub(super) url: String,
    pub(super) ours: Store,
    pub(super) other: Store,
    pub(super) size: Size,
}

impl Subject {
    pub(super) async fn open(engine: Engine, url: String, size: Size) -> Result<Self> {
        let (ours, other) = open_twice(&url).await?;
        Ok(Self { engine, url, ours, other, size })
    }
}

/// Two handles of one store. A store in memory is in one handle only.
pub(super) async fn open_twice(url: &str) -> Result<(Store, Store)> {
    let open = async || store::open(url).await.map_err(Error::msg);
    store::prepare(url).await.map_err(Error::msg)?;
    let ours = open().await?;
    let other = if url.starts_with("memory:") { Arc::clone(&ours) } else { open().await? };
    Ok((ours, other))
}

/// Waits for what must come, and soon.
pub(super) async fn soon<F: Future>(what: &str, future: F) -> Result<F::Output> {
    let come = tokio::time::timeout(LIMIT, future).await;
    come.with_context(|| format!("{what} did not come within {} s", LIMIT.as_secs()))
}

/// A row of a median latency.
pub(super) fn p50(name: impl Into<String>, aim: Aim, mut latencies: Vec<u32>) -> Row {
    Row::of(name, "ms", aim, [Sample::p50_millis(&mut latencies)])
}

/// For a series of latencies.
pub(super) fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(super) fn per_second(count: usize, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64()
}
