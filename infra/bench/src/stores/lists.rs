//! A page of 50 among very many tasks of one owner: the first one, one in the middle, filtered ones,
//! and through the handler, which reads each task.

use std::sync::Arc;
use std::time::{Duration, Instant};

use a2a_core::store::{ListPage, ListPosition, ListQuery};
use a2a_core::{Call, Env, ListTasksRequest, Reply, TaskState, Timestamp};
use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::agent::Agent;
use super::subject::{LIMIT, Subject, micros, p50, per_second};
use super::writer::{OWNER, Store, Writer};
use crate::report::{Aim, Row};

/// Tasks of a page.
const PAGE: u32 = 50;
/// Appends at the same time while the tasks are made.
const WRITERS: usize = 64;
/// Tasks of one conversation.
const IN_CONTEXT: usize = 100;

pub(super) async fn rows(subject: &Subject) -> Result<Vec<Row>> {
    let tasks = subject.size.tasks;
    let filled = Filled::new(tasks);
    let begin = Instant::now();
    filled.fill(&subject.ours).await?;
    let rate = per_second(tasks, begin.elapsed());
    let mut rows = vec![
        Row::of(format!("{tasks} finished tasks, 64 at a time"), "tasks/s", Aim::None, [rate]),
        first_look(subject).await?,
    ];
    let middle = ListPosition { at: filled.time(tasks / 2), id: "".into() };
    let state = Some(TaskState::Completed);
    let context_id = filled.contexts.first().cloned();
    for (name, query) in [
        ("first page of 50", everything()),
        ("a page in the middle", ListQuery { after: Some(middle), ..everything() }),
        ("first page of one state", ListQuery { state, ..everything() }),
        ("first page of one context", ListQuery { context_id, ..everything() }),
    ] {
        rows.push(page(subject, &format!("{name}, p50"), &query).await?);
    }
    rows.push(handled(subject).await?);
    Ok(rows)
}

/// What there is to be listed.
pub(super) struct Filled {
    tasks: usize,
    contexts: Vec<Arc<str>>,
    /// The first task's time; each has a millisecond of its own.
    since: i64,
}

impl Filled {
    pub(super) fn new(tasks: usize) -> Self {
        let env = Env::system();
        let contexts = (0..tasks.div_ceil(IN_CONTEXT)).map(|_| env.id()).collect();
        let since = env.now().as_millis() - i64::try_from(tasks).unwrap_or_default();
        Self { tasks, contexts, since }
    }

    fn time(&self, number: usize) -> Timestamp {
        Timestamp::from_millis(self.since + i64::try_from(number).unwrap_or_default())
    }

    /// Writes the tasks, each at once, as the handler writes one whose agent is done at once.
    pub(super) async fn fill(&self, store: &Store) -> Result<()> {
        let write = |number| {
            if number > 0 && number % 20_000 == 0 {
                eprintln!("a2a-bench: {number} tasks");
            }
            let context = Arc::clone(&self.contexts[number / IN_CONTEXT]);
            let mut writer = Writer::of(store, OWNER, context, Some(self.time(number)));
            let mut entries = writer.opening();
            entries.push(writer.status(TaskState::Completed));
            tokio::spawn(async move { writer.append(entries).await.map(drop) })
        };
        let written = stream::iter(0..self.tasks).map(write).buffer_unordered(WRITERS);
        written.map(|written| written?).try_collect().await
    }
}

/// Every task of the owner's.
pub(super) fn everything() -> ListQuery {
    ListQuery {
        tenant: "".into(),
        owner: OWNER.into(),
        context_id: None,
        state: None,
        since: None,
        after: None,
        limit: PAGE,
    }
}

async fn listed(store: &Store, query: &ListQuery) -> Result<(Duration, ListPage)> {
    let begin = Instant::now();
    let page = store.list(query).await.context("a list failed")?;
    Ok((begin.elapsed(), page))
}

/// The first page as a handle sees it that knows nothing yet, with the count; and that all are
/// counted, at once or, where an index follows the tasks, soon.
async fn first_look(subject: &Subject) -> Result<Row> {
    let tasks = subject.size.tasks;
    let (took, mut page) = listed(&subject.other, &everything()).await?;
    let begin = Instant::now();
    while page.total != tasks as u64 {
        ensure!(begin.elapsed() < LIMIT, "the list counts {} of {tasks} tasks", page.total);
        tokio::time::sleep(Duration::from_millis(500)).await;
        page = listed(&subject.other, &everything()).await?.1;
    }
    let took = took.as_secs_f64() * 1e3;
    Ok(Row::of("a handle's first page, with the count", "ms", Aim::None, [took]))
}

async fn page(subject: &Subject, name: &str, query: &ListQuery) -> Result<Row> {
    let expected = (subject.size.tasks / 2).min(PAGE as usize);
    let mut latencies = Vec::with_capacity(subject.size.pages);
    for _ in 0..subject.size.pages {
        let (took, page) = listed(&subject.other, query).await?;
        let found = page.rows.len();
        ensure!(found >= expected, "{name}: {found} tasks of {expected}");
        latencies.push(micros(took));
    }
    Ok(p50(name, Aim::None, latencies))
}

/// ListTasks as a caller asks for it: with each task's history, without artifacts.
async fn handled(subject: &Subject) -> Result<Row> {
    let agent = Agent::new(&subject.other, OWNER);
    let mut latencies = Vec::with_capacity(subject.size.pages);
    for _ in 0..subject.size.pages {
        let begin = Instant::now();
        let reply = agent.call(None, Call::ListTasks(ListTasksRequest::default())).await?;
        latencies.push(micros(begin.elapsed()));
        let found = matches!(reply, Reply::Tasks(list) if !list.tasks.is_empty());
        ensure!(found, "ListTasks found nothing");
    }
    Ok(p50("ListTasks of 50 with histories, p50", Aim::None, latencies))
}
