//! How a command ended: what its exit code tells, or why it came to no verdict.
//!
//! Owns: the exit codes, and whose fault a failure is. Must never know: commands, what is printed.

use std::{io, process::ExitCode};

use a2a_core::{Error, ErrorKind, TaskState};

/// How a command ended. `--help` lists the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done = 0,
    Failed = 1,
    Usage = 2,
    NotReached = 3,
    Waits = 4,
    /// As a shell reports a program that SIGINT ended.
    Interrupted = 130,
}

impl Verdict {
    /// What the state means in which a message left its task.
    pub(crate) fn of_state(state: TaskState) -> Self {
        match state {
            TaskState::Failed | TaskState::Rejected | TaskState::Canceled => Self::Failed,
            TaskState::InputRequired | TaskState::AuthRequired => Self::Waits,
            _ => Self::Done,
        }
    }

    /// What a failed call means.
    pub(crate) fn of_error(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Unavailable | ErrorKind::DeadlineExceeded => Self::NotReached,
            _ => Self::Failed,
        }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        Self::from(verdict as u8)
    }
}

/// Why a command came to no verdict.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The call failed.
    Call(Error),
    /// The command line is wrong, in a way that shows when it is carried out.
    Usage(Error),
    /// It could not be printed.
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
