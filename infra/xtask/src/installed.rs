//! Programs that the system brings.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The first program of this name on the PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    env::var_os("PATH").and_then(|path| find_in(program, &path))
}

/// The folders of the PATH.
pub(crate) fn folders() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

fn find_in(program: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Whether a folder has all of these programs.
pub(crate) fn has_all(folder: &Path, programs: &[&str]) -> bool {
    programs.iter().all(|program| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;

    #[test]
    fn the_first_on_the_path_is_taken() {
        let scratch = Scratch::create("xtask-installed").expect("a temp folder");
        assert_eq!(find_in("tool", scratch.path().as_os_str()), None);
        let file = scratch.path().join("tool");
        fs::write(&file, "").expect("a file");
        let path = env::join_paths(["/nowhere".as_ref(), scratch.path()]).expect("a path");
        assert_eq!(find_in("tool", &path), Some(file));
    }

    #[test]
    fn a_folder_that_lacks_one_has_not_all() {
        let scratch = Scratch::create("xtask-installed").expect("a temp folder");
        fs::write(scratch.path().join("one"), "").expect("a file");
        assert!(has_all(scratch.path(), &["one"]));
        assert!(!has_all(scratch.path(), &["one", "other"]));
    }
}
