//! A child process that cannot outlive us.
//!
//! A shell stands between: it waits for its standard input to close, which happens when we close it
//! and just as surely when we are killed, then ends the program and removes its folder. The shell
//! leads a process group of its own, so that neither Ctrl-C nor a signal to our group reaches it
//! before its work is done.

use std::env;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::tools::tail;

/// `$1` is the folder, `$2` the signal, `$3` where the output goes if not to ours, the rest the
/// command line. A line on the standard input names another signal. It is sent once, as a second one
/// may mean something else, and to a program that has ended by itself not at all: its process id may
/// be another's by now. One that does not heed it in a minute is killed. The folder stays where it
/// holds a file `keep`. A background job of a shell reads from nowhere unless told otherwise, hence
/// descriptor 3.
const SCRIPT: &str = r#"
folder=$1 signal=$2 log=$3; shift 3
exec 3<&0
[ -z "$log" ] || exec >"$log" 2>&1
"$@" </dev/null 3<&- & program=$!
{
    read -r other <&3; signal=${other:-$signal}
    [ -e "$folder/exit" ] || kill -"$signal" "$program"
    waited=0
    until [ -e "$folder/exit" ]; do
        waited=$((waited + 1)); [ "$waited" -lt 1200 ] || kill -KILL "$program"
        sleep 0.05
    done
} 2>/dev/null & watcher=$!
wait "$program"; code=$?; echo "$code" >"$folder/exit.partial"; mv "$folder/exit.partial" "$folder/exit"
wait "$watcher"; [ -e "$folder/keep" ] || rm -rf -- "$folder"
exit "$code"
"#;

/// The slowest needs a few seconds; a machine this slow would fail every test anyway.
const START_LIMIT: Duration = Duration::from_secs(90);

/// Why a program did not start whose port another took before it was bound.
const LOST: &str = "lost its port";

/// Starts a program, and anew while it loses its port, five times.
pub(crate) fn until_bound<T>(mut start: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let mut more = 1..5;
    loop {
        match start() {
            Err(why) if why.contains(LOST) && more.next().is_some() => {}
            ended => return ended,
        }
    }
}

/// A running program. Dropping it ends the program and removes its folder.
pub struct Process {
    shell: Child,
    folder: PathBuf,
    log: PathBuf,
}

impl Process {
    /// The command line of a program that nothing of our environment configures, but these
    /// variables.
    pub fn command(variables: &[(&str, &str)], program: &Path, args: &[&str]) -> Vec<String> {
        let names = env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
        let configuring = names.filter(|name| name.starts_with("A2A_"));
        let mut command = vec!["env".to_owned()];
        command.extend(configuring.flat_map(|name| ["-u".to_owned(), name]));
        command.extend(variables.iter().map(|(name, value)| format!("{name}={value}")));
        command.push(program.display().to_string());
        command.extend(args.iter().map(ToString::to_string));
        command
    }

    /// Starts a program in a folder that is its own, which ends by this signal.
    pub(crate) fn start(folder: &Path, signal: &str, command: &[String]) -> Result<Self, String> {
        Self::spawn(folder, signal, &folder.join("log"), command)
    }

    /// Starts a program with a folder that it need not know, which ends by SIGTERM.
    ///
    /// # Errors
    /// In words, when there is no folder or no shell.
    pub fn start_apart(command: &[String]) -> Result<Self, String> {
        Self::start(&temp_folder("a2a-process")?.keep(), "TERM", command)
    }

    /// Starts a program whose output goes to this file, and which is killed when this is dropped.
    ///
    /// # Errors
    /// In words, when there is no folder or no shell.
    pub fn start_logged(log: &Path, command: &[String]) -> Result<Self, String> {
        Self::spawn(&temp_folder("a2a-process")?.keep(), "KILL", log, command)
    }

    /// The same for one whose output is ours.
    pub(crate) fn start_shown(command: &[String]) -> Result<Self, String> {
        Self::spawn(&temp_folder("a2a-process")?.keep(), "TERM", Path::new(""), command)
    }

