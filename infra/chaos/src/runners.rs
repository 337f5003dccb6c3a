//! The runners: real processes, killed and started again.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::agent::EXECUTIONS;

/// How long a runner may take to finish what is in flight.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a runner's lease is.
const LEASE_SECONDS: &str = "3";

/// The runners there are, living ones only. Dropping this kills them.
#[derive(Debug)]
pub(crate) struct Runners {
    /// `a2a-chaos-runner`.
    program: PathBuf,
    arguments: Vec<String>,
    /// Where executions and logs are kept.
    folder: PathBuf,
    living: Vec<Runner>,
    started: usize,
}

#[derive(Debug)]
struct Runner {
    process: Child,
    log: PathBuf,
}

impl Runners {
    /// None yet. Each is to be this program with these options beside those that all have.
    pub(crate) fn new(program: &Path, options: [&str; 6], folder: &Path) -> Self {
        let fixed = ["--port", "0", "--lease-seconds", LEASE_SECONDS];
        let arguments = fixed.iter().chain(&options).map(ToString::to_string).collect();
        let (program, folder) = (program.to_owned(), folder.to_owned());
        Self { program, arguments, folder, living: Vec::new(), started: 0 }
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
        let log = self.folder.join(format!("runner-{}.log", self.started));
        let failed = || format!("{} could not be started", self.program.display());
        // Nothing of our environment that would configure it.
        let ours = env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("A2A_"));
        let process = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(ours)
            .env(EXECUTIONS, self.executions())
            .env("RUST_LOG", "warn")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(&log).with_context(failed)?)
            .kill_on_drop(true)
            .spawn();
        self.living.push(Runner { process: process.with_context(failed)?, log });
        Ok(())
    }

    /// Kills one outright.
    pub(crate) async fn kill(&mut self, index: usize) -> Result<()> {
        self.take(index)?.process.kill().await.context("a runner could not be killed")
    }

    /// Has one shut down as it should, by SIGTERM.
    pub(crate) async fn end(&mut self, index: usize) -> Result<()> {
        let mut runner = self.take(index)?;
        let pid = runner.process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        // One that has ended is seen below.
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        // Waiting would close it, and by that the runner knows that the driver is gone.
        let _stdin = runner.process.stdin.take();
        let ended = timeout(PATIENCE, runner.process.wait()).await;
        let is_good = matches!(&ended, Ok(Ok(status)) if status.success());
        ensure!(is_good, "a runner did not shut down: {ended:?}; {}", tail(&runner.log));
        Ok(())
    }

    /// Takes one of the living, of which none may have ended by itself.
    fn take(&mut self, index: usize) -> Result<Runner> {
        for runner in &mut self.living {
            let ended = runner.process.try_wait();
            if !matches!(ended, Ok(None)) {
                bail!("a runner ended by itself: {ended:?}; {}", tail(&runner.log));
            }
        }
        Ok(self.living.remove(index))
    }
}

/// The end of a runner's log.
fn tail(file: &Path) -> String {
    const LINES: usize = 20;
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!("the end of its log:\n{}", lines[lines.len().saturating_sub(LINES)..].join("\n"))
}
