//! Every journal of the run, read through the stores' contract.

use std::{collections::HashMap, sync::Arc};

use a2a_core::{
    IdempotencyKey, TaskStore,
    store::{Journal, ListQuery},
    task::TaskKey,
};
use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, stream};

use super::story::{Story, Told};
use crate::{drive::Exchange, plan::Plan, request::Step};

/// How many journals are read at the same time.
const READS: usize = 16;
/// How many tasks are listed at once.
const PAGE: u32 = 100;

/// What is said where a store cannot be read.
const UNREADABLE: &str = "the store cannot be read";

/// What the journals say.
#[derive(Debug, Default)]
pub(crate) struct Journals {
    /// How many there are.
    pub(crate) count: usize,
    /// How many attempts after the first were made at all messages together.
    pub(crate) repeated: usize,
    /// What is said of each request, by its name.
    pub(crate) told: HashMap<String, Told>,
}

/// Reads the journal of every request that made one.
pub(crate) async fn inspect(
    plan: &Plan,
    key: impl Fn(&Step) -> Option<TaskKey>,
    store: &Arc<dyn TaskStore>,
    faults: &mut Vec<String>,
) -> Result<Journals> {
    let firsts = plan.steps.iter().filter(|step| step.words().is_some() && !step.follows_up());
    let keys = firsts.filter_map(|step| Some((step, key(step)?)));
    let mut reads = stream::iter(keys)
        .map(|(step, key)| async move { (step, store.read(&key, 0).await) })
        .buffer_unordered(READS);
    let mut journals = Journals::default();
    while let Some((step, read)) = reads.next().await {
        match told(read.context(UNREADABLE)?) {
            Ok(story) => {
                journals.count += 1;
                for told in story.messages {
                    journals.repeated += told.attempts.saturating_sub(1) as usize;
                    journals.told.insert(told.name.clone(), told);
                }
            }
            Err(what) => faults.push(format!("journal of {}: {what:#}", step.name())),
        }
    }
    unfinished(store, faults).await?;
    Ok(journals)
}

fn told(journal: Option<Journal>) -> Result<Story> {
    let journal = journal.context("there is none")?;
    let story = Story::read(&journal.slots)?;
    ensure!(story.over, "it has no end: {:?}", journal.head.status.state);
    Ok(story)
}

/// Whatever the store still shows as being under way, or waiting: it may be of no request we know.
async fn unfinished(store: &Arc<dyn TaskStore>, faults: &mut Vec<String>) -> Result<()> {
    for running in store.running(None, PAGE, &[]).await.context(UNREADABLE)? {
        faults.push(format!("task {} is still running", running.key.id));
    }
    let mut query = ListQuery {
        tenant: "".into(),
        owner: "".into(),
        context_id: None,
        state: None,
        since: None,
        after: None,
        limit: PAGE,
    };
    loop {
        let page = store.list(&query).await.context(UNREADABLE)?;
        for (id, head) in page.rows {
            if !head.status.state.is_terminal() {
                faults.push(format!("task {id} is left {}", head.status.state.name()));
            }
        }
        query.after = page.next;
        if query.after.is_none() {
            return Ok(());
        }
    }
}

/// The key of the task that a request makes: named after the client's own key, or after where its
/// record stands.
pub(crate) fn key(
    step: &Step,
    exchange: &Exchange,
    agent: &str,
    requests: &str,
) -> Option<TaskKey> {
    let request = match step.idempotency_key() {
        Some(key) => IdempotencyKey::of_caller(agent, "", &key).ok()?,
        None => {
            let at = exchange.positions.get(&step.number)?;
            let (partition, offset) = (at.partition, at.offset);
            let timestamp = at.timestamp.to_millis().unwrap_or_default();
            IdempotencyKey::new(format!("|{requests}|{partition}|{offset}|{timestamp}"))
        }
    };
    Some(TaskKey { tenant: "".into(), id: request.id("task") })
}