    fn spawn(folder: &Path, signal: &str, log: &Path, command: &[String]) -> Result<Self, String> {
        // Left by the program that ran here before, whose log says that it is ready.
        for left in [&folder.join("exit"), log] {
            let _ = fs::remove_file(left);
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "process"]).arg(folder).arg(signal).arg(log).args(command);
        let shell = shell.stdin(Stdio::piped()).process_group(0).spawn();
        let shell = shell.map_err(|error| format!("cannot start sh: {error}"))?;
        Ok(Self { shell, folder: folder.to_owned(), log: log.to_owned() })
    }

    /// Ends the program by this signal, waits until it has, and answers its exit code.
    pub fn end(&mut self, signal: &str) -> Option<i32> {
        // One that has ended already needs no signal.
        let _ = self.shell.stdin.take().map(|mut stdin| writeln!(stdin, "{signal}"));
        self.shell.wait().ok()?.code()
    }

    /// Kills the program and leaves its folder, for the same one to be started in again.
    pub(crate) fn end_keeping(self) -> Result<(), String> {
        let keep = self.folder.join("keep");
        let say = |error| format!("{} cannot be kept: {error}", keep.display());
        fs::write(&keep, "").map_err(say)?;
        drop(self);
        fs::remove_file(&keep).map_err(say)
    }

    /// Waits until `is_ready` says so of what the program has printed, or says why that is not to
    /// be: it ended, or its time is over.
    ///
    /// # Errors
    /// That, in words that follow the program's name.
    pub fn wait_until(&self, is_ready: impl Fn(&str) -> bool) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let (log, exit) = (self.log(), self.exited());
            let why = match exit {
                _ if is_ready(&log) => return Ok(()),
                Some(_) if log.to_ascii_lowercase().contains("address already in use") => {
                    // Said long before the end of its log: Kafka says much.
                    LOST.to_owned()
                }
                Some(code) => format!("ended with code {code} while starting"),
                None if began.elapsed() > START_LIMIT => "was not ready in time".to_owned(),
                None => {
                    thread::sleep(Duration::from_millis(20));
                    continue;
                }
            };
            return Err(format!("{why}; {}", self.told()));
        }
    }

    /// The exit code, once the program has ended by itself.
    pub fn exited(&self) -> Option<i32> {
        fs::read_to_string(self.folder.join("exit")).ok()?.trim().parse().ok()
    }

    /// The end of what the program has printed, for people.
    pub fn told(&self) -> String {
        format!("the end of its log:\n{}", tail(&self.log(), 40))
    }

    /// What the program has printed.
    pub fn log(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Closing the pipe is the whole message. A shell that cannot be waited for is not ours to
        // fix.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// A new folder, removed when dropped.
pub(crate) fn temp_folder(prefix: &str) -> Result<TempDir, String> {
    let folder = tempfile::Builder::new().prefix(prefix).tempdir();
    folder.map_err(|error| format!("no temp folder: {error}"))
}

/// `N` different ports of 127.0.0.1 that nothing listens on. Another process may still take one
/// before its user binds it, so a user that fails to bind tries again.
pub(crate) fn free_ports<const N: usize>() -> Result<[u16; N], String> {
    let failed = |error| format!("no free port on 127.0.0.1: {error}");
    // All are held until the last is known, so none repeats.
    let held: Result<Vec<_>, _> =
        (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&held.map_err(failed)?) {
        *port = listener.local_addr().map_err(failed)?.port();
    }
    Ok(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(folder: &Path, script: &str) -> Process {
        let folder_name = folder.display().to_string();
        let command = ["sh", "-c", script, &folder_name].map(str::to_owned);
        Process::start(folder, "KILL", &command).expect("sh starts")
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
        let folder = temp_folder("xtask").expect("a folder").keep();
        let process = start(&folder, "echo out; echo err >&2; exit 7");
        assert_eq!(within_seconds(|| process.exited()), 7);
        assert_eq!(process.log(), "out\nerr\n");
        let reason = process.wait_until(|log| log.contains("ready")).expect_err("it ended");
        assert_eq!(reason, "ended with code 7 while starting; the end of its log:\nout\nerr");
    }

    #[test]
    fn dropping_kills_the_program_and_removes_the_folder() {
        let folder = temp_folder("xtask").expect("a folder").keep();
        let process = start(&folder, "echo $$; exec sleep 600");
        let pid = within_seconds(|| process.log().strip_suffix('\n').map(str::to_owned));
        assert_eq!(process.exited(), None);
        drop(process);
        assert!(!folder.exists());
        let alive = Command::new("kill").args(["-0", &pid]).stderr(Stdio::null()).status();
        assert!(!alive.expect("kill runs").success(), "process {pid} still runs");
    }

    #[test]
    fn what_is_kept_can_be_started_again_and_goes_in_the_end() {
        let folder = temp_folder("xtask").expect("a folder").keep();
        let first = start(&folder, "echo 1 >>\"$0/runs\"; echo ready; exec sleep 600");
        let runs = || fs::read_to_string(folder.join("runs")).unwrap_or_default();
        first.wait_until(|log| log == "ready\n").expect("it said so");
        first.end_keeping().expect("kept");
        assert_eq!(runs(), "1\n");
        let second = start(&folder, "echo 2 >>\"$0/runs\"; exec sleep 600");
        assert_eq!(second.log(), "", "the first one's words are not the second one's");
        within_seconds(|| (runs() == "1\n2\n").then_some(()));
        assert_eq!(second.exited(), None, "the first one's end is not the second one's");
        drop(second);
        assert!(!folder.exists());
    }

    #[test]
    fn a_program_with_an_end_of_its_own_is_let_to_it() {
        let folder = temp_folder("xtask").expect("a folder").keep();
        let end = folder.with_extension("end");
        let script =
            format!("trap 'echo over >{}; exit' TERM; echo on; sleep 600 & wait", end.display());
        let command = ["sh", "-c", &script].map(str::to_owned);
        let process = Process::start(&folder, "TERM", &command).expect("sh starts");
        process.wait_until(|log| log == "on\n").expect("it said so");
        drop(process);
        assert_eq!(fs::read_to_string(&end).expect("it said so"), "over\n");
        assert!(!folder.exists());
        let _ = fs::remove_file(end);
    }

    #[test]
    fn ports_differ_and_can_be_bound() {
        let bindable = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
        // Another test may take one meanwhile, but not every time.
        let all_free = (0..20).any(|_| {
            let ports = free_ports::<4>().expect("four ports");
            for (index, port) in ports.iter().enumerate() {
                assert!(!ports[..index].contains(port), "{ports:?}");
            }
            ports.iter().all(bindable)
        });
        assert!(all_free);
    }
}
