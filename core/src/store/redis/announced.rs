//! Which tenants this process has announced as having something running.
//!
//! Owns: how long an announcement holds, and how many are remembered. Must never know: how a tenant
//! is announced.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::link::Moment;

/// How often a process announces a tenant.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// How many tenants a process remembers to have announced.
const REMEMBERED: usize = 10_000;

/// The tenants that this process has announced: over which connection, and when. A new connection
/// may lead to another server that does not know of them.
#[derive(Default)]
pub(super) struct Announced(Mutex<HashMap<Arc<str>, (u64, Moment)>>);

impl Announced {
    pub(super) fn has(&self, tenant: &str, connection: u64) -> bool {
        let announced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = announced.get(tenant);
        known.is_some_and(|(number, at)| *number == connection && !at.is_over(INTERVAL))
    }

    pub(super) fn add(&self, tenant: &Arc<str>, connection: u64) {
        let mut announced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if announced.len() >= REMEMBERED {
            announced.clear();
        }
        announced.insert(Arc::clone(tenant), (connection, Moment::now()));
    }
}
