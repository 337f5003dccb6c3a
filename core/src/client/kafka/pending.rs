//! Pending requests by correlation id: which answer goes into which reply queue.
//!
//! Owns: ids that no other process has, and that an answer reaches its call whatever topic it comes
//! on. Must never know: connections, topics, what was asked.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::reply_queue::{ReplyQueue, ReplyRecord};
use crate::env::Env;

/// The requests of this process to a cluster that are not answered yet.
pub(super) struct PendingRequests {
    /// What the keys of the requests begin with: no other process has it.
    prefix: String,
    numbers: AtomicU64,
    queues: Mutex<HashMap<u64, Arc<ReplyQueue>>>,
}

impl Default for PendingRequests {
    fn default() -> Self {
        let prefix = format!("{}-", Env::system().id());
        Self { prefix, numbers: AtomicU64::new(1), queues: Mutex::default() }
    }
}

impl PendingRequests {
    /// Gives a new number to a request whose answers go into this queue.
    pub(super) fn open(self: &Arc<Self>, queue: &Arc<ReplyQueue>) -> PendingRequest {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, Arc::clone(queue));
        PendingRequest { requests: Arc::clone(self), number }
    }

    /// The key of the request of that number.
    pub(super) fn correlation_id(&self, number: u64) -> String {
        format!("{}{number}", self.prefix)
    }

    /// The number of the request with that key; none when it is another process's.
    pub(super) fn number(&self, key: &[u8]) -> Option<u64> {
        let digits = key.strip_prefix(self.prefix.as_bytes())?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// Whether anybody waits for answers to the request of that number.
    pub(super) fn is_open(&self, number: u64) -> bool {
        self.lock().contains_key(&number)
    }

    /// Puts an answer where it is waited for.
    pub(super) fn deliver(&self, reply: ReplyRecord) {
        let number = reply.number;
        let Some(queue) = self.lock().get(&number).cloned() else { return };
        if !queue.put(reply) {
            // What comes under this number from here on has a gap before it.
            self.lock().remove(&number);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<ReplyQueue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One pending request; answers to it are dropped once this is.
pub(super) struct PendingRequest {
    requests: Arc<PendingRequests>,
    pub(super) number: u64,
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.requests.lock().remove(&self.number);
    }
}
