//! Where things fetched once are kept: a folder outside the checkout, shared by every clone on the
//! machine.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

/// The cache folder: `$A2A_CACHE`, else `$XDG_CACHE_HOME/a2a-serverless`, else
/// `$HOME/.cache/a2a-serverless`.
pub(crate) fn root() -> Result<PathBuf, String> {
    choose(|name| env::var_os(name))
        .ok_or_else(|| "no cache folder: set A2A_CACHE, XDG_CACHE_HOME or HOME".to_owned())
}

fn choose(var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("A2A_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|base| base.join("a2a-serverless")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache").join("a2a-serverless")))
}

/// The folder `name` inside `root`, made by `fill` when it is not there yet.
///
/// `fill` works on a neighbour that takes the name only once it is complete: an interrupted fetch
/// never counts as present, and of two at once the second throws its own copy away.
pub(crate) fn obtain(
    root: &Path,
    name: &str,
    fill: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let target = root.join(name);
    if target.is_dir() {
        return Ok(target);
    }
    let partial = root.join(format!("{name}.partial-{}", process::id()));
    let io =
        |error: std::io::Error| format!("cannot write to the cache {}: {error}", root.display());
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(io)?;
    }
    fs::create_dir_all(&partial).map_err(io)?;
    let moved = fill(&partial).and_then(|()| fs::rename(&partial, &target).map_err(io));
    if moved.is_err() {
        // Only a tidy-up: what matters to the caller is why the fetch or the move failed.
        let _ = fs::remove_dir_all(&partial);
    }
    // Another process may have been faster: then the move fails, and the folder is there all the
    // same.
    if target.is_dir() { Ok(target) } else { moved.map(|()| target) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(vars: &[(&str, &str)]) -> Option<PathBuf> {
        choose(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_nearest_variable_names_the_cache() {
        let home = ("HOME", "/home/x");
        let xdg = ("XDG_CACHE_HOME", "/xdg");
        assert_eq!(chosen(&[home, xdg, ("A2A_CACHE", "/own")]), Some("/own".into()));
        assert_eq!(chosen(&[home, xdg]), Some("/xdg/a2a-serverless".into()));
        assert_eq!(chosen(&[home]), Some("/home/x/.cache/a2a-serverless".into()));
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let vars = [("A2A_CACHE", ""), ("XDG_CACHE_HOME", ""), ("HOME", "/home/x")];
        assert_eq!(chosen(&vars), Some("/home/x/.cache/a2a-serverless".into()));
    }

    #[test]
    fn a_folder_is_filled_once() {
        let scratch = tempfile::tempdir().expect("a temp folder");
        let fill = |folder: &Path| fs::write(folder.join("f"), "1").map_err(|e| e.to_string());
        let first = obtain(scratch.path(), "thing", fill).expect("filled");
        assert_eq!(fs::read_to_string(first.join("f")).expect("the file"), "1");
        let again = obtain(scratch.path(), "thing", |_| Err("filled twice".into()));
        assert_eq!(again, Ok(first));
    }

    #[test]
    fn a_failed_fetch_leaves_nothing() {
        let scratch = tempfile::tempdir().expect("a temp folder");
        let failed = obtain(scratch.path(), "thing", |folder| {
            fs::write(folder.join("half"), "").map_err(|e| e.to_string())?;
            Err("cut off".into())
        });
        assert_eq!(failed, Err("cut off".into()));
        assert_eq!(fs::read_dir(scratch.path()).expect("the folder").count(), 0);
    }

    #[test]
    fn the_slower_of_two_fetches_keeps_the_other_ones_folder() {
        let scratch = tempfile::tempdir().expect("a temp folder");
        let target = scratch.path().join("thing");
        let found = obtain(scratch.path(), "thing", |_| {
            fs::create_dir_all(target.join("by-the-other")).map_err(|e| e.to_string())
        });
        assert_eq!(found, Ok(target.clone()));
        assert!(target.join("by-the-other").is_dir());
        assert_eq!(fs::read_dir(scratch.path()).expect("the folder").count(), 1);
    }
}
