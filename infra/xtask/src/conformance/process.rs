//! A program and a folder of its own, both gone when this process is, however it ends.
//!
//! Owns: its life and what it said. Must never know: which program it is.

use std::fs;
use std::path::Path;

use crate::guard::Guarded;
use crate::scratch::Scratch;

/// A running program; dropping this kills it.
pub(super) struct Process {
    // Stopped before its folder goes: fields are dropped in this order.
    guarded: Guarded,
    folder: Scratch,
}

impl Process {
    /// Starts the program in a new folder; `command` is told which.
    pub(super) fn start(command: impl FnOnce(&Path) -> Vec<String>) -> Result<Self, String> {
        let folder = Scratch::create("a2a-conformance")?;
        let guarded = Guarded::start(&command(folder.path()), folder.path())?;
        Ok(Self { guarded, folder })
    }

    /// Its folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The exit code, once it has ended by itself.
    pub(super) fn exited(&self) -> Option<i32> {
        self.guarded.exited()
    }

    /// What it printed.
    pub(super) fn log(&self) -> String {
        let log = fs::read(self.guarded.log()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}
