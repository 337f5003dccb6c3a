//! How records are worked on.
//!
//! Owns: the bounds of a consumer's work. Must never know: how they are kept.

use std::time::Duration;

use crate::health::Health;

/// How records are worked on.
#[derive(Clone, Debug)]
pub struct Work {
    /// How many are at once, each of another lane. Reads and cancels are not counted.
    pub concurrency: usize,
    /// Whether other runners see the tasks of this one. Then its partitions are handed over at once
    /// when it shuts down: their next owner joins the runs that go on here.
    pub store_is_shared: bool,
    /// How long a shutdown waits for the records in hand.
    pub drain: Duration,
    /// How long a batch that cannot be decoded holds up its partition before it is passed over.
    pub undecodable: Duration,
    /// Where trouble is shown.
    pub health: Health,
}

impl Default for Work {
    /// As the runner does it with tasks in memory.
    fn default() -> Self {
        Self {
            concurrency: 256,
            store_is_shared: false,
            drain: Duration::from_secs(600),
            undecodable: Duration::from_secs(30),
            health: Health::default(),
        }
    }
}
