//! What DynamoDB would ask for each operation, in its units, which do not depend on the machine.
//!
//! Owns: the operations and the aims. The arithmetic is the store's own counting layer, over the
//! items that are really sent; what the engine says itself stands beside it where it says it.

use std::collections::BTreeMap;
use std::sync::Arc;

use a2a_core::store::units::{Cost, Units};
use a2a_core::store::{self, DynamoDbStore};
use a2a_core::{Call, GetTaskRequest, IdempotencyKey, Reply, SendMessageResponse, TaskState};

use super::agent::{Agent, ask};
use super::lists::{Filled, everything};
use super::streams::{self, CHUNKS};
use super::writer::{OTHER, Store, Writer};
use super::{Subject, soon};
use crate::report::{Aim, Row};
use crate::stats::Sample;

/// Write round trips of a blocking send, and write units with a kilobyte of content.
const SEND: (f64, f64) = (2.0, 8.0);
/// Write units for a kilobyte of a stream whose chunks come slower than they are appended.
const KILOBYTE: f64 = 1.15;
/// Round trips of the same stream when they come as fast as can be: a tenth of its chunks.
const TRIPS: f64 = 40.0;
/// Tasks of the smaller list.
const FEW: usize = 1_000;

pub(super) async fn rows(subject: &Subject) -> Result<Vec<Row>, String> {
    // A table of its own, so that all that it holds was counted.
    let url = subject.url.replacen('?', "-units?", 1);
    store::prepare(&url).await?;
    let (counted, units) = DynamoDbStore::counted(&url).await?;
    let counter = Counter { store: Arc::new(counted), units };
    let mut rows = counter.sends().await?;
    rows.extend(counter.streams().await?);
    rows.extend(counter.lists(subject).await?);
    Ok(rows)
}

struct Counter {
    store: Store,
    units: Units,
}

impl Counter {
    /// Blocking sends that make a task, an artifact of a kilobyte and a completion; and GetTask.
    async fn sends(&self) -> Result<Vec<Row>, String> {
        let mut rows = Vec::new();
        let agent = Agent::new(&self.store, OTHER);
        for (name, key) in
            [("send", None), ("send with a key", Some(IdempotencyKey::new("bench-1")))]
        {
            self.units.take();
            let reply = agent.call_with(key, Call::SendMessage(ask(1))).await?;
            let cost = writes(&self.units.take());
            let Reply::Sent(SendMessageResponse::Task(task)) = reply else {
                return Err("a send was answered without a task".to_owned());
            };
            rows.push(row(format!("{name}, write requests"), "", trips(cost), Aim::AtMost(SEND.0)));
            let aim = Aim::AtMost(SEND.1);
            rows.push(row(format!("{name}, write units"), "units", cost.writes, aim));
            let request = GetTaskRequest { id: task.id, ..GetTaskRequest::default() };
            agent.call(Call::GetTask(request)).await?;
            let cost = sum(&self.units.take(), |_| true);
            rows.push(row(
                format!("GetTask after a {name}, read units"),
                "units",
                cost.reads,
                Aim::None,
            ));
        }
        Ok(rows)
    }

    /// The 400 chunks of a kilobyte: one by one, and as fast as an agent gives them.
    async fn streams(&self) -> Result<Vec<Row>, String> {
        self.units.take();
        let mut writer = Writer::new(&self.store);
        writer.append(writer.opening()).await?;
        for _ in 0..CHUNKS {
            let chunk = writer.chunk();
            writer.append(vec![chunk]).await?;
        }
        writer.append(vec![writer.status(TaskState::Completed)]).await?;
        let slow = writes(&self.units.take());
        let read = self.store.read(writer.key(), 0).await;
        read.map_err(|error| format!("a read failed: {error}"))?;
        let read = sum(&self.units.take(), |_| true);
        soon("a stream's end", streams::from_agent(&self.store)).await??;
        let fast = writes(&self.units.take());
        #[expect(clippy::cast_precision_loss, reason = "it is 400")]
        let per_kilobyte = |cost: Cost| cost.writes / CHUNKS as f64;
        Ok(vec![
            row(
                "400 KB one by one, write units per KB",
                "units",
                per_kilobyte(slow),
                Aim::AtMost(KILOBYTE),
            ),
            row("the same, write requests", "", trips(slow), Aim::None),
            row("400 KB from an agent, write units per KB", "units", per_kilobyte(fast), Aim::None),
            row("the same, write requests", "", trips(fast), Aim::AtMost(TRIPS)),
            row("GetTask of 400 KB in 402 appends, read units", "units", read.reads, Aim::None),
        ])
    }

