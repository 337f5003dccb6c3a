//! The runners: real processes, killed and started again.

use std::path::{Path, PathBuf};

use anyhow::{Error, Result, bail, ensure};
use xtask::Process;

use crate::agent::EXECUTIONS;

/// How long a runner's lease is.
const LEASE_SECONDS: &str = "3";

/// The runners there are, living ones only. Dropping this kills them.
pub(crate) struct Runners {
    /// The command line of each.
    command: Vec<String>,
    /// Where executions and logs are kept.
    folder: PathBuf,
    living: Vec<Process>,
    started: usize,
}

impl Runners {
    /// None yet. Each is to be this program with these options beside those that all have.
    pub(crate) fn new(program: &Path, options: &[&str], folder: &Path) -> Self {
        let executions = executions(folder).display().to_string();
        let variables = [(EXECUTIONS, &*executions), ("RUST_LOG", "warn")];
        let fixed = ["--port", "0", "--lease-seconds", LEASE_SECONDS];
        let command = Process::command(&variables, program, &[&fixed[..], options].concat());
        Self { command, folder: folder.to_owned(), living: Vec::new(), started: 0 }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.living.len()
    }

    /// The file with the executions of all there ever were.
    pub(crate) fn executions(&self) -> PathBuf {
        executions(&self.folder)
    }

    /// Starts one more.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.started += 1;
        let log = self.folder.join(format!("runner-{}.log", self.started));
        self.living.push(Process::start_logged(&log, &self.command).map_err(Error::msg)?);
        Ok(())
    }

    /// Kills one outright.
    pub(crate) async fn kill(&mut self, index: usize) -> Result<()> {
        self.signal(index, "KILL").await.map(drop)
    }

    /// Has one shut down as it should, by SIGTERM.
    pub(crate) async fn end(&mut self, index: usize) -> Result<()> {
        let (code, runner) = self.signal(index, "TERM").await?;
        ensure!(code == Some(0), "a runner did not shut down: {code:?}; {}", runner.told());
        Ok(())
    }

    /// Ends one of the living, of which none may have ended by itself.
    async fn signal(&mut self, index: usize, name: &'static str) -> Result<(Option<i32>, Process)> {
        for runner in &self.living {
            if let Some(code) = runner.exited() {
                bail!("a runner ended by itself with code {code}; {}", runner.told());
            }
        }
        let mut runner = self.living.remove(index);
        Ok(tokio::task::spawn_blocking(move || (runner.end(name), runner)).await?)
    }
}

fn executions(folder: &Path) -> PathBuf {
    folder.join("executions")
}
