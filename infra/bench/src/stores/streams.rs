//! A stream of 400 chunks of a kilobyte: each appended before the next one comes, and as fast as an
//! agent gives them to the handler, which appends what has come meanwhile at once.

use std::time::Instant;

use a2a_core::task::TaskKey;
use a2a_core::{Call, Reply, StreamResponse, TaskState};
use anyhow::{Context, Result, bail};
use futures_util::StreamExt;

use super::agent::{Agent, ask};
use super::subject::{Subject, micros, per_second, soon};
use super::writer::{OTHER, Store, Writer};
use crate::report::{Aim, Row};
use crate::stats::Sample;

/// Chunks of a stream.
pub(super) const CHUNKS: usize = 400;
/// Far fewer appends than chunks, when these come faster.
const APPENDS: f64 = 40.0;

#[expect(clippy::cast_precision_loss, reason = "they are hundreds")]
pub(super) async fn rows(subject: &Subject) -> Result<Vec<Row>> {
    let (mut slow, mut fast, mut appends) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..subject.size.samples {
        slow.push(one_by_one(&subject.ours).await?);
        let (took, appended) = soon("a stream's end", from_agent(&subject.ours)).await??;
        fast.push(took);
        appends.push(appended as f64);
    }
    let seconds: Vec<_> = slow.iter().map(|rate| CHUNKS as f64 / rate.value).collect();
    Ok(vec![
        Row::of("400 chunks of 1 KB, one by one", "s", Aim::None, seconds),
        Row::of("the same, chunks", "chunks/s", Aim::None, slow),
        Row::of("400 chunks of 1 KB, from an agent", "s", Aim::None, fast),
        Row::of("appends for those", "appends", Aim::AtMost(APPENDS), appends),
    ])
}

async fn one_by_one(store: &Store) -> Result<Sample> {
    let mut writer = Writer::new(store);
    writer.open().await?;
    let mut latencies = Vec::with_capacity(CHUNKS);
    let begin = Instant::now();
    for _ in 0..CHUNKS {
        latencies.push(micros(writer.chunk().await?));
    }
    Ok(Sample::rate(per_second(CHUNKS, begin.elapsed()), &mut latencies))
}

/// From the call to the stream's last event, in seconds, and how many appends it took.
pub(super) async fn from_agent(store: &Store) -> Result<(f64, usize)> {
    let agent = Agent::new(store, OTHER);
    let begin = Instant::now();
    let call = Call::SendStreamingMessage(ask(CHUNKS));
    let Reply::Events(mut events) = agent.call(None, call).await? else {
        bail!("a stream was answered by something else");
    };
    let (mut chunks, mut last) = (0, None);
    while let Some(event) = events.0.next().await {
        match event.context("a stream broke")?.response {
            StreamResponse::ArtifactUpdate(_) => chunks += 1,
            StreamResponse::StatusUpdate(event) => last = Some(event),
            _ => {}
        }
    }
    let took = begin.elapsed().as_secs_f64();
    let last = last.filter(|last| chunks == CHUNKS && last.status.state == TaskState::Completed);
    let last = last.with_context(|| format!("{chunks} chunks came, or no completion"))?;
    let key = TaskKey { tenant: "".into(), id: last.task_id.clone() };
    let journal = store.read(&key, 0).await.context("a read failed")?;
    Ok((took, journal.map_or(0, |journal| journal.slots.len())))
}
