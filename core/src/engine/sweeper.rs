//! Looking for orphans among the running tasks of a store.
//!
//! Owns: which of them are looked at, and which had no heartbeat for a lease, by this process's own
//! clock: clocks of different machines are never compared, so one that is wrong does no harm. Must
//! never know: how a task is taken over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::{host::Host, state::Engine};
use crate::{
    call::Caller,
    error::Error,
    store::Running,
    task::{Phase, TaskKey, Version},
    types::TaskState,
};

/// Looks for orphans: tasks whose runner is gone, such as a process that was killed. It starts
/// another attempt or fails them, by [`Limits::attempts`](crate::Limits::attempts). Any number of
/// sweepers may look at one store: a task is taken over once.
///
/// A process that shows signs of life keeps its runs, so of its tasks only a few are looked at. A task
/// of a process that is gone is found within [`Limits::lease`](crate::Limits::lease) and a third of it,
/// where that process had up to four; where it had more, within two leases. So is a run that a living
/// process could not bring to its end: that process's own sweeper finds it.
///
/// ```no_run
/// # fn start(handler: a2a_core::DefaultRequestHandler) {
/// let stop = tokio_util::sync::CancellationToken::new();
/// tokio::spawn(handler.sweeper().run(stop));
/// # }
/// ```
pub struct Sweeper {
    engine: Engine,
    /// The tasks that are looked at in each pass, in that order.
    watched: BTreeMap<TaskKey, Seen>,
    /// The processes that these tasks are in the hands of.
    hosts: BTreeMap<Arc<str>, Life>,
}

/// How a task stood when it was first seen so.
#[derive(Clone, Debug)]
struct Seen {
    version: Version,
    since: Instant,
    host: Option<Arc<str>>,
    /// Whether it had stood otherwise at the look before.
    moved: bool,
}

/// What is known of a process that has runs in hand.
#[derive(Clone, Copy, Debug)]
struct Life {
    /// The last sign of life of one of its runs, or when it was first heard of.
    seen: Instant,
    /// How many of its tasks are watched that may give the next one.
    samples: usize,
    /// Whether it has many tasks.
    large: bool,
}

/// How many tasks are read from the store at once.
const PAGE: u32 = 100;
/// How many tasks are looked at at the same time.
const LOOKS: usize = 8;
/// Of a process's tasks so many are looked at; one, where it has many.
const SAMPLES: usize = 4;
/// What passes may fall short of their time.
const SLACK: Duration = Duration::from_millis(1);

impl Life {
    fn new() -> Self {
        Self { seen: Instant::now(), samples: 0, large: false }
    }

    /// Whether all of its tasks are to be looked at: two heartbeats are missing.
    fn is_suspect(&self, lease: Duration) -> bool {
        self.seen.elapsed() >= Host::patience(lease).saturating_sub(SLACK)
    }

    /// Takes a task among those that are looked at, if it is wanted there.
    fn wants(&mut self, lease: Duration) -> bool {
        let most = if self.large { 1 } else { SAMPLES };
        let wants = self.is_suspect(lease) || self.samples < most;
        self.samples += usize::from(wants);
        wants
    }
}

