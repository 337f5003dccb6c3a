//! A server in a process of its own, started from this same program.
//!
//! It owns the process: where it listens, how much memory it has, and its end. A child also ends
//! by itself when the driver dies, because its standard input then closes ([`crate::serve`]).

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::cli::Subject;

/// A running server; dropping it kills the process.
pub(crate) struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts the server and waits for the one line it prints when it is ready.
    pub(crate) fn start(subject: &Subject) -> Result<Self, String> {
        let words = subject.words();
        let name = words.first().cloned().unwrap_or_default();
        let program = env::current_exe().map_err(|error| format!("where am I: {error}"))?;
        let mut process = Command::new(program)
            .arg("serve")
            .args(&words)
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
}
