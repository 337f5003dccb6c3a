//! Which answer is whose: the correlation ids of a cluster's requests, and the mailboxes behind
//! them.
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

use super::mailbox::{Arrival, Mailbox};
use crate::env::Env;

/// The requests of this process to a cluster that are not answered yet.
pub(super) struct Routes {
    /// What the keys of the requests begin with: no other process has it.
    prefix: String,
    numbers: AtomicU64,
    mailboxes: Mutex<HashMap<u64, Arc<Mailbox>>>,
}

impl Default for Routes {
    fn default() -> Self {
        let prefix = format!("{}-", Env::system().id());
        Self { prefix, numbers: AtomicU64::new(1), mailboxes: Mutex::default() }
    }
}

impl Routes {
    /// Gives a new number to a request whose answers go into this mailbox.
    pub(super) fn open(self: &Arc<Self>, mailbox: &Arc<Mailbox>) -> Route {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, Arc::clone(mailbox));
        Route { routes: Arc::clone(self), number }
    }

    /// The key of the request of that number.
    pub(super) fn id(&self, number: u64) -> String {
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
    pub(super) fn deliver(&self, arrival: Arrival) {
        let number = arrival.number;
        let Some(mailbox) = self.lock().get(&number).cloned() else { return };
        if !mailbox.put(arrival) {
            // What comes under this number from here on has a gap before it.
            self.lock().remove(&number);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Mailbox>>> {
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's way back; answers to it are dropped once this is.
pub(super) struct Route {
    routes: Arc<Routes>,
    pub(super) number: u64,
}

impl Drop for Route {
    fn drop(&mut self) {
        self.routes.lock().remove(&self.number);
    }
}
