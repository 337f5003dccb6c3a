//! `cargo xtask up` and `cargo xtask down`: the engines, for as long as somebody works with them.
//!
//! Owns: the background process that holds the engines, and the lines for a shell that say where
//! they are. That process holds a lock while it lives, so nobody has to know its process id, and a
//! file tells it to stop. Every engine ends with it, however it ends.

use std::env;
use std::fmt::Write;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cache;
use crate::engines::Engines;

/// Makes `cargo xtask up` the process that holds the engines.
const HOLD: &str = "--hold";

const PAUSE: Duration = Duration::from_millis(50);

/// Another process takes the lock for a moment, too, when it looks whether engines are held.
const LOOKING: Duration = Duration::from_secs(1);

/// Starts the engines, unless they run, and prints where they are. What it starts outlives it.
pub(crate) fn up(args: &[String]) -> Result<ExitCode, String> {
    let state = State::open()?;
    match args {
        [flag] if flag == HOLD => return state.hold().map(|()| ExitCode::SUCCESS),
        [] => {}
        [arg, ..] => return Err(format!("`cargo xtask up` takes no arguments, as {arg:?} is one")),
    }
    if state.is_held()? {
        eprintln!("xtask: these were running already");
    } else {
        state.start()?;
    }
    // Another `up` may be at it.
    while !state.file("exports").exists() {
        if !state.is_held()? {
            return Err(format!("the engines did not start:\n{}", state.read("log")?));
        }
        thread::sleep(PAUSE);
    }
    print!("{}", state.read("exports")?);
    eprintln!("xtask: `cargo xtask down` stops them");
    Ok(ExitCode::SUCCESS)
}

/// Stops what [`up`] started and removes its data.
pub(crate) fn down(args: &[String]) -> Result<ExitCode, String> {
    if let Some(arg) = args.first() {
        return Err(format!("`cargo xtask down` takes no arguments, as {arg:?} is one"));
    }
    let state = State::open()?;
    let held = state.is_held()?;
    // Said more than once: a holder that is just starting takes the first for an old one.
    while state.is_held()? {
        state.write("stop", "")?;
        thread::sleep(PAUSE);
    }
    state.remove("exports");
    eprintln!("xtask: {}", if held { "the engines are gone" } else { "no engine was running" });
    Ok(ExitCode::SUCCESS)
}

/// What is remembered between two commands, in a folder of the cache.
struct State(PathBuf);

impl State {
    fn open() -> Result<Self, String> {
        let folder = cache::root()?.join("up");
        fs::create_dir_all(&folder).map_err(|error| format!("cannot make {folder:?}: {error}"))?;
        Ok(Self(folder))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> Result<String, String> {
        let file = self.file(name);
        fs::read_to_string(&file).map_err(|error| format!("cannot read {file:?}: {error}"))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let file = self.file(name);
        fs::write(&file, text).map_err(|error| format!("cannot write {file:?}: {error}"))
    }

    /// It need not be there.
    fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.file(name));
    }

    fn lock(&self) -> Result<Option<File>, String> {
        let failed = |error: std::io::Error| format!("cannot lock {:?}: {error}", self.0);
        let lock = File::create(self.file("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Whether engines are held, or about to be.
    fn is_held(&self) -> Result<bool, String> {
        Ok(self.lock()?.is_none())
    }

    /// Starts the holder apart from our terminal: no Ctrl-C and no hang-up reaches it.
    fn start(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("cannot hold the engines: {error}");
        self.remove("exports");
        let log = File::create(self.file("log")).map_err(failed)?;
        let mut holder = Command::new("nohup");
        holder.arg(env::current_exe().map_err(failed)?).args(["up", HOLD]).process_group(0);
        holder.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        let mut holder = holder.spawn().map_err(failed)?;
        while !self.is_held()? && holder.try_wait().map_err(failed)?.is_none() {
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// What the holder does: starts the engines, says where they are, and holds them until it is
    /// told to stop. One that finds another there ends.
    fn hold(&self) -> Result<(), String> {
        let began = Instant::now();
        let _lock = loop {
            match self.lock()? {
                Some(lock) => break lock,
                None if began.elapsed() > LOOKING => return Ok(()),
                None => thread::sleep(PAUSE / 10),
            }
        };
        self.remove("stop");
        let engines = Engines::start()?;
        self.write("exports.partial", &exports(&engines.variables()))?;
        fs::rename(self.file("exports.partial"), self.file("exports"))
            .map_err(|error| format!("cannot say where the engines are: {error}"))?;
        while !self.file("stop").exists() {
            thread::sleep(PAUSE);
        }
        // First the engines, then the lock.
        drop(engines);
        Ok(())
    }
}

/// For a shell to read: the variables of the tests, and those of the functions and the runner.
fn exports(variables: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "export {name}='{value}'");
    };
    for (name, value) in variables {
        line(name, value);
    }
    let find = |wanted: &str| variables.iter().find(|(name, _)| *name == wanted).map(|it| it.1);
    if let Some(kafka) = find("A2A_TEST_KAFKA") {
        line("A2A_KAFKA", kafka);
    }
    if let Some(endpoint) = find("A2A_TEST_DYNAMODB") {
        let region = find("AWS_REGION").map(|region| format!("region={region}&"));
        let region = region.unwrap_or_default();
        line("A2A_STORE", &format!("dynamodb://a2a?{region}endpoint={endpoint}"));
    }
    for store in ["A2A_TEST_POSTGRES", "A2A_TEST_REDIS"].into_iter().filter_map(find) {
        line("A2A_STORE", store);
    }
    text + "# Of the lines with A2A_STORE the last one counts: take the one you want.\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_exports() {
        let text = exports(&[
            ("A2A_TEST_KAFKA", "127.0.0.1:1"),
            ("A2A_TEST_DYNAMODB", "http://127.0.0.1:2"),
            ("A2A_TEST_REDIS", "redis://127.0.0.1:3"),
            ("A2A_TEST_POSTGRES", "postgres://postgres@127.0.0.1:4/postgres"),
            ("AWS_REGION", "eu-central-1"),
        ]);
        let script = format!("{text}echo \"$A2A_KAFKA $A2A_STORE $A2A_TEST_POSTGRES\"");
        let output = Command::new("sh").args(["-c", &script]).output().expect("sh runs");
        let printed = String::from_utf8(output.stdout).expect("text");
        let expected = "127.0.0.1:1 redis://127.0.0.1:3 postgres://postgres@127.0.0.1:4/postgres\n";
        assert_eq!(printed, expected);
        let store = "'dynamodb://a2a?region=eu-central-1&endpoint=http://127.0.0.1:2'";
        assert!(text.contains(store), "{text}");
    }
}
