//! What DynamoDB would ask for each operation, in its units, which do not depend on the machine.
//!
//! Owns: the operations and the aims.

use std::time::{Duration, Instant};

use a2a_core::store;
use a2a_core::{Call, GetTaskRequest, IdempotencyKey, Reply, SendMessageResponse, TaskState};
use anyhow::{Context, Error, Result, bail, ensure};
use futures_util::StreamExt;

use super::agent::{Agent, ask};
use super::capacity::{Capacity, Cost, sum};
use super::lists::{Filled, everything};
use super::streams::{self, CHUNKS};
use super::subject::{Subject, soon};
use super::sweeps;
use super::writer::{OTHER, Store, Writer};
use crate::report::{Aim, Row};

/// Write round trips of a blocking send, and write units with a kilobyte of content.
const SEND: (f64, f64) = (2.0, 8.0);
/// Write units for a kilobyte of a stream whose chunks come slower than they are appended.
const KILOBYTE: f64 = 1.15;
/// Round trips of the same stream when they come as fast as can be: a tenth of its chunks.
const TRIPS: f64 = 40.0;
/// How long a silent task is followed.
const SILENCE: Duration = Duration::from_secs(20);
/// Living runs that a sweeper looks for orphans among, and what that costs it in a minute.
const RUNS: usize = 10_000;
const SWEEPER: f64 = 50.0;
/// Tasks of the smaller list.
const FEW: usize = 1_000;

pub(super) async fn rows(subject: &Subject) -> Result<Vec<Row>> {
    // A table of its own, so that all that it holds was counted.
    let url = subject.url.replacen('?', "-units?", 1);
    store::prepare(&url).await.map_err(Error::msg)?;
    let (store, capacity) = Capacity::open(&url).await?;
    let mut rows = sends(&store, &capacity).await?;
    rows.extend(streams(&store, &capacity).await?);
    rows.extend(follows(&url).await?);
    rows.extend(sweeps(subject).await?);
    rows.extend(lists(&store, &capacity, subject).await?);
    Ok(rows)
}

/// Blocking sends that make a task, an artifact of a kilobyte and a completion; and GetTask.
async fn sends(store: &Store, capacity: &Capacity) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let agent = Agent::new(store, OTHER);
    for (name, key) in [("send", None), ("send with a key", Some(IdempotencyKey::new("bench-1")))] {
        capacity.take();
        let reply = agent.call(key, Call::SendMessage(ask(1))).await?;
        let cost = writes(capacity);
        let Reply::Sent(SendMessageResponse::Task(task)) = reply else {
            bail!("a send was answered without a task");
        };
        let request = GetTaskRequest { id: task.id, ..GetTaskRequest::default() };
        agent.call(None, Call::GetTask(request)).await?;
        rows.extend([
            requests(format!("{name}, write requests"), Aim::AtMost(SEND.0), cost),
            units(format!("{name}, write units"), Aim::AtMost(SEND.1), cost.units),
            units(format!("GetTask after a {name}, read units"), Aim::None, all(capacity).units),
        ]);
    }
    Ok(rows)
}

/// The 400 chunks of a kilobyte: one by one, and as fast as an agent gives them.
async fn streams(store: &Store, capacity: &Capacity) -> Result<Vec<Row>> {
    capacity.take();
    let mut writer = Writer::new(store);
    writer.open().await?;
    for _ in 0..CHUNKS {
        writer.chunk().await?;
    }
    writer.state(TaskState::Completed).await?;
    let slow = writes(capacity);
    store.read(writer.key(), 0).await.context("a read failed")?;
    let read = all(capacity);
    soon("a stream's end", streams::from_agent(store)).await??;
    let fast = writes(capacity);
    #[expect(clippy::cast_precision_loss, reason = "it is 400")]
    let per_kilobyte = |cost: Cost| cost.units / CHUNKS as f64;
    let (one_by_one, at_once) = (per_kilobyte(slow), per_kilobyte(fast));
    Ok(vec![
        units("400 KB one by one, write units per KB", Aim::AtMost(KILOBYTE), one_by_one),
        requests("the same, write requests", Aim::None, slow),
        units("400 KB from an agent, write units per KB", Aim::None, at_once),
        requests("the same, write requests", Aim::AtMost(TRIPS), fast),
        units("GetTask of 400 KB in 402 appends, read units", Aim::None, read.units),
    ])
}

