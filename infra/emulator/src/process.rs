//! A function's process: started with Lambda's environment, frozen, thawed, killed.
//!
//! Owns: the child, what it prints, and the signals. Must never know: events and answers.

use std::{
    collections::VecDeque,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    task::AbortHandle,
};

/// How many lines of output are kept.
const LINES: usize = 1000;
/// How long the output of a process that has ended may take to be read to its end.
const DRAIN: Duration = Duration::from_secs(2);

/// A process that is killed when this is dropped, also while it is frozen.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    frozen: Mutex<bool>,
    log: Log,
    /// How it ended, once it has.
    ended: watch::Receiver<Option<String>>,
    /// Holds the child; to abort it is to kill the child.
    keeper: AbortHandle,
}

/// The last lines it printed, both streams as they came: on Lambda, too, both are the log.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Process {
    /// Starts a program with these variables and nothing else of our environment but `PATH`.
    pub(crate) fn start(
        program: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, String> {
        let cannot = |why: &dyn std::fmt::Display| format!("{}: {why}", program.display());
        // Its working directory is not ours: a file that only lies in ours would be found here and
        // not on Lambda.
        let path = program.canonicalize().map_err(|error| cannot(&error))?;
        let mut command = Command::new(path);
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(variables).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().map_err(|error| cannot(&error))?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.ok_or_else(|| cannot(&"it has no process id"))?;
        let log = Log::default();
        let (tell, ended) = watch::channel(None);
        let keeper =
            tokio::spawn(keep(log.clone(), child.stdout.take(), child.stderr.take(), child, tell));
        Ok(Self { pid, frozen: Mutex::default(), log, ended, keeper: keeper.abort_handle() })
    }

    /// Stops it where it is, every thread. It is asked whether it has stopped: a signal takes
    /// effect a moment after it was sent.
    pub(crate) async fn freeze(&self) {
        {
            let mut frozen = self.frozen();
            if *frozen || self.has_ended() {
                return;
            }
            *frozen = self.signal(Signal::STOP);
        }
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while *self.frozen() && !self.has_ended() {
            match waitid(WaitId::Pid(self.pid), stopped) {
                Ok(None) => tokio::time::sleep(Duration::from_micros(100)).await,
                Ok(Some(_)) | Err(_) => return,
            }
        }
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        let mut frozen = self.frozen();
        if std::mem::take(&mut *frozen) && !self.has_ended() {
            self.signal(Signal::CONT);
        }
    }

    /// Whether it stands still.
    pub(crate) fn is_frozen(&self) -> bool {
        *self.frozen()
    }

    /// Ends it without asking.
    pub(crate) fn kill(&self) {
        if !self.has_ended() {
            self.signal(Signal::KILL);
        }
    }

    /// Resolves once it has ended and its output has been read, with how.
    pub(crate) async fn ended(&self) -> String {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(how) => how.clone().unwrap_or_default(),
            // The keeper is gone, and the child with it.
            Err(_) => "it was killed".to_owned(),
        }
    }

    /// The last lines it printed.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().iter().cloned().collect()
    }

    fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    fn signal(&self, signal: Signal) -> bool {
        // It can only fail for a process that has just ended, which is told elsewhere.
        kill_process(self.pid, signal).is_ok()
    }

    fn frozen(&self) -> MutexGuard<'_, bool> {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn keep(
    log: Log,
    stdout: Option<impl AsyncRead + Unpin>,
    stderr: Option<impl AsyncRead + Unpin>,
    mut child: Child,
    tell: watch::Sender<Option<String>>,
) {
    let reading = async { tokio::join!(log.read(stdout), log.read(stderr)) };
    tokio::pin!(reading);
    let mut read_all = false;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            _ = &mut reading, if !read_all => read_all = true,
        }
    };
    if !read_all {
        // A grandchild may hold the pipes; it is not waited for.
        let _ = tokio::time::timeout(DRAIN, reading).await;
    }
    let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    tell.send_replace(Some(how));
}

impl Log {
    async fn read(&self, from: Option<impl AsyncRead + Unpin>) {
        let Some(from) = from else { return };
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        // By bytes: a log that is not UTF-8 must not end the reading, or the pipe would fill.
        while from.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            line.clear();
            let mut lines = self.lock();
            if lines.len() == LINES {
                lines.pop_front();
            }
            lines.push_back(text);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
