//! A function's process on the Runtime API, and what its times come to.

use std::path::Path;
use std::time::Duration;

use a2a_emulator::{Freeze, Function, function::Settings};
use anyhow::Result;

use crate::stats;

/// As much as any of it may take.
pub(crate) const INVOKE_LIMIT: Duration = Duration::from_secs(30);

pub(crate) const STORE: (&str, &str) = ("A2A_STORE", "memory:");

/// Starts a function that is never frozen: here nothing is tested.
pub(crate) async fn start(program: &Path, variables: &[(&str, &str)]) -> Result<Function> {
    let mut settings = Settings::new(program, variables);
    settings.freeze = Freeze::Never;
    Ok(Function::start_with(settings).await?)
}

/// In seconds; not a number where there are none.
pub(crate) fn median(times: &[Duration]) -> f64 {
    stats::median(times.iter().map(Duration::as_secs_f64)).unwrap_or(f64::NAN)
}
