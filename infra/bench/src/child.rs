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

/// A server to measure; the child is told which by its JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Subject {
    /// The limit of HTTP: hyper, JSON parsed and written back
    Echo,
    /// The limit of SSE: hyper, events prepared beforehand
    Sse,
    /// Our agent over HTTP
    Agent,
    /// The limit of Kafka: each record written back
    KafkaEcho(Route),
    /// Our agent over Kafka
    KafkaAgent(Route),
}

/// Where a Kafka server reads and writes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Route {
    /// Bootstrap address
    pub(crate) brokers: String,
    /// Topic it reads
    pub(crate) requests: String,
    /// Topic it writes
    pub(crate) replies: String,
    /// Its consumer group
    pub(crate) group: String,
    /// How long a fetch may wait for records
    pub(crate) fetch_wait_ms: u32,
}

/// A running server; dropping it kills the process.
pub(crate) struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts the server and waits for the one line it prints when it is ready.
    pub(crate) fn start(subject: &Subject) -> Result<Self, String> {
        let name = serde_json::to_string(subject).map_err(|error| error.to_string())?;
        let program = env::current_exe().map_err(|error| format!("where am I: {error}"))?;
        let mut process = Command::new(program)
            .args(["serve", &name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start `serve {name}`: {error}"))?;
        let stdout = process.stdout.take();
        let mut server = Self { process, address: String::new() };
        if let Some(stdout) = stdout {
            // An unreadable line is an empty one, and that is refused just below.
            let _ = BufReader::new(stdout).read_line(&mut server.address);
        }
        server.address.truncate(server.address.trim_end().len());
        if server.address.is_empty() {
            return Err(format!("`serve {name}` ended before it was ready"));
        }
        Ok(server)
    }

    /// `IP:PORT` of an HTTP server; a word without meaning for another.
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
        let route = Route {
            brokers: "127.0.0.1:1".into(),
            requests: "a".into(),
            replies: "b".into(),
            group: "g".into(),
            fetch_wait_ms: 1,
        };
        for subject in [Subject::Echo, Subject::KafkaAgent(route)] {
            let json = serde_json::to_string(&subject).expect("JSON");
            let parsed: Subject = serde_json::from_str(&json).expect("a subject");
            assert_eq!(format!("{parsed:?}"), format!("{subject:?}"));
        }
    }
}