/// Following a task of another instance: while nothing comes, as a run waits for its cancel, and
/// while chunks do.
async fn follows(url: &str) -> Result<Vec<Row>> {
    let (store, capacity) = Capacity::open(url).await?;
    let mut writer = Writer::new(&store::open(url).await.map_err(Error::msg)?);
    writer.open().await?;
    writer.state(TaskState::Working).await?;
    // Who follows a task has read it.
    store.read(writer.key(), 0).await.context("a read failed")?;
    let mut tail = store.tail(writer.key().clone(), 2);
    capacity.take();
    if tokio::time::timeout(SILENCE, tail.next()).await.is_ok() {
        bail!("a tail told of something although nothing came");
    }
    let silent = all(&capacity).units / SILENCE.as_secs_f64();
    let (begin, count) = (Instant::now(), 200_u32);
    let follower = tokio::spawn(tail.take(count as usize).collect::<Vec<_>>());
    for _ in 0..count {
        writer.chunk().await?;
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    soon("a chunk", follower).await??;
    // Half a unit for four kilobytes is what reading them takes at least.
    let busy = all(&capacity).units - f64::from(count) / 8.0;
    Ok(vec![
        units("a silent follower, read units per second", Aim::AtMost(0.5), silent),
        units(
            "one of 40 KB/s, beside half a unit per 4 KB",
            Aim::AtMost(2.0),
            busy / begin.elapsed().as_secs_f64(),
        ),
    ])
}

/// Living runs of one process and of two, each in a table of their own.
async fn sweeps(subject: &Subject) -> Result<Vec<Row>> {
    let runs = RUNS.min(subject.size.tasks);
    let mut rows = Vec::new();
    for (hosts, name) in [(1, "one process"), (2, "two processes")] {
        let url = subject.url.replacen('?', &format!("-runs-{hosts}?"), 1);
        let cost = sweeps::minute(&url, runs, hosts).await?;
        let name = format!("a sweeper over {runs} living runs of {name}, read units per minute");
        rows.push(units(name, Aim::AtMost(SWEEPER), cost.units));
    }
    Ok(rows)
}

/// A page of 50 among few tasks and among all; the count that comes with the first is told apart.
async fn lists(store: &Store, capacity: &Capacity, subject: &Subject) -> Result<Vec<Row>> {
    let tasks = subject.size.tasks;
    let few = FEW.min(tasks);
    Filled::new(few).fill(store).await?;
    let (small, count) = page(store, capacity, few).await?;
    // On a handle of its own, which counts nothing but this.
    let (many, capacity) = Capacity::open(&subject.url).await?;
    let (large, _) = page(&many, &capacity, tasks).await?;
    let name = |what: &str, tasks| format!("ListTasks of 50 among {tasks}, {what}");
    Ok(vec![
        units(name("read units", few), Aim::None, small.units),
        units(name("count apart, read units", few), Aim::None, count.units),
        units(name("read units", tasks), Aim::AtMost(small.units * 1.05), large.units),
        requests(name("read requests", tasks), Aim::None, large),
    ])
}

/// What a first page takes, and apart from it its count.
async fn page(store: &Store, capacity: &Capacity, tasks: usize) -> Result<(Cost, Cost)> {
    capacity.take();
    let total = store.list(&everything()).await.context("a list failed")?.total;
    ensure!(total == tasks as u64, "the list counts {total} of {tasks} tasks");
    let costs = capacity.take();
    let is_count = |name: &str| name.contains("count");
    Ok((sum(&costs, |name| !is_count(name)), sum(&costs, is_count)))
}

fn writes(capacity: &Capacity) -> Cost {
    let is_write = |name: &str| matches!(name, "PutItem" | "UpdateItem" | "TransactWriteItems");
    sum(&capacity.take(), is_write)
}

fn all(capacity: &Capacity) -> Cost {
    sum(&capacity.take(), |_| true)
}

fn units(name: impl Into<String>, aim: Aim, units: f64) -> Row {
    Row::of(name, "units", aim, [units])
}

#[expect(clippy::cast_precision_loss, reason = "they are few")]
fn requests(name: impl Into<String>, aim: Aim, cost: Cost) -> Row {
    Row::of(name, "", aim, [cost.requests as f64])
}
