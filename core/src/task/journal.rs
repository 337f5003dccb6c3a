//! The journal of a task: what a store appends and reads.
//!
//! Owns: versions, cursors, slots, and which task a journal is of. Must never know: what an entry
//! means (that is the fold's).

use std::{fmt, str::FromStr, sync::Arc};

use super::entry::Entry;

/// How many appends a journal holds; 0 before the first. An append "after N" takes slot N+1: the
/// slot is the lock.
pub type Version = u64;

/// A place in a journal: the append, and the entry within it from 0. Written `12-3`; an event's id
/// on every stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The append's slot, from 1.
    pub version: Version,
    /// The entry within the append, from 0.
    pub index: u32,
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}-{}", self.version, self.index)
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        text.split_once('-')
            .filter(|(version, index)| digits(version) && digits(index))
            .and_then(|(version, index)| {
                Some(Self { version: version.parse().ok()?, index: index.parse().ok()? })
            })
            .ok_or("expected an event id such as 12-3")
    }
}

/// Which task: ids are unique within a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey {
    /// The tenant; empty for none.
    pub tenant: Arc<str>,
    /// The task's id.
    pub id: Arc<str>,
}

/// One append: its slot and its entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Its place, from 1.
    pub version: Version,
    /// What was recorded, at least one entry.
    pub entries: Arc<[Entry]>,
}
