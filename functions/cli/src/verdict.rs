//! What the exit code tells.

use std::process::ExitCode;

use a2a_core::{Error, ErrorKind, TaskState};

/// How a command ended. `--help` lists the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    Failed,
    Usage,
    NotReached,
    Waits,
    Interrupted,
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
        Self::from(match verdict {
            Verdict::Done => 0,
            Verdict::Failed => 1,
            Verdict::Usage => 2,
            Verdict::NotReached => 3,
            Verdict::Waits => 4,
            // As a shell reports a program that SIGINT ended.
            Verdict::Interrupted => 130,
        })
    }
}
