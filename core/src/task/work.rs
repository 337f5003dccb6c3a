//! How far the work on the newest message has come, over all attempts at it.
//!
//! Owns: the time that they had together, how many runners were lost, and whether the newest was
//! released. What attempts that were fenced off did counts here, too. Must never know: what they
//! made of the task (that is the fold's), which bounds there are.

use std::time::Duration;

use super::entry::Entry;
use crate::types::Timestamp;

/// The work on the newest message, all attempts at it taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// The newest attempt; 0 before the first.
    pub attempt: u32,
    /// Whether the newest attempt was released: the next one may begin at once.
    pub released: bool,
    /// How many attempts came to nothing, the newest apart while it is at work.
    lost: u32,
    /// Whether a step was done since the last release.
    stepped: bool,
    /// What the attempts before the newest had.
    before: Duration,
    /// When the newest began, and its last sign of life, by its runner's clock.
    began: Timestamp,
    last: Timestamp,
}

impl Work {
    /// How many attempts have come to nothing, if the newest one has: those whose runner died, and
    /// those that were released with no step done since the release before.
    pub fn lost(&self) -> u32 {
        let died = self.attempt > 0 && !self.released;
        self.lost + u32::from(died)
    }

    /// How long the attempts were at work together, as far as they have said.
    pub fn spent(&self) -> Duration {
        let newest = self.last.as_millis().saturating_sub(self.began.as_millis());
        self.before + Duration::from_millis(newest.try_into().unwrap_or(0))
    }

    pub(super) fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Submitted(_) => *self = Self::default(),
            Entry::Started(started) => {
                (self.lost, self.before) = (self.lost(), self.spent());
                (self.attempt, self.released) = (started.attempt, false);
                (self.began, self.last) = (started.at, started.at);
            }
            Entry::Released(released) => {
                self.saw(released.at);
                self.released = true;
                self.lost += u32::from(!std::mem::take(&mut self.stepped));
            }
            Entry::Step(step) => {
                self.saw(step.at);
                self.stepped = true;
            }
            Entry::Heartbeat(heartbeat) => self.saw(heartbeat.at),
            Entry::Status(event) => self.saw(event.status.timestamp.unwrap_or_default()),
            _ => {}
        }
    }

    fn saw(&mut self, at: Timestamp) {
        self.last = self.last.max(at);
    }
}
