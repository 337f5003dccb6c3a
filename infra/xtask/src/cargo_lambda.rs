//! cargo-lambda: from the PATH, else fetched once.

use std::path::PathBuf;

use crate::{installed, python};

/// The fetched release.
const VERSION: &str = "1.9.2";

/// The program. It takes its commands after the word `lambda`, as `cargo` would pass them on:
/// `cargo-lambda lambda watch`.
///
/// The fetched one brings zig, for builds for another machine: these need the program's own folder
/// at the front of the PATH.
pub(crate) fn program() -> Result<PathBuf, String> {
    if let Some(found) = installed::find("cargo-lambda") {
        return Ok(found);
    }
    let name = format!("cargo-lambda-{VERSION}");
    let environment = python::environment(&name, &[format!("cargo-lambda=={VERSION}")])?;
    Ok(environment.join("bin").join("cargo-lambda"))
}
