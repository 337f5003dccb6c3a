//! Pending requests by correlation id: which answer goes into which reply queue.
//!
//! Owns: that an answer reaches its call whatever topic it comes on. Must never know: connections,
//! topics, what was asked.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    correlation::CorrelationId,
    reply_queue::{ReplyQueue, ReplyRecord},
};

/// The requests of this process to a cluster that are not answered yet.
#[derive(Default)]
pub(super) struct PendingRequests {
    turns: AtomicU64,
    queues: Mutex<HashMap<CorrelationId, Arc<ReplyQueue>>>,
}

impl PendingRequests {
    /// Gives a new id to a request whose answers go into this queue.
    pub(super) fn open(self: &Arc<Self>, queue: &Arc<ReplyQueue>) -> PendingRequest {
        let (id, turn) = (CorrelationId::random(), self.turns.fetch_add(1, Ordering::Relaxed));
        self.lock().insert(id, Arc::clone(queue));
        PendingRequest { requests: Arc::clone(self), id, turn }
    }

    /// Whether anybody waits for answers to that request.
    pub(super) fn is_open(&self, id: CorrelationId) -> bool {
        self.lock().contains_key(&id)
    }

    /// Puts an answer where it is waited for.
    pub(super) fn deliver(&self, reply: ReplyRecord) {
        let id = reply.id;
        let Some(queue) = self.lock().get(&id).cloned() else { return };
        if !queue.put(reply) {
            // What comes under this id from here on has a gap before it.
            self.lock().remove(&id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CorrelationId, Arc<ReplyQueue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One pending request; answers to it are dropped once this is.
pub(super) struct PendingRequest {
    requests: Arc<PendingRequests>,
    pub(super) id: CorrelationId,
    /// How many requests were opened before it.
    pub(super) turn: u64,
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.requests.lock().remove(&self.id);
    }
}
