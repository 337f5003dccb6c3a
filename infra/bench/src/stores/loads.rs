//! Loading a journal of 1 MB, on the handle that did not write it.

use std::time::Instant;

use super::writer::{KILOBYTE, Writer};
use super::{Subject, micros};
use crate::report::{Aim, Row};
use crate::stats::Sample;

/// A megabyte of chunks, each appended alone: as many slots as it can have.
const CHUNKS: usize = (1 << 20) / KILOBYTE;

pub(super) async fn rows(subject: &Subject) -> Result<Vec<Row>, String> {
    let mut writer = Writer::new(&subject.ours);
    writer.append(writer.opening()).await?;
    for _ in 0..CHUNKS {
        let chunk = writer.chunk();
        writer.append(vec![chunk]).await?;
    }
    let mut latencies = Vec::with_capacity(subject.size.loads);
    for _ in 0..subject.size.loads {
        let begin = Instant::now();
        let journal = subject.other.read(writer.key(), 0).await;
        latencies.push(micros(begin.elapsed()));
        let journal = journal.map_err(|error| format!("a read failed: {error}"))?;
        let slots = journal.map_or(0, |journal| journal.slots.len());
        if slots != CHUNKS + 1 {
            return Err(format!("{slots} slots were read of {}", CHUNKS + 1));
        }
    }
    let mut row = Row::new("load of 1 MB in 1,025 appends, p50", "ms", Aim::None);
    row.ours.push(Sample::p50_millis(&mut latencies));
    Ok(vec![row])
}
