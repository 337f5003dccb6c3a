//! `a2a` as a child process. Dropping it kills it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdout, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long it may take to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running command.
pub(crate) struct Program {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: Option<JoinHandle<String>>,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// What was not read before.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    /// Starts it before the agent at this address, with nothing of our environment that would
    /// configure it.
    pub(crate) fn start(url: &str, arguments: &[&str], stdin: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_a2a"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("A2A_") {
                command.env_remove(&name);
            }
        }
        command.args(arguments).env("A2A_URL", url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may be over before it reads.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let stdout = child.stdout.take().map(BufReader::new);
        let mut pipe = child.stderr.take().unwrap();
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, stdout, stderr: Some(stderr) }
    }

    /// The next line on standard output, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "no whole line but {line:?}");
        line.trim_end().to_owned()
    }

    /// Reads no more of standard output.
    pub(crate) fn leave(&mut self) {
        self.stdout = None;
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        let kill = format!("kill -INT {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        let stdout = self.stdout.take();
        let stdout = thread::spawn(move || {
            let mut text = String::new();
            stdout.map(|mut pipe| pipe.read_to_string(&mut text).unwrap());
            text
        });
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            thread::sleep(Duration::from_millis(5));
        };
        let stderr = self.stderr.take().unwrap().join().unwrap();
        Ended { code: status.code(), stdout: stdout.join().unwrap(), stderr }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Its lines, each of which is an object.
    pub(crate) fn json(&self) -> Vec<Value> {
        let read = |line| match serde_json::from_str(line) {
            Ok(value @ Value::Object(_)) => value,
            other => panic!("{other:?}: {self:?}"),
        };
        self.stdout.lines().map(read).collect()
    }

    /// The reason of the error that is all it said.
    pub(crate) fn reason(&self) -> String {
        assert_eq!(self.stdout, "", "{self:?}");
        let told: Value = serde_json::from_str(&self.stderr).unwrap();
        told["error"]["data"][0]["reason"].as_str().unwrap().to_owned()
    }
}

/// Runs a command to its end.
pub(crate) fn a2a(url: &str, arguments: &[&str]) -> Ended {
    Program::start(url, arguments, "").ended()
}
