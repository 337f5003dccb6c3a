//! A page of 50 among very many tasks of one owner: the first one, one in the middle, filtered ones,
//! and through the handler, which reads each task.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use a2a_core::store::{ListPage, ListPosition, ListQuery};
use a2a_core::{Call, Env, ListTasksRequest, Reply, TaskState, Timestamp};
use futures_util::future::try_join_all;

use super::agent::Agent;
use super::writer::{OWNER, Store, Writer};
use super::{PATIENCE, Subject, micros, per_second};
use crate::report::{Aim, Row};
use crate::stats::Sample;

/// Tasks of a page.
const PAGE: u32 = 50;
/// Appends at the same time while the tasks are made.
const WRITERS: usize = 64;
/// Tasks of one conversation.
const IN_CONTEXT: usize = 100;

pub(super) async fn rows(subject: &Subject) -> Result<Vec<Row>, String> {
    let tasks = subject.size.tasks;
    let filled = Arc::new(Filled::new(tasks));
    let begin = Instant::now();
    filled.fill(&subject.ours).await?;
    let elapsed = begin.elapsed();
    let mut fill = Row::new(format!("{tasks} finished tasks, 64 at a time"), "tasks/s", Aim::None);
    fill.ours.push(Sample::of(per_second(tasks, elapsed)));
    let mut rows = vec![fill];
    rows.push(first_look(subject, &filled).await?);
    let middle = ListPosition { at: filled.time(tasks / 2), id: "".into() };
    for (name, query) in [
        ("first page of 50", everything()),
        ("a page in the middle", ListQuery { after: Some(middle), ..everything() }),
        (
            "first page of one state",
            ListQuery { state: Some(TaskState::Completed), ..everything() },
        ),
        (
            "first page of one context",
            ListQuery { context_id: filled.contexts.first().cloned(), ..everything() },
        ),
    ] {
        rows.push(page(subject, &format!("{name}, p50"), &query).await?);
    }
    rows.push(handled(subject).await?);
    Ok(rows)
}

/// What there is to be listed.
pub(super) struct Filled {
    tasks: usize,
    next: AtomicUsize,
    contexts: Vec<Arc<str>>,
    /// The first task's time; each has a millisecond of its own.
    since: i64,
}

impl Filled {
    pub(super) fn new(tasks: usize) -> Self {
        let env = Env::system();
        let contexts = (0..tasks.div_ceil(IN_CONTEXT)).map(|_| env.id()).collect();
        let since = env.now().as_millis() - i64::try_from(tasks).unwrap_or_default();
        Self { tasks, next: AtomicUsize::new(0), contexts, since }
    }

    fn time(&self, number: usize) -> Timestamp {
        Timestamp::from_millis(self.since + i64::try_from(number).unwrap_or_default())
    }

    /// Writes the tasks, each at once, as the handler writes one whose agent is done at once.
    pub(super) async fn fill(self: &Arc<Self>, store: &Store) -> Result<(), String> {
        let writers =
            (0..WRITERS).map(|_| tokio::spawn(Arc::clone(self).write(Store::clone(store))));
        let written = try_join_all(writers).await.map_err(|error| error.to_string())?;
        written.into_iter().collect()
    }

    async fn write(self: Arc<Self>, store: Store) -> Result<(), String> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.tasks {
                return Ok(());
            }
            if number > 0 && number.is_multiple_of(20_000) {
                eprintln!("a2a-bench: {number} tasks");
            }
            let context = Arc::clone(&self.contexts[number / IN_CONTEXT]);
            let mut writer = Writer::of(&store, OWNER, context).at(self.time(number));
            let mut entries = writer.opening();
            entries.push(writer.status(TaskState::Completed));
            writer.append(entries).await?;
        }
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

async fn listed(store: &Store, query: &ListQuery) -> Result<(Duration, ListPage), String> {
    let begin = Instant::now();
    let page = store.list(query).await.map_err(|error| format!("a list failed: {error}"))?;
    Ok((begin.elapsed(), page))
}

/// The first page as a handle sees it that knows nothing yet, with the count; and that all are
/// counted, at once or, where an index follows the tasks, soon.
async fn first_look(subject: &Subject, filled: &Filled) -> Result<Row, String> {
    let (took, mut page) = listed(&subject.other, &everything()).await?;
    let mut row = Row::new("a handle's first page, with the count", "ms", Aim::None);
    row.ours.push(Sample::of(took.as_secs_f64() * 1e3));
    let begin = Instant::now();
    while page.total != filled.tasks as u64 {
        if begin.elapsed() > PATIENCE {
            return Err(format!("the list counts {} of {} tasks", page.total, filled.tasks));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        page = listed(&subject.other, &everything()).await?.1;
    }
    Ok(row)
}

async fn page(subject: &Subject, name: &str, query: &ListQuery) -> Result<Row, String> {
    let expected = (subject.size.tasks / 2).min(PAGE as usize);
    let mut latencies = Vec::with_capacity(subject.size.pages);
    for _ in 0..subject.size.pages {
        let (took, page) = listed(&subject.other, query).await?;
        if page.rows.len() < expected {
            return Err(format!("{name}: {} tasks of {expected}", page.rows.len()));
        }
        latencies.push(micros(took));
    }
    let mut row = Row::new(name, "ms", Aim::None);
    row.ours.push(Sample::p50_millis(&mut latencies));
    Ok(row)
}

/// ListTasks as a caller asks for it: with each task's history, without artifacts.
async fn handled(subject: &Subject) -> Result<Row, String> {
    let agent = Agent::new(&subject.other, OWNER);
    let mut latencies = Vec::with_capacity(subject.size.pages);
    for _ in 0..subject.size.pages {
        let begin = Instant::now();
        let reply = agent.call(Call::ListTasks(ListTasksRequest::default())).await?;
        latencies.push(micros(begin.elapsed()));
        if !matches!(reply, Reply::Tasks(list) if !list.tasks.is_empty()) {
            return Err("ListTasks found nothing".to_owned());
        }
    }
    let mut row = Row::new("ListTasks of 50 with histories, p50", "ms", Aim::None);
    row.ours.push(Sample::p50_millis(&mut latencies));
    Ok(row)
}
