//! The runners: real processes, killed and started again.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// How long a runner may take to finish what is in flight.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a runner that shows no sign of life is believed to be alive.
const LEASE_SECONDS: &str = "3";

/// How runners are started.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// The program, `a2a-chaos-runner`.
    pub(crate) program: PathBuf,
    /// The broker's address.
    pub(crate) broker: String,
    /// The agent's name.
    pub(crate) name: String,
    /// The store's URL.
    pub(crate) store: String,
    /// Where executions and logs are kept.
    pub(crate) folder: PathBuf,
}

/// The runners there are, living ones only. Dropping this kills them.
#[derive(Debug)]
pub(crate) struct Runners {
    recipe: Recipe,
    living: Vec<Runner>,
    started: usize,
}

#[derive(Debug)]
struct Runner {
    process: Child,
    log: PathBuf,
}

impl Runners {
    /// None yet.
    pub(crate) fn new(recipe: Recipe) -> Self {
        Self { recipe, living: Vec::new(), started: 0 }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.living.len()
    }

    /// Starts one more.
    pub(crate) fn start(&mut self) -> Result<(), String> {
        self.started += 1;
        let Recipe { program, broker, name, store, folder } = &self.recipe;
        let log = folder.join(format!("runner-{}.log", self.started));
        let executions = folder.join(format!("executions-{}", self.started));
        let start = || {
            let mut command = Command::new(program);
            // Nothing of our environment that would configure it.
            for (variable, _) in std::env::vars_os() {
                if variable.to_string_lossy().starts_with("A2A_") {
                    command.env_remove(&variable);
                }
            }
            command
                .args(["--port", "0", "--kafka", broker, "--name", name, "--store", store])
                .args(["--lease-seconds", LEASE_SECONDS])
                .env(crate::EXECUTIONS, executions)
                .env("RUST_LOG", "warn")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(File::create(&log)?)
                .spawn()
        };
        let process = start().map_err(|error| format!("{}: {error}", program.display()))?;
        self.living.push(Runner { process, log });
        Ok(())
    }

    /// Kills one outright.
    pub(crate) fn kill(&mut self, index: usize) -> Result<(), String> {
        self.check()?;
        let mut runner = self.living.remove(index);
        let killed = runner.process.kill().and_then(|()| runner.process.wait());
        killed.map(drop).map_err(|error| format!("a runner could not be killed: {error}"))
    }

    /// Has one end as it should, by SIGTERM.
    pub(crate) async fn end(&mut self, index: usize) -> Result<(), String> {
        self.check()?;
        let mut runner = self.living.remove(index);
        // The shell's own `kill`: the program is not installed everywhere.
        let kill = format!("kill -TERM {}", runner.process.id());
        let asked = Command::new("sh").args(["-c", &kill]).status();
        asked.map_err(|error| format!("a runner could not be asked to end: {error}"))?;
        let began = Instant::now();
        loop {
            match runner.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(runner.said(&format!("a runner ended with {status}"))),
                None if began.elapsed() > PATIENCE => {
                    let _ = runner.process.kill();
                    return Err(runner.said("a runner did not end"));
                }
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// That none has ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        for runner in &mut self.living {
            if let Some(status) = runner.ended()? {
                return Err(runner.said(&format!("a runner ended by itself with {status}")));
            }
        }
        Ok(())
    }

    /// The files with the executions of all there ever were.
    pub(crate) fn executions(&self) -> Vec<PathBuf> {
        let file = |number| self.recipe.folder.join(format!("executions-{number}"));
        (1..=self.started).map(file).filter(|file| file.exists()).collect()
    }
}

impl Runner {
    fn ended(&mut self) -> Result<Option<ExitStatus>, String> {
        self.process.try_wait().map_err(|error| format!("a runner cannot be looked at: {error}"))
    }

    /// A sentence with the end of the runner's log.
    fn said(&self, sentence: &str) -> String {
        format!("{sentence}; the end of its log:\n{}", tail(&self.log))
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn tail(file: &Path) -> String {
    const LINES: usize = 20;
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
