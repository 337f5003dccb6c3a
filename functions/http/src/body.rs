//! What goes out, and how long that keeps the invocation open.
//!
//! Owns: the end of an invocation, which is the end of its body: then Lambda stops the process.
//! Must never know: what the body says.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use a2a_core::{
    http::{Body, HttpEndpoint},
    wire::sse,
};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future, stream};
use http::{HeaderValue, Response, header::CONTENT_LENGTH};
use http_body_util::{BodyExt, Full};

/// How long before the deadline a stream ends, so that its client can come back for the rest. Less
/// than the handler's margin: what the invocation itself runs has its outcome by then.
const MARGIN: Duration = Duration::from_secs(1);

/// What an empty body is sent as: a streamed answer without a byte may lose its headers on the way,
/// or never end.
const NOTHING: Bytes = Bytes::from_static(b"\n");

/// The same response, whose body ends once every run of the invocation has, and in time.
pub(crate) fn keep_open(
    response: Response<Body>,
    endpoint: HttpEndpoint,
    deadline: Option<Instant>,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let (first, chunks) = match body {
        Body::Full(bytes) => {
            let bytes = bytes.filter(|bytes| !bytes.is_empty()).unwrap_or(NOTHING);
            if endpoint.is_settled() {
                return Response::from_parts(parts, Body::full(bytes));
            }
            // The client has its answer with this many bytes, and need not wait for the runs.
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            (Some(bytes), stream::empty().boxed())
        }
        Body::Stream(chunks) => (None, chunks),
    };
    let ended = match deadline {
        Some(deadline) => {
            let end = deadline.checked_sub(MARGIN).unwrap_or(deadline);
            tokio::time::sleep_until(end.into()).left_future()
        }
        None => future::pending().right_future(),
    };
    let settled = stream::once(async move { endpoint.settled().await });
    let rest = settled.filter_map(|()| future::ready(None::<Bytes>));
    let silent = Arc::new(AtomicBool::new(first.is_none()));
    let heard = Arc::clone(&silent);
    let chunks = chunks.chain(rest).take_until(ended);
    let chunks = chunks.inspect(move |_| heard.store(false, Ordering::Relaxed));
    // A comment, where there was no time for an event, or none came.
    let last = stream::once(async move { silent.load(Ordering::Relaxed) });
    let last =
        last.filter_map(|silent| future::ready(silent.then(|| Bytes::from_static(sse::HEARTBEAT))));
    // What is there goes out, however late it is.
    let chunks = stream::iter(first).chain(chunks).chain(last);
    Response::from_parts(parts, Body::Stream(chunks.boxed()))
}

/// The same response, once all of its body is there.
pub(crate) async fn whole(
    response: Response<Body>,
) -> Result<Response<Full<Bytes>>, lambda_http::Error> {
    let (parts, body) = response.into_parts();
    Ok(Response::from_parts(parts, Full::new(body.collect().await?.to_bytes())))
}
