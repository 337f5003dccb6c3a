//! Event streams as a response's body.
//!
//! Owns: the heartbeat, and cutting events into chunks of a bounded size: that is what a reader that
//! has stalled holds. Must never know: what an event says.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{
    FutureExt, StreamExt,
    stream::{self, BoxStream, Fuse},
};
use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};

use super::body::Body;
use crate::{
    call::{Event, Events},
    error::Error,
    wire::{parameters, sse},
};

/// How often a silent stream says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How many events that are ready go out as one chunk.
const CHUNK_EVENTS: usize = 128;

/// The response that streams these events, in chunks of at most `most` bytes.
pub(super) fn event_stream(
    events: Events,
    most: usize,
    write: impl Fn(&mut Vec<u8>, &Item) + Send + 'static,
) -> Response<Body> {
    let chunks = Chunks { items: events.0.fuse(), cut: None, most, write };
    let next = |mut chunks: Chunks<_>| async move { Some((chunks.next().await?, chunks)) };
    let mut response = Response::new(Body::Stream(stream::unfold(chunks, next).boxed()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(parameters::EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Or nginx would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// What is written as one event.
type Item = Result<Event, Error>;

struct Chunks<W> {
    items: Fuse<BoxStream<'static, Item>>,
    /// The next event, and how many of its bytes have gone out.
    cut: Option<(Item, usize)>,
    most: usize,
    write: W,
}

impl<W: Fn(&mut Vec<u8>, &Item)> Chunks<W> {
    async fn next(&mut self) -> Option<Bytes> {
        let first = match self.cut.take() {
            Some(cut) => cut,
            None => match tokio::time::timeout(HEARTBEAT, self.items.next()).await {
                Ok(item) => (item?, 0),
                Err(_) => return Some(Bytes::from_static(sse::HEARTBEAT)),
            },
        };
        Some(self.chunk(first))
    }

    /// As many events as are ready and fit, or the next piece of one that does not fit alone. Such an
    /// event is written anew for each of its pieces, so that no more than a piece is held meanwhile.
    fn chunk(&mut self, first: (Item, usize)) -> Bytes {
        let mut out = Vec::with_capacity(1_024.min(self.most));
        let mut next = Some(first);
        for _ in 0..CHUNK_EVENTS {
            // Whoever waits for more asks again.
            let ready = || Some((self.items.next().now_or_never()??, 0));
            let Some((item, gone)) = next.take().or_else(ready) else { break };
            let start = out.len();
            let cursor = item.as_ref().ok().and_then(|event| event.cursor);
            sse::write(&mut out, cursor, |out| (self.write)(out, &item));
            out.drain(start..start + gone);
            if out.len() > self.most {
                let (fits, sent) = match start {
                    0 => (self.most, gone + self.most),
                    start => (start, 0),
                };
                self.cut = Some((item, sent));
                // Without the room that the whole event took.
                return Bytes::copy_from_slice(&out[..fits]);
            }
        }
        Bytes::from(out)
    }
}
