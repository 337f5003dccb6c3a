//! Which tasks are running, over all tenants.
//!
//! Owns: which tenants are looked through. Each tenant's own set is exact, since the script that
//! appends keeps it; but the tenants are in other slots, so the set of them cannot be written in
//! the same step. It is written before: a tenant that is in it for nothing costs a look, one that is
//! missing would hide its tasks. So nothing that runs is missing, wherever a process ends. A tenant
//! without anything running leaves it a day after it was last announced; that is far more than
//! can lie between the announcement and its append.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use redis::{RedisResult, Value, cmd, pipe};

use super::{RedisStore, failure::failed, link::Moment, millis, unexpected};
use crate::{store::StoreError, task::TaskKey};

/// Tenants are looked through so many at a time.
const AT_ONCE: usize = 64;
/// How often a process announces a tenant.
const AGAIN: Duration = Duration::from_secs(60 * 60);
/// How long a tenant that has nothing running stays known.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How many tenants a process remembers to have announced.
const REMEMBERED: usize = 10_000;

/// The tenants that this process has announced: over which connection, and when. A new connection
/// may lead to another server that does not know of them.
#[derive(Default)]
pub(super) struct Announced(Mutex<HashMap<Arc<str>, (u64, Moment)>>);

impl Announced {
    fn has(&self, tenant: &str, connection: u64) -> bool {
        let announced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = announced.get(tenant);
        known.is_some_and(|(number, at)| *number == connection && !at.is_over(AGAIN))
    }

    fn add(&self, tenant: &Arc<str>, connection: u64) {
        let mut announced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if announced.len() >= REMEMBERED {
            announced.clear();
        }
        announced.insert(Arc::clone(tenant), (connection, Moment::now()));
    }
}

impl RedisStore {
    /// Says that this tenant may have something running, unless it was said lately.
    pub(super) async fn announce(&self, tenant: &Arc<str>) -> Result<(), StoreError> {
        let connection = self.link.number();
        if self.announced.has(tenant, connection) {
            return Ok(());
        }
        let mut commands = pipe();
        // The time first: without one, nobody forgets the tenant.
        commands.cmd("ZADD").arg(self.keys.tenants_seen()).arg(now()).arg(&**tenant);
        commands.cmd("ZADD").arg(self.keys.tenants()).arg(0).arg(&**tenant);
        self.link.ask_all(&mut commands).await.map_err(failed)?;
        self.announced.add(tenant, connection);
        Ok(())
    }

    pub(super) async fn find_running(
        &self,
        after: Option<&TaskKey>,
        limit: usize,
    ) -> RedisResult<Vec<TaskKey>> {
        let mut found = Vec::new();
        let mut from = after.map_or_else(|| "-".to_owned(), |after| format!("[{}", after.tenant));
        while found.len() < limit {
            let mut range = cmd("ZRANGE");
            range.arg(self.keys.tenants()).arg(&from).arg("+");
            range.arg("BYLEX").arg("LIMIT").arg(0).arg(AT_ONCE);
            let tenants = members(self.link.ask(&range).await?)?;
            let Some(last) = tenants.last() else { break };
            from = format!("({last}");
            self.look_through(&tenants, after, limit, &mut found).await?;
        }
        Ok(found)
    }

    async fn look_through(
        &self,
        tenants: &[Arc<str>],
        after: Option<&TaskKey>,
        limit: usize,
        found: &mut Vec<TaskKey>,
    ) -> RedisResult<()> {
        let mut commands = pipe();
        for tenant in tenants {
            let after = after.filter(|after| after.tenant == *tenant);
            let from = after.map_or_else(|| "-".to_owned(), |after| format!("({}", after.id));
            commands.cmd("ZRANGE").arg(self.keys.running(tenant)).arg(from).arg("+");
            commands.arg("BYLEX").arg("LIMIT").arg(0).arg(limit - found.len());
        }
        let mut idle = Vec::new();
        for (tenant, ids) in tenants.iter().zip(self.link.ask_all(&mut commands).await?) {
            let ids = members(ids)?;
            if ids.is_empty() && after.is_none_or(|after| after.tenant != *tenant) {
                idle.push(tenant.as_bytes());
            }
            let room = limit - found.len();
            let keys = ids.into_iter().map(|id| TaskKey { tenant: Arc::clone(tenant), id });
            found.extend(keys.take(room));
        }
        self.forget(&idle).await
    }

    /// Forgets those of these tenants that were not announced for long.
    async fn forget(&self, idle: &[&[u8]]) -> RedisResult<()> {
        if idle.is_empty() {
            return Ok(());
        }
        let before = now().saturating_sub(millis(KEPT)).to_string();
        let mut arguments = vec![before.as_bytes()];
        arguments.extend(idle);
        let keys = [self.keys.tenants(), self.keys.tenants_seen()];
        self.link.run(&self.scripts.forget, &keys, &arguments).await?;
        Ok(())
    }
}

fn members(answer: Value) -> RedisResult<Vec<Arc<str>>> {
    let Value::Array(members) = answer else { return Err(unexpected()) };
    let text = |member| super::text(member).map(Arc::from).ok_or_else(unexpected);
    members.into_iter().map(text).collect()
}

/// By this process's clock; another's may differ by less than a day.
fn now() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
