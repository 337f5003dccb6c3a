//! A temp folder that goes away with its owner.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// A fresh folder under the system's temp folder, removed when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A folder nobody had before, its name starting with `prefix`.
    pub(crate) fn create(prefix: &str) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // A killed process of the same id may have left a folder, so a taken name is passed over.
        for _ in 0..1000 {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("{prefix}-{}-{number}", process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(format!("cannot make {}: {error}", path.display())),
            }
        }
        Err(format!("cannot find an unused name for {prefix} in {}", env::temp_dir().display()))
    }

    /// Takes over a folder that another owner has let go with [`keep`](Self::keep), or lost.
    pub(crate) fn adopt(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Leaves the folder to another owner.
    pub(crate) fn keep(mut self) {
        self.0 = PathBuf::new();
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // One that was left to another has no path. It may be gone already, and a leftover in the
        // temp folder is no reason to fail.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_lives_as_long_as_its_owner() {
        let one = Scratch::create("xtask-scratch").expect("a folder");
        let two = Scratch::create("xtask-scratch").expect("another");
        assert_ne!(one.path(), two.path());
        let path = one.path().to_owned();
        fs::write(path.join("file"), "content").expect("a file in it");
        drop(one);
        assert!(!path.exists());
        let path = two.path().to_owned();
        two.keep();
        assert!(path.exists());
        drop(Scratch::adopt(&path));
        assert!(!path.exists());
    }
}
