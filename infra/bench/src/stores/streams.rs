//! A stream of 400 chunks of a kilobyte: each appended before the next one comes, and as fast as an
//! agent gives them to the handler, which appends what has come meanwhile at once.

use std::time::Instant;

use a2a_core::{Call, Reply, StreamResponse, TaskState};
use futures_util::StreamExt;

use super::agent::{Agent, ask};
use super::writer::{OTHER, Store, Writer};
use super::{Subject, micros, per_second, soon};
use crate::report::{Aim, Row};
use crate::stats::Sample;

/// Chunks of a stream.
pub(super) const CHUNKS: usize = 400;
/// Far fewer appends than chunks, when these come faster.
const APPENDS: f64 = 40.0;

pub(super) async fn rows(subject: &Subject) -> Result<Vec<Row>, String> {
    let mut seconds = Row::new("400 chunks of 1 KB, one by one", "s", Aim::None);
    let mut slow = Row::new("the same, chunks", "chunks/s", Aim::None);
    let mut fast = Row::new("400 chunks of 1 KB, from an agent", "s", Aim::None);
    let mut appends = Row::new("appends for those", "appends", Aim::AtMost(APPENDS));
    for _ in 0..subject.size.samples {
        let sample = one_by_one(&subject.ours).await?;
        #[expect(clippy::cast_precision_loss, reason = "it is 400")]
        seconds.ours.push(Sample::of(CHUNKS as f64 / sample.value));
        slow.ours.push(sample);
        let (took, appended) = soon("a stream's end", from_agent(&subject.ours)).await??;
        fast.ours.push(Sample::of(took));
        appends.ours.push(Sample::of(appended));
    }
    Ok(vec![seconds, slow, fast, appends])
}

async fn one_by_one(store: &Store) -> Result<Sample, String> {
    let mut writer = Writer::new(store);
    writer.append(writer.opening()).await?;
    let mut latencies = Vec::with_capacity(CHUNKS);
    let begin = Instant::now();
    for _ in 0..CHUNKS {
        let chunk = writer.chunk();
        latencies.push(micros(writer.append(vec![chunk]).await?));
    }
    Ok(Sample::rate(per_second(CHUNKS, begin.elapsed()), &mut latencies))
}

/// From the call to the stream's last event, in seconds, and how many appends it took.
pub(super) async fn from_agent(store: &Store) -> Result<(f64, f64), String> {
    let agent = Agent::new(store, OTHER);
    let begin = Instant::now();
    let Reply::Events(mut events) = agent.call(Call::SendStreamingMessage(ask(CHUNKS))).await?
    else {
        return Err("a stream was answered by something else".to_owned());
    };
    let (mut chunks, mut state) = (0, TaskState::Unspecified);
    while let Some(event) = events.0.next().await {
        match event.map_err(|error| format!("a stream broke: {error}"))?.response {
            StreamResponse::ArtifactUpdate(_) => chunks += 1,
            StreamResponse::StatusUpdate(event) => state = event.status.state,
            _ => {}
        }
    }
    let took = begin.elapsed().as_secs_f64();
    if (chunks, state) != (CHUNKS, TaskState::Completed) {
        return Err(format!("{chunks} chunks came, and then {}", state.name()));
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    Ok((took, agent.appends() as f64))
}
