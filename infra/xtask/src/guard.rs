//! A child process that cannot outlive us.
//!
//! A shell stands between: it waits for its standard input to close, which happens when we close it
//! and just as surely when we are killed, then kills the program and removes its folder. The shell
//! leads a process group of its own, so that neither Ctrl-C nor a signal to our group reaches it
//! before its work is done.
//!
//! A program that is to run again in its folder is ended with [`Guarded::end_keeping`].

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// `$1` is the folder, `$2` the signal, the rest the command line. A program that has ended by
/// itself is sent nothing: its process id may be another's by now. One that does not heed the signal
/// in 10 seconds is killed. A background job of a shell reads from nowhere unless told otherwise,
/// hence descriptor 3.
const SCRIPT: &str = r#"
folder=$1 signal=$2; shift 2
exec 3<&0
"$@" >"$folder/log" 2>&1 </dev/null 3<&- & program=$!
{
    read -r _ <&3
    asked=0
    until [ -e "$folder/exit" ]; do
        kill -"$signal" "$program"
        [ "$signal" != KILL ] || break
        asked=$((asked + 1)); [ "$asked" -lt 200 ] || signal=KILL
        sleep 0.05
    done
} 2>/dev/null & watcher=$!
wait "$program"; echo "$?" >"$folder/exit.partial"; mv "$folder/exit.partial" "$folder/exit"
wait "$watcher"; [ -e "$folder/keep" ] || rm -rf -- "$folder"
"#;

/// A running program; dropping this kills it and removes its folder.
pub(crate) struct Guarded {
    shell: Child,
    folder: PathBuf,
}

impl Guarded {
    /// Starts the program with its output in `log` inside `folder`. It will be killed outright:
    /// nobody wants its data.
    pub(crate) fn start(command: &[String], folder: &Path) -> Result<Self, String> {
        Self::start_ended_by("KILL", command, folder)
    }

    /// The same for a program that has processes of its own to end: it gets this signal instead.
    pub(crate) fn start_ended_by(
        signal: &str,
        command: &[String],
        folder: &Path,
    ) -> Result<Self, String> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(folder)
            .arg(signal)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start sh: {error}"))?;
        Ok(Self { shell, folder: folder.to_owned() })
    }

    /// Kills the program and leaves its folder, for the same one to be started in again.
    pub(crate) fn end_keeping(self) -> Result<(), String> {
        let folder = self.folder.clone();
        let say = |error| format!("{} cannot be kept: {error}", folder.display());
        fs::write(folder.join("keep"), "").map_err(say)?;
        drop(self);
        fs::remove_file(folder.join("exit")).map_err(say)?;
        fs::remove_file(folder.join("keep")).map_err(say)
    }

    /// The exit code, once the program has ended by itself.
    pub(crate) fn exited(&self) -> Option<i32> {
        fs::read_to_string(self.folder.join("exit")).ok()?.trim().parse().ok()
    }

    /// Where the program's output goes.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Closing the pipe is the whole message. A shell that cannot be waited for is not ours to
        // fix.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::thread;
    use std::time::{Duration, Instant};

    fn start(script: &str, folder: &Path) -> Guarded {
        let folder_name = folder.display().to_string();
        let command = ["sh", "-c", script, &folder_name].map(str::to_owned);
        Guarded::start(&command, folder).expect("sh starts")
    }

    fn within_seconds<T>(mut check: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(value) = check() {
                return value;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "it never happened");
            thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_program_that_ends_by_itself_leaves_its_code_and_its_output() {
        let scratch = Scratch::create("xtask-guard").expect("a temp folder");
        let guarded = start("echo out; echo err >&2; exit 7", scratch.path());
        assert_eq!(within_seconds(|| guarded.exited()), 7);
        assert_eq!(fs::read_to_string(guarded.log()).expect("the log"), "out\nerr\n");
    }

    #[test]
    fn dropping_kills_the_program_and_removes_the_folder() {
        let scratch = Scratch::create("xtask-guard").expect("a temp folder");
        let guarded = start("echo $$; exec sleep 600", scratch.path());
        let pid = within_seconds(|| {
            let log = fs::read_to_string(guarded.log()).ok()?;
            log.strip_suffix('\n').map(str::to_owned)
        });
        assert_eq!(guarded.exited(), None);
        drop(guarded);
        assert!(!scratch.path().exists());
        let alive = Command::new("kill").args(["-0", &pid]).stderr(Stdio::null()).status();
        assert!(!alive.expect("kill runs").success(), "process {pid} still runs");
    }

    #[test]
    fn what_is_kept_can_be_started_again_and_goes_in_the_end() {
        let scratch = Scratch::create("xtask-guard").expect("a temp folder");
        let first = start("echo 1 >>\"$0/runs\"; exec sleep 600", scratch.path());
        let runs = || fs::read_to_string(scratch.path().join("runs")).unwrap_or_default();
        within_seconds(|| (runs() == "1\n").then_some(()));
        first.end_keeping().expect("kept");
        assert_eq!(runs(), "1\n");
        let second = start("echo 2 >>\"$0/runs\"; exec sleep 600", scratch.path());
        within_seconds(|| (runs() == "1\n2\n").then_some(()));
        assert_eq!(second.exited(), None, "the first one's end is not the second one's");
        drop(second);
        assert!(!scratch.path().exists());
    }

    #[test]
    fn a_program_with_an_end_of_its_own_is_let_to_it() {
        let scratch = Scratch::create("xtask-guard").expect("a temp folder");
        let end = scratch.path().with_extension("end");
        let script =
            format!("trap 'echo over >{}; exit' TERM; echo on; sleep 600 & wait", end.display());
        let command = ["sh", "-c", &script].map(str::to_owned);
        let guarded = Guarded::start_ended_by("TERM", &command, scratch.path()).expect("sh starts");
        within_seconds(|| fs::read_to_string(guarded.log()).ok().filter(|log| log == "on\n"));
        drop(guarded);
        assert_eq!(fs::read_to_string(&end).expect("it said so"), "over\n");
        assert!(!scratch.path().exists());
        let _ = fs::remove_file(end);
    }
}
