//! What a run records next.
//!
//! Owns: taking what an executor emitted up to a batch's bounds. Must never know: how it is
//! appended, what becomes of the run.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::ends::Over;
use crate::{
    agent::Emitted,
    error::AgentError,
    limits::Limits,
    task::{Entry, Within},
    types::TaskState,
};

/// What is to be recorded next.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    /// What follows the entries, if the run is over with them.
    pub(super) end: Option<BatchEnd>,
    /// Who waits until the entries are recorded.
    pub(super) awaited: Vec<oneshot::Sender<()>>,
    /// Inside which steps the last of the entries was told.
    within: Option<Arc<Within>>,
}

pub(super) enum BatchEnd {
    /// The executor returned, or said its last word.
    Executor(Result<(), AgentError>),
    /// Its time is over.
    Over(Over),
    /// Another writer ended the task or took over the run.
    Conflict,
}

impl Batch {
    /// Takes what waits, up to a batch's bounds or the end of the run.
    pub(super) fn fill(
        &mut self,
        first: Emitted,
        events: &mut mpsc::Receiver<Emitted>,
        limits: &Limits,
    ) {
        let mut bytes = 0;
        let mut event = Some(first);
        while let Some(emitted) = event {
            match emitted {
                Emitted::Entry(entry, within) => {
                    bytes += entry.weight();
                    self.end = entry.ends_run().then_some(BatchEnd::Executor(Ok(())));
                    if self.end.is_none() {
                        self.stand_within(within);
                    }
                    self.entries.push(entry);
                }
                Emitted::Step(step, recorded) => {
                    let entry = Entry::Step(step);
                    bytes += entry.weight();
                    self.entries.push(entry);
                    self.awaited.push(recorded);
                }
                Emitted::Refused(error) => self.end = Some(BatchEnd::Executor(Err(error))),
                Emitted::Returned(outcome) => self.end = Some(BatchEnd::Executor(outcome)),
            }
            let full = self.entries.len() >= limits.batch_events || bytes >= limits.batch_bytes;
            if full || self.end.is_some() {
                return;
            }
            event = events.try_recv().ok();
        }
    }

    /// What comes next was told inside these steps.
    fn stand_within(&mut self, within: Option<Arc<Within>>) {
        if self.within != within {
            let entry = within.as_deref().cloned().unwrap_or(Within { steps: Vec::new() });
            self.entries.push(Entry::Within(entry));
            self.within = within;
        }
    }

    /// Whether callers hear of any of it.
    pub(super) fn is_told(&self) -> bool {
        self.entries.iter().any(Entry::is_told)
    }

    /// The last state that an entry of it brings.
    pub(super) fn last_state(&self) -> Option<TaskState> {
        self.entries.iter().rev().find_map(|entry| match entry {
            Entry::Status(event) => Some(event.status.state),
            Entry::Replied(_) => Some(TaskState::Completed),
            _ => None,
        })
    }
}
