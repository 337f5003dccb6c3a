//! `cargo xtask up` and `cargo xtask down`: the engines, for as long as somebody works with them.
//!
//! Owns: the background process that holds the engines, and the lines for a shell that say where
//! they are. That process holds a lock while it lives, so there is one, and answers on a socket, so
//! nobody has to know its process id. Every engine ends with it, however it ends.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use crate::cache;
use crate::engines::Engines;

/// Starts the engines, unless they run, and prints where they are. What it starts outlives it.
pub(crate) fn up() -> Result<ExitCode, String> {
    let folder = folder()?;
    let failed = |error: io::Error| format!("cannot hold the engines: {error}");
    let mut holder = None;
    let exports = loop {
        if let Some(answer) = ask(&folder, "up") {
            break answer;
        }
        let started = match &mut holder {
            Some(started) => started,
            none => none.insert(start(&folder).map_err(failed)?),
        };
        // One that found another there has ended well; that one will answer.
        match started.try_wait().map_err(failed)? {
            Some(status) if !status.success() => break String::new(),
            Some(_) => holder = None,
            None => {}
        }
        thread::sleep(Duration::from_millis(50));
    };
    if exports.is_empty() {
        let log = fs::read_to_string(folder.join("log")).map_err(failed)?;
        return Err(format!("the engines did not start:\n{log}"));
    }
    if holder.is_none() {
        eprintln!("xtask: these were running already");
    }
    print!("{exports}");
    eprintln!("xtask: `cargo xtask down` stops them");
    Ok(ExitCode::SUCCESS)
}

/// Stops what [`up`] started and removes its data.
pub(crate) fn down() -> Result<ExitCode, String> {
    let held = ask(&folder()?, "down").is_some();
    eprintln!("xtask: {}", if held { "the engines are gone" } else { "no engine was running" });
    Ok(ExitCode::SUCCESS)
}

/// What the holder does: starts the engines, says where they are, and holds them until it is told
/// to stop. One that finds another there ends.
pub(crate) fn hold() -> Result<ExitCode, String> {
    let folder = folder()?;
    let failed = |error: io::Error| format!("cannot hold the engines: {error}");
    let lock = File::create(folder.join("lock")).map_err(failed)?;
    match lock.try_lock() {
        Err(fs::TryLockError::WouldBlock) => return Ok(ExitCode::SUCCESS),
        outcome => outcome.map_err(|error| failed(error.into()))?,
    }
    let socket = folder.join("socket");
    // Of a holder that was killed.
    let _ = fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).map_err(failed)?;
    let engines = Engines::start()?;
    let exports = exports(&engines.variables());
    for mut connection in listener.incoming().flatten() {
        let mut line = String::new();
        match BufReader::new(&connection).read_line(&mut line) {
            Ok(_) if line == "down\n" => {
                // First the engines, then the answer, which is the connection's end.
                drop(engines);
                let _ = fs::remove_file(&socket);
                return Ok(ExitCode::SUCCESS);
            }
            // Whoever asked and has gone needs no answer.
            _ => drop(connection.write_all(exports.as_bytes())),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is remembered between two commands, a folder of the cache.
fn folder() -> Result<PathBuf, String> {
    let folder = cache::root()?.join("up");
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {folder:?}: {error}"))?;
    Ok(folder)
}

/// What the holder answers once its engines run, nothing if they do not start; or that there is no
/// holder.
fn ask(folder: &Path, line: &str) -> Option<String> {
    let mut connection = UnixStream::connect(folder.join("socket")).ok()?;
    let mut answer = String::new();
    let asked = writeln!(connection, "{line}");
    // A holder that dies has answered nothing.
    let _ = asked.and_then(|()| connection.read_to_string(&mut answer));
    Some(answer)
}

/// Starts the holder apart from our terminal: no Ctrl-C and no hang-up reaches it.
fn start(folder: &Path) -> io::Result<Child> {
    let log = File::create(folder.join("log"))?;
    let mut holder = Command::new("nohup");
    holder.arg(env::current_exe()?).args(["up", "--hold"]).process_group(0);
    holder.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
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
