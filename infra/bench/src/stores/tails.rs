//! How long it takes from an append on one handle until another handle's follower has it.

use std::time::{Duration, Instant};

use a2a_core::store::StoreError;
use futures_util::StreamExt;

use super::writer::{Store, Writer};
use super::{Subject, micros, soon};
use crate::report::{Aim, Row};
use crate::stats::Sample;

/// Milliseconds that half of all entries may take where the engine tells of them.
const AIM: f64 = 5.0;

pub(super) async fn rows(subject: &Subject) -> Result<Vec<Row>, String> {
    let aim = if subject.tells() { Aim::Below(AIM) } else { Aim::None };
    let mut row = Row::new("from append to another's tail, p50", "ms", aim);
    let mut writer = Writer::new(&subject.ours);
    writer.append(writer.opening()).await?;
    let tail = Store::clone(&subject.other).tail(writer.key().clone(), 1);
    let deliveries = subject.size.deliveries;
    // Each with its time, as it comes.
    let follower = tokio::spawn(
        tail.take(deliveries).map(|slot| slot.map(|_| Instant::now())).collect::<Vec<_>>(),
    );
    // The follower is there by then, so that what is measured is a tail and no first read.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut appended = Vec::with_capacity(deliveries);
    for number in 0..deliveries {
        // Uneven, so that it falls into no step with whoever asks at intervals.
        tokio::time::sleep(Duration::from_millis(5 + number as u64 * 7 % 31)).await;
        let chunk = writer.chunk();
        appended.push(Instant::now());
        writer.append(vec![chunk]).await?;
    }
    let come = soon("an entry", follower).await?.map_err(|error| error.to_string())?;
    let come: Vec<Instant> = come
        .into_iter()
        .collect::<Result<_, StoreError>>()
        .map_err(|error| format!("a tail broke: {error}"))?;
    let ways = come.into_iter().zip(appended);
    let mut latencies: Vec<u32> =
        ways.map(|(come, appended)| micros(come.saturating_duration_since(appended))).collect();
    row.ours.push(Sample::p50_millis(&mut latencies));
    Ok(vec![row])
}
