//! A server in a process of its own, started from this same program.
//!
//! It owns which servers there are, where each listens, and how much memory it has. A child ends
//! with the driver, however that ends. It must never know what is measured.

use std::env;
use std::fs;

use anyhow::{Context, Error, Result, anyhow};
use serde::{Deserialize, Serialize};
use xtask::Process;

/// The variable that tells a child the file of its subject. A store's URL may hold a password, and
/// arguments are seen by everybody.
pub(crate) const SUBJECT: &str = "A2A_BENCH_SUBJECT";

/// What a child is.
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

/// What stands before a child's process id and the one thing it has to say, in a line.
pub(crate) const READY: &str = "ready ";

/// A running server; dropping it ends the process.
pub(crate) struct Server {
    _process: Process,
    id: String,
    address: String,
}

impl Server {
    /// Starts the server and waits for the one line by which it says that it is ready.
    pub(crate) fn start(subject: &Subject) -> Result<Self> {
        Self::start_with(subject, &[])
    }

    /// The same, with variables of its own.
    pub(crate) fn start_with(subject: &Subject, variables: &[(&str, &str)]) -> Result<Self> {
        let file = tempfile::NamedTempFile::new().context("no file for a child")?;
        serde_json::to_writer(&file, subject)?;
        let (program, path) = (env::current_exe()?, file.path().to_string_lossy());
        let variables = [&[(SUBJECT, &*path)], variables].concat();
        let process = Process::start_apart(&Process::command(&variables, &program, &[]));
        let process = process.map_err(Error::msg)?;
        process.wait_until(|log| said(log).is_some()).map_err(|why| anyhow!("a child {why}"))?;
        let log = process.log();
        let (id, address) = said(&log).unwrap_or_default();
        let (id, address) = (id.to_owned(), address.to_owned());
        Ok(Self { _process: process, id, address })
    }

    /// `IP:PORT` of a server over HTTP or of its broker; what another child has to say.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Resident memory now, in megabytes of 10^6 bytes.
    pub(crate) fn resident_mb(&self) -> Result<f64> {
        resident_mb(&self.id)
    }
}

/// The process id and what was said, once the whole line is there.
fn said(log: &str) -> Option<(&str, &str)> {
    let line = log.split_inclusive('\n').find_map(|line| line.strip_prefix(READY))?;
    line.strip_suffix('\n')?.split_once(' ')
}

/// Resident memory now of the process of this id or of `self`, in megabytes of 10^6 bytes.
pub(crate) fn resident_mb(process: &str) -> Result<f64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    resident_kib(&status)
        .map(|kib| kib * 1024.0 / 1e6)
        .with_context(|| format!("{path} does not say VmRSS"))
}

fn resident_kib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
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
    fn a_child_is_ready_once_its_whole_line_is_there() {
        assert_eq!(said("INFO it begins\nready 7 127.0.0.1:1\n"), Some(("7", "127.0.0.1:1")));
        assert_eq!(said("ready 7 127.0.0.1:1"), None);
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
