//! Which tasks are running, over all tenants.
//!
//! Owns: which tenants are looked through. Each tenant's own set is exact, since the script that
//! appends keeps it; but the tenants are in other slots, so the set of them cannot be written in
//! the same step. It is written before: a tenant that is in it for nothing costs a look, one that is
//! missing would hide its tasks. So nothing that runs is missing, wherever a process ends. A tenant
//! without anything running leaves it a day after it was last announced; that is far more than
//! can lie between the announcement and its append.

use std::sync::Arc;

use redis::{RedisResult, Value, cmd, pipe};

use super::{RedisStore, failure::failed, unexpected};
use crate::{
    store::{StoreError, now_millis},
    task::TaskKey,
};

/// Tenants are looked through so many at a time.
const AT_ONCE: usize = 64;
/// How long a tenant that has nothing running stays known, in milliseconds by this process's clock;
/// another's may differ by less than a day.
const KEPT: i64 = 24 * 60 * 60 * 1_000;

impl RedisStore {
    /// Says that this tenant may have something running, unless it was said lately.
    pub(super) async fn announce(&self, tenant: &Arc<str>) -> Result<(), StoreError> {
        let connection = self.link.number();
        if self.announced.has(tenant, connection) {
            return Ok(());
        }
        let mut commands = pipe();
        // The time first: a tenant without one is never forgotten.
        commands.cmd("ZADD").arg(self.keys.tenants_seen()).arg(now_millis()).arg(&**tenant);
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
                idle.push(tenant.as_bytes().to_vec());
            }
            let room = limit - found.len();
            let keys = ids.into_iter().map(|id| TaskKey { tenant: Arc::clone(tenant), id });
            found.extend(keys.take(room));
        }
        self.forget(idle).await
    }

    /// Forgets those of these tenants that were not announced for long.
    async fn forget(&self, idle: Vec<Vec<u8>>) -> RedisResult<()> {
        if idle.is_empty() {
            return Ok(());
        }
        let before = now_millis().saturating_sub(KEPT).to_string().into_bytes();
        let arguments = [vec![before], idle].concat();
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
