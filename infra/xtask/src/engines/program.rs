//! One engine: a program on a free loopback port, with a temp folder for what it writes.
//!
//! Owns: the start, the wait until it answers, another try where its port was lost, and the end.
//! Must never know: which engine it is.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::guard::Guarded;
use crate::ports;
use crate::scratch::Scratch;
use crate::text::tail;

/// The slowest needs 4 seconds; a machine this slow would fail every test anyway.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How many lines of the log are shown when a start fails.
const TAIL: usize = 40;

/// What tells engines apart.
pub(super) struct Kind {
    /// Its name in sentences.
    pub(super) name: &'static str,
    /// Its temp folder's name begins with this.
    pub(super) folder: &'static str,
    /// The signal that ends it: KILL, unless it has processes or memory of its own to see to.
    pub(super) signal: &'static str,
    /// A real request, or what is missing in its answer.
    pub(super) ready: fn(u16) -> Result<(), String>,
}

/// A running engine. Dropping it stops it and removes its folder.
pub(super) struct Running {
    // Stopped before its folder goes: fields are dropped in this order.
    _program: Guarded,
    _folder: Scratch,
    port: u16,
}

/// Why a start failed, told apart because a lost port is worth another try.
enum Failure {
    PortTaken,
    Other(String),
}

impl Running {
    /// Starts an engine and waits until it answers. `command` lays out its folder for a port, and
    /// answers the command line.
    pub(super) fn start(
        kind: &Kind,
        command: impl Fn(&Path, u16) -> Result<Vec<String>, String>,
    ) -> Result<Self, String> {
        for _ in 0..3 {
            match Self::start_once(kind, &command) {
                Ok(running) => return Ok(running),
                Err(Failure::PortTaken) => {}
                Err(Failure::Other(reason)) => return Err(reason),
            }
        }
        let name = kind.name;
        Err(format!(
            "{name} did not start: each of three free ports was taken before it could bind"
        ))
    }

    /// Where it listens on 127.0.0.1.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    fn start_once(
        kind: &Kind,
        command: &impl Fn(&Path, u16) -> Result<Vec<String>, String>,
    ) -> Result<Self, Failure> {
        let began = Instant::now();
        let folder = Scratch::create(kind.folder).map_err(Failure::Other)?;
        let [port] = ports::free().map_err(Failure::Other)?;
        let command = command(folder.path(), port).map_err(Failure::Other)?;
        let program = Guarded::start_ended_by(kind.signal, &command, folder.path());
        let program = program.map_err(Failure::Other)?;
        wait_until_ready(kind, &program, port, began)
            .map_err(|reason| explain(&reason, &program))?;
        let seconds = began.elapsed().as_secs_f32();
        eprintln!("xtask: {} on 127.0.0.1:{port}, ready in {seconds:.1} s", kind.name);
        Ok(Self { _program: program, _folder: folder, port })
    }
}

fn wait_until_ready(
    kind: &Kind,
    program: &Guarded,
    port: u16,
    began: Instant,
) -> Result<(), String> {
    loop {
        let answer = (kind.ready)(port);
        // Looked at after the answer: a stranger may have the port that the program did not get.
        if let Some(code) = program.exited() {
            return Err(format!("{} ended with code {code} while starting", kind.name));
        }
        match answer {
            Ok(()) => return Ok(()),
            Err(missing) if began.elapsed() > START_LIMIT => {
                let limit = START_LIMIT.as_secs();
                return Err(format!("{} was not ready within {limit} s: {missing}", kind.name));
            }
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Adds the end of the log to why a start failed.
fn explain(reason: &str, program: &Guarded) -> Failure {
    let log = fs::read(program.log()).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    if log.to_ascii_lowercase().contains("address already in use") {
        return Failure::PortTaken;
    }
    Failure::Other(format!("{reason}; the end of its log:\n{}", tail(&log, TAIL)))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpStream};

    /// A started engine answers, and is gone, data and all, once it is dropped.
    pub(crate) fn comes_and_goes(start: fn() -> Result<Running, String>, kind: &Kind) {
        let running = start().expect("it starts");
        let (port, folder) = (running.port, running._folder.path().to_owned());
        assert_eq!((kind.ready)(port), Ok(()));
        assert!(folder.is_dir());
        drop(running);
        assert!((kind.ready)(port).is_err());
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
        assert!(!folder.exists());
    }

    const NEVER: Kind = Kind {
        name: "It",
        folder: "xtask-engine",
        signal: "KILL",
        ready: |_| Err("nothing answers".to_owned()),
    };

    fn said(script: &str) -> String {
        let command = |_: &Path, _| Ok(["sh", "-c", script].map(str::to_owned).to_vec());
        Running::start(&NEVER, command).err().expect("it does not start")
    }

    #[test]
    fn an_engine_that_ends_is_told_with_its_log() {
        let reason = said("echo no such option >&2; exit 3");
        assert_eq!(
            reason,
            "It ended with code 3 while starting; the end of its log:\nno such option"
        );
    }

    #[test]
    fn a_lost_port_is_tried_again() {
        let reason = said("echo 'bind: Address already in use'; exit 1");
        assert!(reason.contains("three free ports"), "{reason}");
    }
}
