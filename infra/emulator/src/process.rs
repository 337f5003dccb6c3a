//! A function's process: started with Lambda's environment, frozen, thawed, killed.
//!
//! Owns: the child, what it prints, the signals, and the end of every wait for it. Must never know:
//! events and answers.

use std::{
    collections::VecDeque,
    env, io,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::unix::pipe,
    process::Command,
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

use crate::failure::{Failure, Log};

/// How many lines of output are kept.
const LINES: usize = 1000;
/// How long the output of a process that has ended may take to be read to its end.
const DRAIN: Duration = Duration::from_secs(2);

/// A process that is killed when this is dropped, also while it is frozen.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    frozen: watch::Sender<bool>,
    /// The last lines it printed, both streams as they came: on Lambda, too, both are the log.
    log: Arc<Mutex<VecDeque<String>>>,
    /// How it ended, once it has.
    ended: watch::Receiver<Option<String>>,
    /// Holds the child; to abort it is to kill the child.
    _child: AbortOnDropHandle<()>,
}

impl Process {
    /// Starts a program with these variables and nothing else of our environment but `PATH`.
    pub(crate) fn start(
        program: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> io::Result<Self> {
        let (output, both) = io::pipe()?;
        let mut child = Command::new(program.canonicalize()?)
            .env_clear()
            .envs(env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(variables)
            // Its working directory is not ours: a file that only lies in ours would be found here
            // and not on Lambda.
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(both.try_clone()?)
            .stderr(both)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.ok_or_else(|| io::Error::other("it has no process id"))?;
        let log: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let reading =
            tokio::spawn(read(pipe::Receiver::from_owned_fd(output.into())?, log.clone()));
        let (tell, ended) = watch::channel(None);
        let keeper = tokio::spawn(async move {
            let status = child.wait().await;
            // A grandchild may hold the pipe; it is not waited for.
            let _ = tokio::time::timeout(DRAIN, reading).await;
            let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            tell.send_replace(Some(how));
        });
        let (frozen, _child) = (watch::Sender::new(false), AbortOnDropHandle::new(keeper));
        Ok(Self { pid, frozen, log, ended, _child })
    }

    /// Stops it where it is, every thread. It is asked whether it has stopped: a signal takes
    /// effect a moment after it was sent.
    pub(crate) async fn freeze(&self) {
        // What it waits for and the signal are one step: a thaw comes before or after both.
        let stops = |frozen: &mut bool| {
            *frozen = *frozen || self.signal(Signal::STOP);
            *frozen
        };
        self.frozen.send_if_modified(stops);
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while self.is_frozen()
            && !self.has_ended()
            && matches!(waitid(WaitId::Pid(self.pid), stopped), Ok(None))
        {
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.frozen.send_if_modified(|frozen| std::mem::take(frozen) && self.signal(Signal::CONT));
    }

    /// Whether it stands still.
    pub(crate) fn is_frozen(&self) -> bool {
        *self.frozen.borrow()
    }

    /// Waits for something of the process, which is killed when the limit is over, as on Lambda.
    pub(crate) async fn bound<T>(
        &self,
        waiting: impl Future<Output = T>,
        what: &'static str,
        (began, limit): (Instant, Duration),
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            done = waiting => Ok(done),
            exited = self.exited() => Err(exited),
            () = tokio::time::sleep_until((began + limit).into()) => {
                self.signal(Signal::KILL);
                Err(Failure::Late(what, limit, Log(self.log())))
            }
        }
    }

    /// Resolves once it has ended and its output has been read, with how.
    pub(crate) async fn exited(&self) -> Failure {
        let mut ended = self.ended.clone();
        let how = ended.wait_for(Option::is_some).await.ok().and_then(|how| how.clone());
        // Without a word the child's keeper is gone, and the child with it.
        let how = how.unwrap_or_else(|| "it was killed".to_owned());
        Failure::Exited(how, Log(self.log()))
    }

    /// The last lines it printed.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    fn signal(&self, signal: Signal) -> bool {
        // It can only fail for a process that has just ended, which is told elsewhere.
        !self.has_ended() && kill_process(self.pid, signal).is_ok()
    }
}

/// By bytes: a log that is not UTF-8 must not end the reading, or the pipe would fill.
async fn read(output: pipe::Receiver, log: Arc<Mutex<VecDeque<String>>>) {
    let mut lines = BufReader::new(output).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == LINES {
            log.pop_front();
        }
        log.push_back(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
    }
}
