//! Appends: tasks of four entries from their message to their end, by one writer and by many.

use std::time::{Duration, Instant};

use a2a_core::TaskState;
use futures_util::future::try_join_all;

use super::writer::{Store, Writer};
use super::{Subject, micros, per_second};
use crate::report::{Aim, Row};
use crate::stats::Sample;

/// Tasks that are written at the same time.
const AT_A_TIME: [usize; 2] = [1, 8];

pub(super) async fn rows(subject: &Subject) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for writers in AT_A_TIME {
        let name = format!("a task of 4 entries, {writers} at a time");
        let mut row = Row::new(name, "appends/s", Aim::None);
        for _ in 0..subject.size.samples {
            row.ours.push(sample(&subject.ours, writers, subject.size.journals).await?);
        }
        rows.push(row);
    }
    Ok(rows)
}

async fn sample(store: &Store, writers: usize, journals: usize) -> Result<Sample, String> {
    let begin = Instant::now();
    let each = (0..writers).map(|_| tokio::spawn(write(Store::clone(store), journals)));
    let took = try_join_all(each).await.map_err(|error| error.to_string())?;
    let elapsed = begin.elapsed();
    let took = took.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    let mut latencies: Vec<u32> = took.into_iter().map(micros).collect();
    Ok(Sample::rate(per_second(latencies.len(), elapsed), &mut latencies))
}

async fn write(store: Store, journals: usize) -> Result<Vec<Duration>, String> {
    let mut took = Vec::with_capacity(journals * 4);
    for _ in 0..journals {
        let mut writer = Writer::new(&store);
        took.push(writer.append(writer.opening()).await?);
        took.push(writer.append(vec![writer.status(TaskState::Working)]).await?);
        let chunk = writer.chunk();
        took.push(writer.append(vec![chunk]).await?);
        took.push(writer.append(vec![writer.status(TaskState::Completed)]).await?);
    }
    Ok(took)
}
