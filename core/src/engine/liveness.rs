//! Which leases have expired, as far as reads of tasks show.
//!
//! Owns: how journals at work stood when this process first read them so. No clocks of different
//! machines are compared. Must never know: what becomes of an orphan.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::task::{TaskKey, Version};

/// The version of each journal at work, and since when it stands there; those read of late.
#[derive(Debug, Default)]
pub(crate) struct Liveness(Mutex<HashMap<TaskKey, (Version, Instant)>>);

impl Liveness {
    /// How many journals are remembered.
    const MAX_JOURNALS: usize = 4_096;

    /// Whether the journal has stood at this version for a lease. After a yes the next lease
    /// begins.
    pub(super) fn lease_expired(&self, key: &TaskKey, version: Version, lease: Duration) -> bool {
        let (mut seen, now) = (self.lock(), Instant::now());
        if let Some((known, since)) = seen.get_mut(key) {
            let expired = *known == version && now - *since >= lease;
            if expired || *known != version {
                (*known, *since) = (version, now);
            }
            return expired;
        }
        if seen.len() >= Self::MAX_JOURNALS {
            // A task that is still read begins a new lease.
            seen.retain(|_, (_, since)| now - *since < lease);
        }
        if seen.len() < Self::MAX_JOURNALS {
            seen.insert(key.clone(), (version, now));
        }
        false
    }

    /// Begins every lease anew: while the store is unavailable no run can record a heartbeat.
    pub(super) fn renew_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskKey, (Version, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
