//! The head: the one row per task that lists read.
//!
//! Owns: what a store needs to know of a task's life. Must never know: entries, the fold.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{call::Version, types::TaskStatus};

/// The one row per task that lists read. It is written in the same atomic step as the entries that
/// change it, and can be made again from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// Whose task; callers of another owner never learn of it.
    pub owner: Arc<str>,
    /// The task's conversation.
    pub context_id: Arc<str>,
    /// The current status without its message, which may be large: a head is written again at every
    /// change. Its time orders lists, newest first.
    pub status: TaskStatus,
    /// The slot whose last status holds that message, if the current status has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_at: Option<Version>,
    /// The slots that the task's history is told by; none where they are too many to be named here.
    /// With them a list reads no artifacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_at: Option<Vec<Version>>,
    /// The process that has the run in hand: none where no run is at work, or is yet to be listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Arc<str>>,
    /// What the store may do with it.
    pub phase: Phase,
}

/// What a store needs to know of a task's life, which is little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Only the start of its first run is recorded: not listed; the client retries the message if
    /// nothing comes of it.
    Claimed,
    /// In progress: listed, kept; a run is at work on it, or it is an orphan.
    Running,
    /// Waiting for its client: listed; may be dropped where space runs out.
    Waiting,
    /// Ended: listed, never changes again; may be dropped, or expire.
    Finished,
    /// Answered without a task: not listed; may be dropped, or expire.
    Answered,
}

impl Phase {
    /// Whether a list shows it.
    pub fn is_listed(self) -> bool {
        matches!(self, Self::Running | Self::Waiting | Self::Finished)
    }

    /// Whether a store may let it expire, some time after its status: a finished task, and what
    /// never became a task. A task that may go on never expires.
    pub fn may_expire(self) -> bool {
        matches!(self, Self::Claimed | Self::Finished | Self::Answered)
    }
}
