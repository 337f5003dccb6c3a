//! Where an event is in its task's journal: its id on every stream.
//!
//! Owns: versions and cursors, and how a cursor is written. Must never know: what is recorded there.

use std::{fmt, str::FromStr};

/// How many appends a journal holds; 0 before the first. An append "after N" takes slot N+1: the
/// slot is the lock.
pub type Version = u64;

/// A position in a journal: the append, and the entry within it from 0. Written `12-3`; an event's id
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
