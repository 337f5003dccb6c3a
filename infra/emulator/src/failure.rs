//! Why there is no answer.
//!
//! Owns: telling a person what a function did instead, with the end of its log. Must never know:
//! how that was noticed.

use std::{fmt, time::Duration};

use bytes::Bytes;

/// How many lines of a function's log are shown with a failure.
const TAIL: usize = 20;

/// A function that did not answer.
#[derive(Debug)]
pub enum Failure {
    /// It could not be started, or its Runtime API could not.
    Start(String),
    /// It said itself that it cannot begin.
    Init {
        /// The error as it reported it.
        body: Bytes,
        /// What it printed.
        log: Vec<String>,
    },
    /// Its process ended.
    Exited {
        /// The exit code or the signal, in words.
        how: String,
        /// What it printed.
        log: Vec<String>,
    },
    /// It took longer than it may, and was killed, as on Lambda.
    Late {
        /// What it was to do.
        what: &'static str,
        /// How long it may take.
        limit: Duration,
        /// What it printed.
        log: Vec<String>,
    },
    /// It answered the invocation with an error. The process is well.
    Error {
        /// The kind of error, as the runtime names it.
        kind: String,
        /// The error as it reported it.
        body: Bytes,
    },
    /// Its answer broke off, or is not what the Runtime API takes.
    Broken {
        /// What is wrong with it.
        reason: String,
        /// What it printed.
        log: Vec<String>,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |body: &Bytes| String::from_utf8_lossy(body).into_owned();
        let (sentence, log) = match self {
            Self::Start(reason) => (format!("the function could not be started: {reason}"), None),
            Self::Init { body, log } => {
                (format!("the function could not begin: {}", text(body)), Some(log))
            }
            Self::Exited { how, log } => {
                (format!("the function's process ended: {how}"), Some(log))
            }
            Self::Late { what, limit, log } => {
                (format!("{what} took longer than {limit:?}"), Some(log))
            }
            Self::Error { kind, body } => {
                (format!("the function answered with an error, {kind}: {}", text(body)), None)
            }
            Self::Broken { reason, log } => {
                (format!("the function's answer is none: {reason}"), Some(log))
            }
        };
        formatter.write_str(&sentence)?;
        match log.map(Vec::as_slice) {
            None => Ok(()),
            Some([]) => formatter.write_str("; it printed nothing"),
            Some(log) => {
                let end = &log[log.len().saturating_sub(TAIL)..];
                write!(formatter, "; the end of what it printed:\n{}", end.join("\n"))
            }
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_ends_with_the_last_lines_of_the_log() {
        let log: Vec<String> = (0..100).map(|line| format!("line {line}")).collect();
        let said = Failure::Exited { how: "exit status: 3".to_owned(), log }.to_string();
        assert!(said.starts_with("the function's process ended: exit status: 3;"), "{said}");
        assert!(said.ends_with("line 99") && !said.contains("line 79\n"), "{said}");
        let silent =
            Failure::Late { what: "an invocation", limit: Duration::from_secs(3), log: Vec::new() };
        assert_eq!(silent.to_string(), "an invocation took longer than 3s; it printed nothing");
    }
}