impl Sweeper {
    /// A sweeper for this engine's store.
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, watched: BTreeMap::new(), hosts: BTreeMap::new() }
    }

    /// Makes a pass three times a lease, until `stop`.
    pub async fn run(mut self, stop: tokio_util::sync::CancellationToken) {
        let pause = self.engine.limits.lease / 3;
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            if let Some(Err(error)) = stop.run_until_cancelled(self.pass()).await {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "running tasks could not be looked at");
            }
        }
    }

    /// Looks once at every running task that may be an orphan. Answers how many were taken over.
    ///
    /// # Errors
    /// When the store fails. While it is unavailable no run can record a heartbeat, so every task
    /// is given a new lease.
    pub async fn pass(&mut self) -> Result<usize, Error> {
        let swept = self.sweep().await;
        if swept.is_err() {
            let now = Instant::now();
            self.watched.values_mut().for_each(|seen| seen.since = now);
            self.hosts.values_mut().for_each(|life| life.seen = now);
        }
        swept
    }

    async fn sweep(&mut self) -> Result<usize, Error> {
        let lease = self.engine.limits.lease;
        for key in self.engine.host.silent(Host::patience(lease)) {
            self.watched.entry(key).or_insert_with(|| Seen::never(None));
        }
        let mut taken = self.look_at(self.watched.keys().cloned().collect()).await?;
        self.let_go();
        let mut after = None;
        loop {
            let alive = |life: &Life| life.large && life.samples > 0 && !life.is_suspect(lease);
            let except = self.hosts.iter().filter(|(_, life)| alive(life));
            let except = Vec::from_iter(except.map(|(host, _)| Arc::clone(host)));
            let page = self.engine.store.running(after.as_ref(), PAGE, &except).await?;
            let wanted = self.wanted(&page);
            taken += self.look_at(wanted).await?;
            if page.len() < PAGE as usize {
                break;
            }
            after = page.last().cloned();
        }
        let hosts: BTreeSet<_> =
            self.watched.values().filter_map(|seen| seen.host.as_ref()).collect();
        self.hosts.retain(|host, _| hosts.contains(host));
        Ok(taken)
    }

    /// Those of a page that are to be looked at, and are not yet: all that no process is known to
    /// have in hand, and of each process's what it wants. They are watched then.
    fn wanted(&mut self, page: &[Running]) -> Vec<TaskKey> {
        for host in Running::large_hosts(page, PAGE as usize) {
            self.hosts.entry(host).or_insert_with(Life::new).large = true;
        }
        let lease = self.engine.limits.lease;
        let mut wanted = Vec::new();
        for Running { key, host } in page {
            let life = host.clone().map(|it| self.hosts.entry(it).or_insert_with(Life::new));
            if !self.watched.contains_key(key) && life.is_none_or(|life| life.wants(lease)) {
                self.watched.insert(key.clone(), Seen::never(host.clone()));
                wanted.push(key.clone());
            }
        }
        wanted
    }

    /// Lets go of tasks whose process has shown by others that it lives. What stands still is kept.
    fn let_go(&mut self) {
        self.hosts.values_mut().for_each(|life| life.samples = 0);
        let lease = self.engine.limits.lease;
        self.watched.retain(|_, seen| {
            let life = seen.host.as_ref().and_then(|host| self.hosts.get_mut(host));
            !seen.moved || life.is_none_or(|life| life.wants(lease))
        });
    }

    /// Looks at these tasks, which are watched. Answers how many were taken over.
    async fn look_at(&mut self, keys: Vec<TaskKey>) -> Result<usize, Error> {
        let engine = self.engine.clone();
        let known = keys.into_iter().filter_map(|key| Some((self.watched.get(&key)?.clone(), key)));
        let mut looks = stream::iter(known.collect::<Vec<_>>())
            .map(async |(seen, key)| (look(&engine, &key, &seen).await, seen, key))
            .buffer_unordered(LOOKS);
        let mut taken = 0;
        while let Some((look, before, key)) = looks.next().await {
            let sign_of = match look {
                Ok(Look::Alive(seen)) => {
                    let host = seen.host.clone().filter(|_| seen.moved);
                    self.watched.insert(key, seen);
                    host
                }
                Ok(Look::Over(by_host)) => {
                    self.watched.remove(&key);
                    before.host.filter(|_| by_host)
                }
                Ok(Look::Taken) => {
                    self.watched.remove(&key);
                    taken += 1;
                    None
                }
                Err(error) if error.is_retriable() => return Err(error),
                // The other tasks are looked at all the same.
                Err(error) => {
                    tracing::error!(task = %key.id, %error, "a task cannot be looked at");
                    self.watched.insert(key, Seen { moved: false, ..before });
                    None
                }
            };
            if let Some(life) = sign_of.and_then(|host| self.hosts.get_mut(&host)) {
                life.seen = Instant::now();
            }
        }
        Ok(taken)
    }
}

impl Seen {
    /// A task that was not looked at yet.
    fn never(host: Option<Arc<str>>) -> Self {
        Self { version: 0, since: Instant::now(), host, moved: false }
    }
}

enum Look {
    /// Its lease goes on.
    Alive(Seen),
    Taken,
    /// No run is at work on it, or another one is; and whether its process has ended it.
    Over(bool),
}

async fn look(engine: &Engine, key: &TaskKey, seen: &Seen) -> Result<Look, Error> {
    let Some((head, version)) = engine.store.newest(key).await? else {
        return Ok(Look::Over(false));
    };
    if head.phase != Phase::Running {
        return Ok(Look::Over(head.status.state != TaskState::Canceled));
    }
    let lease = engine.limits.lease.saturating_sub(SLACK);
    let stands = version <= seen.version;
    let orphan = if engine.is_released(key, &head, version).await? {
        version
    } else if stands && seen.since.elapsed() >= lease {
        seen.version
    } else if stands {
        return Ok(Look::Alive(Seen { moved: false, ..seen.clone() }));
    } else {
        let (since, moved) = (Instant::now(), seen.version > 0);
        return Ok(Look::Alive(Seen { version, since, host: head.host, moved }));
    };
    match engine.take_over(key, orphan, &Caller::default()).await? {
        true => Ok(Look::Taken),
        false => Ok(Look::Over(false)),
    }
}
