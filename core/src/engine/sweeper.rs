//! Looking for orphans among the running tasks of a store.
//!
//! Owns: which running tasks had no heartbeat for a lease, by this process's own clock: clocks of
//! different machines are never compared, so one that is wrong does no harm. Must never know: how a
//! task is taken over.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::state::Engine;
use crate::{
    call::Caller,
    error::Error,
    task::{TaskKey, Version, admit},
};

/// Looks for orphans: tasks whose runner is gone, such as a process that was killed. It starts
/// another attempt or fails them, by [`Limits::attempts`](crate::Limits::attempts). Any number of
/// sweepers may look at one store: a task is taken over once.
///
/// A task is found within [`Limits::lease`](crate::Limits::lease) and a third of it.
///
/// ```no_run
/// # fn start(handler: a2a_core::DefaultRequestHandler) {
/// let stop = tokio_util::sync::CancellationToken::new();
/// tokio::spawn(handler.sweeper().run(stop));
/// # }
/// ```
pub struct Sweeper {
    engine: Engine,
    seen: HashMap<TaskKey, Seen>,
}

/// How a journal stood when it was first seen so.
#[derive(Clone, Copy, Debug)]
struct Seen {
    version: Version,
    since: Instant,
}

/// How many tasks are read from the store at once.
const PAGE: u32 = 100;
/// How many journals are read at the same time.
const READS: usize = 8;

impl Sweeper {
    /// A sweeper for this engine's store.
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, seen: HashMap::new() }
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

    /// Looks once at every running task. Answers how many were taken over.
    ///
    /// # Errors
    /// When the store fails. While it is unavailable no run can record a heartbeat, so every task
    /// is given a new lease.
    pub async fn pass(&mut self) -> Result<usize, Error> {
        let looked = self.look().await;
        if looked.is_err() {
            self.seen.clear();
        }
        looked
    }

    async fn look(&mut self) -> Result<usize, Error> {
        let mut before = std::mem::take(&mut self.seen);
        let (mut after, mut taken) = (None, 0);
        loop {
            let page = self.engine.store.running(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(taken) };
            after = Some(last.clone());
            let engine = &self.engine;
            let seen: Vec<_> = page.into_iter().map(|key| (before.remove(&key), key)).collect();
            let mut looks = stream::iter(seen)
                .map(|(seen, key)| async move {
                    let now = look_at(engine, &key, seen).await;
                    (key, now)
                })
                .buffer_unordered(READS);
            while let Some((key, now)) = looks.next().await {
                match now {
                    Ok(Look::Alive(seen)) => _ = self.seen.insert(key, seen),
                    Ok(Look::Taken) => taken += 1,
                    Ok(Look::Gone) => {}
                    Err(error) if error.is_retriable() => return Err(error),
                    // The other tasks are looked at all the same.
                    Err(error) => {
                        tracing::error!(task = %key.id, %error, "a task cannot be looked at")
                    }
                }
            }
        }
    }
}

enum Look {
    Alive(Seen),
    Taken,
    Gone,
}

async fn look_at(engine: &Engine, key: &TaskKey, seen: Option<Seen>) -> Result<Look, Error> {
    let after = seen.map_or(0, |seen| seen.version);
    let Some(journal) = engine.store.read(key, after).await? else { return Ok(Look::Gone) };
    let lease = engine.limits.lease.saturating_sub(SLACK);
    let orphan = match (journal.slots.last(), seen) {
        (Some(slot), _) if admit::is_released(&journal.slots) => slot.version,
        (Some(slot), _) => {
            return Ok(Look::Alive(Seen { version: slot.version, since: Instant::now() }));
        }
        (None, None) => return Ok(Look::Gone),
        (None, Some(seen)) if seen.since.elapsed() < lease => return Ok(Look::Alive(seen)),
        (None, Some(seen)) => seen.version,
    };
    match engine.take_over(key, orphan, &Caller::default()).await? {
        true => Ok(Look::Taken),
        false => Ok(Look::Gone),
    }
}

/// What three pauses may fall short of a lease.
const SLACK: Duration = Duration::from_millis(1);
