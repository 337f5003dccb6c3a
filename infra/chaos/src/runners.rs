//! The runners: real processes, killed and started again.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::{Error, Result, bail, ensure};
use xtask::Process;

use crate::agent::{EXECUTIONS, RUNNER};

/// How long a runner's lease is.
const LEASE_SECONDS: &str = "3";

/// The runners there are, living ones only. Dropping this kills them.
pub(crate) struct Runners {
    /// The program, and the options of each.
    program: PathBuf,
    options: Vec<String>,
    /// Where executions and logs are kept.
    folder: PathBuf,
    /// Each with its number.
    living: Vec<(usize, Process)>,
    started: usize,
    /// The numbers of those that were killed.
    pub(crate) killed: HashSet<usize>,
}

impl Runners {
    /// None yet. Each is to be this program with these options beside those that all have.
    pub(crate) fn new(program: &Path, options: &[&str], folder: &Path) -> Self {
        let fixed = ["--port", "0", "--lease-seconds", LEASE_SECONDS];
        let options = fixed.iter().chain(options).map(ToString::to_string).collect();
        let (program, folder, killed) = (program.to_owned(), folder.to_owned(), HashSet::new());
        Self { program, options, folder, living: Vec::new(), started: 0, killed }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.living.len()
    }

    /// The file with the executions of all there ever were.
    pub(crate) fn executions(&self) -> PathBuf {
        self.folder.join("executions")
    }

    /// Starts one more.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.started += 1;
        let number = self.started.to_string();
        let log = self.folder.join(format!("runner-{number}.log"));
        let executions = self.executions().display().to_string();
        let variables = [(EXECUTIONS, &*executions), (RUNNER, &number), ("RUST_LOG", "warn")];
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let command = Process::command(&variables, &self.program, &options);
        let process = Process::start_logged(&log, &command).map_err(Error::msg)?;
        self.living.push((self.started, process));
        Ok(())
    }

    /// Waits until all of them serve: one that starts while the broker is unavailable ends, and one
    /// that is told to shut down before it listens for that is killed.
    pub(crate) async fn ready(&self) -> Result<()> {
        /// Printed at the end of a start: the line for kcat.
        const SERVES: &str = " -C ";
        for (_, runner) in &self.living {
            while !runner.log().contains(SERVES) {
                ensure!(runner.exited().is_none(), "a runner ended; {}", runner.told());
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Kills one outright.
    pub(crate) async fn kill(&mut self, index: usize) -> Result<()> {
        self.killed.extend(self.living.get(index).map(|(number, _)| *number));
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
        for (_, runner) in &self.living {
            if let Some(code) = runner.exited() {
                bail!("a runner ended by itself with code {code}; {}", runner.told());
            }
        }
        let (_, mut runner) = self.living.remove(index);
        Ok(tokio::task::spawn_blocking(move || (runner.end(name), runner)).await?)
    }
}
