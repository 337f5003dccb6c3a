//! cargo-lambda: from the PATH, else fetched once.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;

use crate::python;

/// The fetched release.
const VERSION: &str = "1.9.2";

/// The program. It takes its commands after the word `lambda`, as `cargo` would pass them on:
/// `cargo-lambda lambda watch`.
///
/// The fetched one brings zig, for builds for another machine: these need the program's own folder
/// at the front of the PATH.
pub(crate) fn program() -> Result<PathBuf, String> {
    if let Some(found) = env::var_os("PATH").and_then(|path| find(&path)) {
        return Ok(found);
    }
    let name = format!("cargo-lambda-{VERSION}");
    let environment = python::environment(&name, &[format!("cargo-lambda=={VERSION}")])?;
    Ok(environment.join("bin").join("cargo-lambda"))
}

fn find(path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join("cargo-lambda")).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;

    #[test]
    fn the_first_on_the_path_is_taken() {
        let scratch = Scratch::create("xtask-cargo-lambda").expect("a temp folder");
        assert_eq!(find(scratch.path().as_os_str()), None);
        let file = scratch.path().join("cargo-lambda");
        fs::write(&file, "").expect("a file");
        let path = env::join_paths(["/nowhere".as_ref(), scratch.path()]).expect("a path");
        assert_eq!(find(&path), Some(file));
    }
}
