//! A server in a process of its own, started from this same program.
//!
//! It owns which servers there are, and the process: where it listens, how much memory it has, and
//! its end. A child also ends by itself when the driver dies, because its standard input then
//! closes ([`crate::serve`]). It must never know what is measured.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

/// The variable that tells a child its subject. Not an argument: a store's URL may hold a password.
pub(crate) const SUBJECT: &str = "A2A_BENCH_SUBJECT";

/// What a child is; it is told by its JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Subject {
    /// The limit of HTTP and SSE: hyper, JSON written back, events prepared beforehand
    Limit,
    /// The limit of Kafka: each record written back
    KafkaEcho(Topic),
    /// Ours: the local runner with these options
    Runner(Vec<String>),
    /// Very many followers of one task
    Followers(Followers),
}

/// Where the echo of Kafka reads and writes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Topic {
    /// Bootstrap address; without one a broker runs in the child, as in the local runner
    pub(crate) brokers: Option<String>,
    /// Names its topics, as an agent's name does
    pub(crate) name: String,
}

/// Followers of one task.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Followers {
    /// The store
    pub(crate) url: String,
    /// How many there are
    pub(crate) count: usize,
    /// How many of them are slow
    pub(crate) slow: usize,
}

/// A running server; dropping it kills the process.
pub(crate) struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts the server and waits for the one line it prints when it is ready. Nothing of our
    /// environment configures it.
    pub(crate) fn start(subject: &Subject) -> Result<Self, String> {
        let name = serde_json::to_string(subject).map_err(|error| error.to_string())?;
        let program = env::current_exe().map_err(|error| format!("where am I: {error}"))?;
        let mut command = Command::new(program);
        for (variable, _) in env::vars_os().filter(|it| it.0.to_string_lossy().starts_with("A2A_"))
        {
            command.env_remove(variable);
        }
        command.env(SUBJECT, name).stdin(Stdio::piped()).stdout(Stdio::piped());
        let process = command.spawn().map_err(|error| format!("cannot start a child: {error}"))?;
        let mut server = Self { process, address: String::new() };
        if let Some(stdout) = server.process.stdout.take() {
            // An unreadable line is an empty one, and that is refused just below.
            let _ = BufReader::new(stdout).read_line(&mut server.address);
        }
        server.address.truncate(server.address.trim_end().len());
        match server.address.is_empty() {
            true => Err(format!("{subject:?} ended before it was ready")),
            false => Ok(server),
        }
    }

    /// `IP:PORT` of a server over HTTP or of its broker; what another child has to say.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Resident memory now, in megabytes of 10^6 bytes.
    pub(crate) fn resident_mb(&self) -> Result<f64, String> {
        resident_mb(&self.process.id().to_string())
    }
}

/// Resident memory now of the process of this id or of `self`, in megabytes of 10^6 bytes.
pub(crate) fn resident_mb(process: &str) -> Result<f64, String> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    resident_kib(&status)
        .map(|kib| kib * 1024.0 / 1e6)
        .ok_or_else(|| format!("{path} does not say VmRSS"))
}

fn resident_kib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; there is nobody to tell.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_one_line_of_the_status() {
        let status = "Name:\ta2a-bench\nVmHWM:\t   99 kB\nVmRSS:\t   12345 kB\nThreads:\t3\n";
        assert_eq!(resident_kib(status), Some(12_345.0));
        assert_eq!(resident_kib("Name:\tx\n"), None);
    }

    #[test]
    fn a_subject_survives_the_way_to_the_child() {
        let topic = Topic { brokers: Some("127.0.0.1:1".into()), name: "a".into() };
        for subject in [Subject::Limit, Subject::KafkaEcho(topic)] {
            let json = serde_json::to_string(&subject).expect("JSON");
            let parsed: Subject = serde_json::from_str(&json).expect("a subject");
            assert_eq!(format!("{parsed:?}"), format!("{subject:?}"));
        }
    }
}
