//! The runtime of the servers and of what uses the stores.

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Runtime};

/// Worker threads: the machine the figures are stated for has two cores.
const WORKERS: usize = 2;

/// A runtime of that many workers.
pub(crate) fn runtime() -> Result<Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    runtime.context("no runtime")
}
