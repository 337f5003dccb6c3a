//! Events a second over SSE, and whether an event of a long stream costs more than one of a
//! short stream.

mod client;
pub(crate) mod events;
pub(crate) mod server;

use crate::child::{Server, Subject};
use crate::cli::Options;
use crate::report::{Aim, Row};
use crate::requests::{self, Binding};
use crate::subjects::Ask;
use client::Streams;

/// Chunks of each stream whose events are counted.
const CHUNKS: usize = 200;
const SHORT: usize = 100;
const LONG: usize = 10_000;
const EVENTS_AIM: f64 = 150_000.0;
/// Equal, but for what two measurements of the same thing differ by on a shared machine.
const COST_AIM: f64 = 1.2;

/// Measures the rate of many streams and the cost of one long stream.
pub(crate) async fn rows(options: &Options) -> Result<Vec<Row>, String> {
    let raw = Server::start(&Subject::Sse)?;
    let agent = options.ours(&Subject::Agent)?;
    let raw = |chunks| Streams::new(raw.address(), requests::raw_stream(chunks), chunks);
    let ours = |chunks| {
        let request = requests::http(Binding::Rest, Ask::Stream(chunks));
        agent.as_ref().map(|agent| Streams::new(agent.address(), request, chunks))
    };
    let mut rows = vec![rate(options, &raw(CHUNKS), ours(CHUNKS).as_ref()).await?];
    if let (Some(long), Some(short)) = (ours(LONG), ours(SHORT)) {
        rows.push(cost(options, "ours", &long, &short, Aim::TimesOther(COST_AIM)).await?);
    }
    rows.push(cost(options, "raw hyper", &raw(LONG), &raw(SHORT), Aim::None).await?);
    Ok(rows)
}

/// Events a second of `options.streams` streams, some at a time.
async fn rate(options: &Options, raw: &Streams, ours: Option<&Streams>) -> Result<Row, String> {
    let name = format!("SSE, {} streams of {CHUNKS} x 64 B", options.streams);
    let row = Row::new(name, "event/s", Aim::AtLeast(EVENTS_AIM));
    for streams in [Some(raw), ours].into_iter().flatten() {
        streams.run(options.connections, options.connections).await?;
    }
    let (streams, at_a_time) = (options.streams, options.connections);
    let sample = async |it: &Streams| Ok(it.run(streams, at_a_time).await?.rate());
    row.sampled(options.samples, (raw, ours), sample).await
}

/// Microseconds per chunk of one long stream beside those of as many chunks in short streams, one
/// stream at a time. Both columns are of the same server.
async fn cost(
    options: &Options,
    of: &str,
    long: &Streams,
    short: &Streams,
    aim: Aim,
) -> Result<Row, String> {
    let name = format!("SSE, {of}: 1 stream of {LONG} beside {} of {SHORT}", LONG / SHORT);
    let row = Row::new(name, "us/chunk", aim);
    short.run(LONG / SHORT, 1).await?;
    let sample =
        async |(it, streams): &(&Streams, usize)| Ok(it.run(*streams, 1).await?.micros_per_chunk());
    row.sampled(options.samples, (&(short, LONG / SHORT), Some(&(long, 1))), sample).await
}
