//! Single journals: how fast they are written and loaded, and how soon another handle's follower
//! has what was appended.

use std::time::{Duration, Instant};

use a2a_core::TaskState;
use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use futures_util::future::try_join_all;

use super::subject::{Subject, micros, p50, per_second, soon};
use super::writer::{Store, Writer};
use crate::report::{Aim, Row};
use crate::stats::Sample;
use crate::text::KILOBYTE;

/// Tasks that are written at the same time.
const AT_A_TIME: [usize; 2] = [1, 8];
/// A megabyte of chunks, each appended alone: as many slots as it can have.
const CHUNKS: usize = (1 << 20) / KILOBYTE;
/// Milliseconds that half of all entries may take to another's tail where the engine tells of them.
const DELAY: f64 = 5.0;

/// Tasks of four entries from their message to their end, by one writer and by many.
pub(super) async fn appends(subject: &Subject) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for writers in AT_A_TIME {
        let mut samples = Vec::new();
        for _ in 0..subject.size.samples {
            samples.push(sample(&subject.ours, writers, subject.size.journals).await?);
        }
        let name = format!("a task of 4 entries, {writers} at a time");
        rows.push(Row::of(name, "appends/s", Aim::None, samples));
    }
    Ok(rows)
}

async fn sample(store: &Store, writers: usize, journals: usize) -> Result<Sample> {
    let begin = Instant::now();
    let each = (0..writers).map(|_| tokio::spawn(write(Store::clone(store), journals)));
    let took = try_join_all(each).await?;
    let elapsed = begin.elapsed();
    let mut took = took.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    Ok(Sample::rate(per_second(took.len(), elapsed), &mut took))
}

async fn write(store: Store, journals: usize) -> Result<Vec<u32>> {
    let mut took = Vec::with_capacity(journals * 4);
    for _ in 0..journals {
        let mut writer = Writer::new(&store);
        took.push(micros(writer.open().await?));
        took.push(micros(writer.state(TaskState::Working).await?));
        took.push(micros(writer.chunk().await?));
        took.push(micros(writer.state(TaskState::Completed).await?));
    }
    Ok(took)
}

/// Loading a journal of 1 MB, on the handle that did not write it.
pub(super) async fn loads(subject: &Subject) -> Result<Vec<Row>> {
    let mut writer = Writer::new(&subject.ours);
    writer.open().await?;
    for _ in 0..CHUNKS {
        writer.chunk().await?;
    }
    let mut latencies = Vec::with_capacity(subject.size.loads);
    for _ in 0..subject.size.loads {
        let begin = Instant::now();
        let journal = subject.other.read(writer.key(), 0).await;
        latencies.push(micros(begin.elapsed()));
        let slots = journal.context("a read failed")?.map_or(0, |journal| journal.slots.len());
        ensure!(slots == CHUNKS + 1, "{slots} slots were read of {}", CHUNKS + 1);
    }
    Ok(vec![p50("load of 1 MB in 1,025 appends, p50", Aim::None, latencies)])
}

/// From an append on one handle until another handle's follower has it.
pub(super) async fn tails(subject: &Subject) -> Result<Vec<Row>> {
    let mut writer = Writer::new(&subject.ours);
    writer.open().await?;
    let tail = Store::clone(&subject.other).tail(writer.key().clone(), 1);
    let deliveries = subject.size.deliveries;
    // Each with its time, as it comes.
    let come = tail.take(deliveries).map(|slot| slot.map(|_| Instant::now()));
    let follower = tokio::spawn(come.collect::<Vec<_>>());
    // The follower is there by then, so that what is measured is a tail and no first read.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut appended = Vec::with_capacity(deliveries);
    for number in 0..deliveries {
        // Uneven, so that it falls into no step with a follower that asks at intervals.
        tokio::time::sleep(Duration::from_millis(5 + number as u64 * 7 % 31)).await;
        let took = writer.chunk().await?;
        appended.push(Instant::now() - took);
    }
    let come = soon("an entry", follower).await??;
    let mut latencies = Vec::with_capacity(deliveries);
    for (come, appended) in come.into_iter().zip(appended) {
        let come = come.context("a tail broke")?;
        latencies.push(micros(come.saturating_duration_since(appended)));
    }
    let aim = if subject.engine.notifies() { Aim::Below(DELAY) } else { Aim::None };
    Ok(vec![p50("from append to another's tail, p50", aim, latencies)])
}
