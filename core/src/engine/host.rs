//! This process as the host of runs.
//!
//! Owns: its name, and when each of its runs last gave a sign of life. Other processes' sweepers take
//! a process that shows signs of life to care for all of its runs: what it has given up without
//! being able to record that, it must know itself. Must never know: what becomes of such a run.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::task::TaskKey;

/// One process, or one of several agents in it.
#[derive(Debug, Default)]
pub(crate) struct Host {
    name: OnceLock<Arc<str>>,
    /// The runs that are at work, and those whose end is not recorded: by their runners.
    runs: Mutex<HashMap<Arc<str>, (TaskKey, Instant)>>,
}

impl Host {
    /// How long a silence is no reason to look closer: two heartbeats are missing then.
    pub(super) fn patience(lease: Duration) -> Duration {
        lease * 2 / 3
    }

    /// The host's name, which no other has: that of its first runner.
    pub(super) fn name(&self, runner: &Arc<str>) -> &Arc<str> {
        self.name.get_or_init(|| Arc::clone(runner))
    }

    /// A run's start or another sign of its life is about to be recorded, or was.
    pub(super) fn saw(&self, runner: &Arc<str>, key: &TaskKey, lease: Duration) {
        let (mut runs, now) = (self.lock(), Instant::now());
        if runs.len() == runs.capacity() {
            // Where no sweeper asks for them.
            runs.retain(|_, (_, at)| now - *at < lease);
        }
        runs.insert(Arc::clone(runner), (key.clone(), now));
    }

    /// The run's end is recorded.
    pub(super) fn ended(&self, runner: &Arc<str>) {
        self.lock().remove(runner);
    }

    /// The tasks whose runs gave no sign for so long, each once.
    pub(super) fn silent(&self, time: Duration) -> Vec<TaskKey> {
        let (mut runs, now) = (self.lock(), Instant::now());
        runs.extract_if(|_, (_, at)| now - *at >= time).map(|(_, (key, _))| key).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, (TaskKey, Instant)>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
