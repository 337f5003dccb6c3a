//! Events a second over SSE, and whether an event of a long stream costs more than one of a
//! short stream.

mod client;
pub(crate) mod events;

use crate::child::{Server, Subject};
use crate::cli::Options;
use crate::report::{Aim, Row};
use crate::requests::{self, Binding};
use crate::subjects::{self, Ask};
use anyhow::Result;
use client::Streams;

/// Streams of a sample, how many there are at a time, and the chunks of each.
const STREAMS: usize = 60;
const AT_A_TIME: usize = 16;
const CHUNKS: usize = 200;
const SHORT: usize = 100;
const LONG: usize = 10_000;
const EVENTS_AIM: f64 = 150_000.0;
/// Equal, but for what two measurements of the same thing differ by on a shared machine.
const COST_AIM: f64 = 1.2;

/// Measures the rate of many streams and the cost of one long stream.
pub(crate) async fn rows(options: &Options) -> Result<Vec<Row>> {
    let raw = Server::start(&Subject::Limit)?;
    let agent = Server::start(&subjects::runner(&["--no-kafka"]))?;
    let raw = |chunks| Streams::new(raw.address(), requests::raw_stream(chunks), chunks);
    let ours = |chunks| {
        let request = requests::http(Binding::Rest, Ask::Stream(chunks));
        Streams::new(agent.address(), request, chunks)
    };
    let (limit, subject) = (raw(CHUNKS), ours(CHUNKS));
    for streams in [&limit, &subject] {
        streams.run(AT_A_TIME, AT_A_TIME).await?;
    }
    let name = format!("SSE, {STREAMS} streams of {CHUNKS} x 64 B");
    let rate = Row::new(name, "event/s", Aim::AtLeast(EVENTS_AIM));
    let sample = async |it: &Streams| Ok(it.run(STREAMS, AT_A_TIME).await?.rate());
    Ok(vec![
        rate.sampled(options.samples, (&limit, &subject), sample).await?,
        cost(options, "ours", ours, Aim::TimesOther(COST_AIM)).await?,
        cost(options, "raw hyper", raw, Aim::None).await?,
    ])
}

/// Microseconds per chunk of one long stream beside those of as many chunks in short streams, one
/// stream at a time. Both columns are of the same server.
async fn cost(
    options: &Options,
    of: &str,
    streams: impl Fn(usize) -> Streams,
    aim: Aim,
) -> Result<Row> {
    let name = format!("SSE, {of}: 1 stream of {LONG} beside {} of {SHORT}", LONG / SHORT);
    let (long, short) = ((streams(LONG), 1), (streams(SHORT), LONG / SHORT));
    short.0.run(short.1, 1).await?;
    let sample =
        async |(it, count): &(Streams, usize)| Ok(it.run(*count, 1).await?.micros_per_chunk());
    Row::new(name, "us/chunk", aim).sampled(options.samples, (&short, &long), sample).await
}
