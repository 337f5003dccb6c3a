//! The bytes of requests in flight in all.
//!
//! Owns: their count and its bound. Must never know: whose they are.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A request up to this size finds room where a larger one does not: a cancel, a question.
const SMALL: usize = 16 << 10;

/// The bytes of all requests in flight. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Self {
        Self { used: Arc::default(), limit }
    }

    /// A request of which nothing is there.
    pub(super) fn request(&self) -> Held {
        Held { memory: self.clone(), bytes: 0 }
    }

    /// A quarter is kept for the small ones.
    fn limit(&self, bytes: usize) -> usize {
        if bytes <= SMALL { self.limit } else { self.limit / 4 * 3 }
    }
}

/// What one request holds, until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    memory: Memory,
    bytes: usize,
}

impl Held {
    /// Whether there would be room for so many bytes now.
    pub(super) fn would_fit(&self, bytes: usize) -> bool {
        self.memory.used.load(Ordering::Relaxed) + bytes <= self.memory.limit(bytes)
    }

    /// Holds so many bytes more. Answers whether there is room.
    pub(super) fn grow(&mut self, more: usize) -> bool {
        self.bytes += more;
        let used = self.memory.used.fetch_add(more, Ordering::Relaxed) + more;
        used <= self.memory.limit(self.bytes)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
