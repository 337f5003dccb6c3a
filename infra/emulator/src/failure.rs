//! Why there is no answer.
//!
//! Owns: telling a person what a function did instead, with the end of its log. Must never know:
//! how that was noticed.

use std::{fmt, time::Duration};

use bytes::Bytes;

/// How many lines of a function's log are shown with a failure.
const TAIL: usize = 20;

/// A function that did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It could not be started, or its Runtime API could not.
    #[error("the function could not be started: {0}")]
    Start(String),
    /// It said itself that it cannot begin: the error as it reported it.
    #[error("the function could not begin: {0}{1}")]
    Init(String, Log),
    /// Its process ended: the exit code or the signal, in words.
    #[error("the function's process ended: {0}{1}")]
    Exited(String, Log),
    /// It took longer than it may, and was killed, as on Lambda: what it was to do, and the limit.
    #[error("{0} took longer than {1:?}{2}")]
    Late(&'static str, Duration, Log),
    /// It answered the invocation with an error. The process is well.
    #[error("the function answered with an error, {kind}: {}", String::from_utf8_lossy(.body))]
    Error {
        /// The kind of error, as the runtime names it.
        kind: String,
        /// The error as it reported it.
        body: Bytes,
    },
    /// Its answer broke off, or is not what the Runtime API takes: what is wrong with it.
    #[error("the function's answer is none: {0}{1}")]
    Broken(String, Log),
}

/// What a function printed, line by line; of that, the end is shown.
#[derive(Debug)]
pub struct Log(pub Vec<String>);

impl fmt::Display for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[self.0.len().saturating_sub(TAIL)..] {
            [] => formatter.write_str("; it printed nothing"),
            end => write!(formatter, "; the end of what it printed:\n{}", end.join("\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_ends_with_the_last_lines_of_the_log() {
        let log: Vec<String> = (0..100).map(|line| format!("line {line}")).collect();
        let said = Failure::Exited("exit status: 3".to_owned(), Log(log)).to_string();
        assert!(said.starts_with("the function's process ended: exit status: 3;"), "{said}");
        assert!(said.ends_with("line 99") && !said.contains("line 79\n"), "{said}");
        let silent = Failure::Late("an invocation", Duration::from_secs(3), Log(Vec::new()));
        assert_eq!(silent.to_string(), "an invocation took longer than 3s; it printed nothing");
    }
}
