//! What is remembered between two commands, in a folder of the cache.
//!
//! Whether a keeper lives is told by a lock that it holds, and that the system takes from it with
//! its last breath: a process id could be another's by now, and after a reboot surely is.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::cache;
use crate::scratch::Scratch;

/// Names of temp folders that may be removed because a file says so begin with this.
pub(super) const DATA_PREFIX: &str = "a2a-up";

/// Who else holds the lock for a moment only looks at it.
const LOOKING: Duration = Duration::from_secs(1);

/// The folder.
pub(super) struct State(PathBuf);

impl State {
    /// The one of this user.
    pub(super) fn open() -> Result<Self, String> {
        Self::at(cache::root()?.join("up"))
    }

    pub(super) fn at(folder: PathBuf) -> Result<Self, String> {
        match fs::create_dir_all(&folder) {
            Ok(()) => Ok(Self(folder)),
            Err(error) => Err(format!("cannot make {}: {error}", folder.display())),
        }
    }

    /// Whether a keeper lives.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.try_lock(), Ok(None))
    }

    /// Becomes the keeper for as long as the file is held, or answers nothing if there is one.
    pub(super) fn keep(&self) -> Result<Option<File>, String> {
        let began = Instant::now();
        loop {
            match self.try_lock()? {
                None if began.elapsed() < LOOKING => thread::sleep(Duration::from_millis(20)),
                lock => return Ok(lock),
            }
        }
    }

    fn try_lock(&self) -> Result<Option<File>, String> {
        let path = self.0.join("lock");
        let io = |error| format!("cannot lock {}: {error}", path.display());
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }

    /// What [`set_environment`](Self::set_environment) was told.
    pub(super) fn environment(&self) -> Result<String, String> {
        self.read("environment")?.ok_or_else(|| "nobody says where the engines are".to_owned())
    }

    /// Says where the engines are: from now on they are up.
    pub(super) fn set_environment(&self, text: &str) -> Result<(), String> {
        // Another process reads it whole or not at all.
        self.write("environment.partial", text)?;
        let [partial, whole] = ["environment.partial", "environment"].map(|name| self.0.join(name));
        fs::rename(&partial, &whole)
            .map_err(|error| format!("cannot write {}: {error}", whole.display()))
    }

    /// Whether the engines are up that have their data there.
    pub(super) fn is_up_in(&self, data: &Path) -> bool {
        let recorded = self.read("data").ok().flatten();
        self.is_up() && recorded.is_some_and(|recorded| Path::new(&recorded) == data)
    }

    /// Whether engines are up, or were when a keeper was lost.
    pub(super) fn is_up(&self) -> bool {
        self.0.join("environment").exists()
    }

    /// Remembers which temp folder holds all data.
    pub(super) fn set_data(&self, folder: &Path) -> Result<(), String> {
        self.write("data", &folder.display().to_string())
    }

    /// Asks the keeper to end.
    pub(super) fn ask_to_stop(&self) -> Result<(), String> {
        self.write("stop", "")
    }

    /// Whether the keeper is to end. It is, too, where its folder is gone: nobody could ask it.
    pub(super) fn is_asked_to_stop(&self) -> bool {
        self.0.join("stop").exists() || !self.0.join("lock").exists()
    }

    /// Where the keeper's words go. They outlive it.
    pub(super) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    #[cfg(test)]
    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// Where the containers' ports are remembered, if there are containers.
    pub(super) fn ports(&self) -> PathBuf {
        self.0.join("ports.env")
    }

    /// Removes what a keeper has left, and the data that it could not remove itself, as after a
    /// loss of power. For whoever knows that none lives, or is it.
    pub(super) fn forget(&self) -> Result<(), String> {
        if let Some(data) = self.read("data")? {
            let data = Path::new(&data);
            let is_ours = data.file_name().and_then(|name| name.to_str());
            if is_ours.is_some_and(|name| name.starts_with(DATA_PREFIX)) {
                drop(Scratch::adopt(data));
            }
        }
        for name in ["environment", "environment.partial", "stop", "data"] {
            let path = self.0.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(format!("cannot remove {}: {error}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Option<String>, String> {
        let path = self.0.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.0.join(name);
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(scratch: &Scratch) -> State {
        State::at(scratch.path().join("up")).expect("a folder")
    }

    #[test]
    fn there_is_one_keeper_and_its_end_is_seen() {
        let scratch = Scratch::create("xtask-state").expect("a temp folder");
        let state = state(&scratch);
        assert!(!state.is_kept());
        let lock = state.keep().expect("a lock").expect("the first");
        assert!(state.is_kept());
        assert!(state.keep().expect("a lock").is_none());
        drop(lock);
        assert!(!state.is_kept());
    }

    #[test]
    fn what_a_lost_keeper_left_is_removed() {
        let scratch = Scratch::create("xtask-state").expect("a temp folder");
        let state = state(&scratch);
        let data = scratch.path().join(format!("{DATA_PREFIX}-1-1"));
        fs::create_dir_all(data.join("a2a-redis-1-1")).expect("a folder");
        state.set_data(&data).expect("written");
        state.set_environment("export A='1'\n").expect("written");
        state.ask_to_stop().expect("written");
        assert!(state.is_up() && state.is_asked_to_stop());
        state.forget().expect("removed");
        assert!(!data.exists() && !state.is_up());
        assert!(state.environment().is_err());
        state.forget().expect("nothing to remove");
    }

    #[test]
    fn a_folder_of_another_name_is_left_alone() {
        let scratch = Scratch::create("xtask-state").expect("a temp folder");
        let state = state(&scratch);
        let other = scratch.path().join("home");
        fs::create_dir(&other).expect("a folder");
        state.set_data(&other).expect("written");
        state.forget().expect("removed");
        assert!(other.is_dir());
    }
}
