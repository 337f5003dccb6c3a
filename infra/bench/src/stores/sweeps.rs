//! What a sweeper costs that finds no orphan.
//!
//! Owns: the runs that it looks at, each of which gives a sign of life before every look. Must never
//! know: how a sweeper chooses them.

use std::sync::Arc;

use a2a_core::store::{
    self, AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, Running, StoreError,
};
use a2a_core::task::{Entry, Head, Heartbeat, Phase, TaskKey, Version};
use a2a_core::{DefaultRequestHandler, Env, TaskState, TaskStore, async_trait};
use anyhow::{Context, Error, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::capacity::{Capacity, Cost, sum};
use super::writer::{Store, Writer};
use crate::subjects;

/// Passes in a minute, with the lease that there is unless another is given.
const PASSES: usize = 6;
/// Appends at the same time while the runs are made.
const WRITERS: usize = 64;

/// What so many living runs of so many processes cost a sweeper in a minute, once it has found them.
/// The table is made for it.
pub(super) async fn minute(url: &str, runs: usize, hosts: usize) -> Result<Cost> {
    store::prepare(url).await.map_err(Error::msg)?;
    let beats = store::open(url).await.map_err(Error::msg)?;
    let hosts: Vec<_> = (0..hosts).map(|_| Env::system().id()).collect();
    let begin = |number: usize| {
        let mut writer = Writer::new(&beats).at(&hosts[number % hosts.len()]);
        tokio::spawn(async move {
            let mut entries = writer.opening();
            entries.push(writer.status(TaskState::Working));
            writer.append(entries).await.map(drop)
        })
    };
    let begun = stream::iter(0..runs).map(begin).buffer_unordered(WRITERS);
    begun.map(|begun| begun?).try_collect::<()>().await?;

    let (store, capacity) = Capacity::open(url).await?;
    let card = subjects::agent().card;
    let living = Arc::new(Living { store, beats });
    let mut sweeper = DefaultRequestHandler::new(card, Arc::new(subjects::Bench), living).sweeper();
    for pass in 0..=PASSES {
        let taken = sweeper.pass().await.context("a pass failed")?;
        ensure!(taken == 0, "{taken} living runs were taken over");
        if pass == 0 {
            capacity.take();
        }
    }
    Ok(sum(&capacity.take(), |_| true))
}

/// A store whose runs live: the heartbeats that come between two looks at a task are appended
/// through another handle before the second.
struct Living {
    store: Store,
    beats: Store,
}

#[async_trait]
impl TaskStore for Living {
    async fn newest(&self, key: &TaskKey) -> Result<Option<(Head, Version)>, StoreError> {
        let newest = self.beats.newest(key).await?;
        if let Some((_, after)) = newest.filter(|(head, _)| head.phase == Phase::Running) {
            let (env, key) = (Env::system(), key.clone());
            let beat = Entry::Heartbeat(Heartbeat { runner: env.id(), at: env.now() });
            let change = Change { key, after, entries: Arc::new([beat]), head: None };
            let failed = |_| StoreError::unavailable("a heartbeat could not be appended");
            self.beats.append(change).await.map_err(failed)?;
        }
        self.store.newest(key).await
    }

    async fn append(&self, change: Change) -> Result<(), AppendError> {
        self.store.append(change).await
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        self.store.read_page(key, after, limit).await
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        self.store.head(key).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.store.list(query).await
    }

    async fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        self.store.running(after, limit, except).await
    }
}