    /// A page of 50 among few tasks and among all; the count that comes with the first is told
    /// apart.
    async fn lists(&self, subject: &Subject) -> Result<Vec<Row>, String> {
        let few = FEW.min(subject.size.tasks);
        Arc::new(Filled::new(few)).fill(&self.store).await?;
        let (small, count) = page(&self.store, &self.units, few).await?;
        // On a handle of its own, which counts nothing but this.
        let (many, units) = DynamoDbStore::counted(&subject.url).await?;
        let many: Store = Arc::new(many);
        let (large, _) = page(&many, &units, subject.size.tasks).await?;
        let name = |what: &str, tasks| format!("ListTasks of 50 among {tasks}, {what}");
        let tasks = subject.size.tasks;
        Ok(vec![
            row(name("read units", few), "units", small.reads, Aim::None),
            row(name("count apart, read units", few), "units", count.reads, Aim::None),
            row(name("read units", tasks), "units", large.reads, Aim::AtMost(small.reads * 1.05)),
            row(name("read requests", tasks), "", trips(large), Aim::None),
        ])
    }
}

/// What a first page takes, and apart from it its count.
async fn page(store: &Store, units: &Units, tasks: usize) -> Result<(Cost, Cost), String> {
    units.take();
    let page = store.list(&everything()).await;
    let page = page.map_err(|error| format!("a list failed: {error}"))?;
    if page.total != tasks as u64 {
        return Err(format!("the list counts {} of {tasks} tasks", page.total));
    }
    let costs = units.take();
    let is_count = |name: &str| name.contains("count");
    Ok((sum(&costs, |name| !is_count(name)), sum(&costs, is_count)))
}

fn row(name: impl Into<String>, unit: &'static str, value: f64, aim: Aim) -> Row {
    let mut row = Row::new(name, unit, aim);
    row.ours.push(Sample::of(value));
    row
}

/// The operations whose name is so, together.
fn sum(costs: &BTreeMap<&'static str, Cost>, wanted: impl Fn(&str) -> bool) -> Cost {
    let costs = costs.iter().filter(|(name, _)| wanted(name)).map(|(_, cost)| cost);
    costs.fold(Cost::default(), |sum, cost| Cost {
        requests: sum.requests + cost.requests,
        writes: sum.writes + cost.writes,
        reads: sum.reads + cost.reads,
        reported: sum.reported + cost.reported,
    })
}

fn writes(costs: &BTreeMap<&'static str, Cost>) -> Cost {
    sum(costs, |name| matches!(name, "PutItem" | "UpdateItem" | "TransactWriteItems"))
}

#[expect(clippy::cast_precision_loss, reason = "they are few")]
fn trips(cost: Cost) -> f64 {
    cost.requests as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_added_by_what_they_are() {
        let cost = |requests, writes, reads| Cost { requests, writes, reads, reported: 0.0 };
        let costs = BTreeMap::from([
            ("PutItem", cost(1, 5.0, 0.0)),
            ("TransactWriteItems", cost(2, 7.5, 0.0)),
            ("GetItem", cost(4, 0.0, 2.0)),
        ]);
        let written = writes(&costs);
        assert_eq!((written.requests, written.writes), (3, 12.5));
        assert_eq!(sum(&costs, |_| true).requests, 7);
        assert!((trips(written) - 3.0).abs() < f64::EPSILON);
    }
}
