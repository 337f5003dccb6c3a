//! The limit of HTTP and of SSE: what any server on hyper must do, and nothing else. A JSON body is
//! parsed and written back; a stream's events are prepared before the first request and sent one
//! frame each, as any server sends whose events come one by one.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::subjects;

/// The longest stream it has events for.
const MOST: usize = 10_000;

/// What ends a connection.
type Failure = Box<dyn Error + Send + Sync>;

/// The events of every stream: the task, the chunks, the end.
struct Prepared {
    first: Bytes,
    chunks: Vec<Bytes>,
    last: Bytes,
}

/// Answers the requests of every connection until the process ends.
pub(crate) async fn serve(listener: TcpListener) -> Result<()> {
    let prepared = Arc::new(Prepared::new());
    loop {
        let (stream, _) = listener.accept().await.context("cannot accept")?;
        stream.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        let prepared = Arc::clone(&prepared);
        let answer = service_fn(move |request| answer(Arc::clone(&prepared), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
        // A client that disconnects is none of the server's business.
        tokio::spawn(async { drop(connection.await) });
    }
}

/// A path `/stream/N` asks for a stream of so many chunks, any other for its body. What is no JSON
/// ends the connection.
async fn answer(
    prepared: Arc<Prepared>,
    request: Request<Incoming>,
) -> Result<Response<impl Body<Data = Bytes, Error = Failure>>, Failure> {
    let chunks = request.uri().path().strip_prefix("/stream/").map(str::parse);
    let (kind, body) = match chunks {
        Some(chunks) => {
            let events = prepared.events(chunks?);
            ("text/event-stream", Either::Right(StreamBody::new(events)))
        }
        None => {
            let value: Value = serde_json::from_slice(&request.collect().await?.to_bytes())?;
            ("application/json", Either::Left(Full::from(serde_json::to_vec(&value)?)))
        }
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

impl Prepared {
    fn new() -> Self {
        let ids = r#""taskId":"0b6e6a0a-4d1c-4f0e-8a57-6b1f0d8a2c11""#.to_owned()
            + r#","contextId":"3f1d2c9e-7b64-4e0b-9a55-1c2d3e4f5a6b""#;
        let status = |id, state| {
            let status = format!("{{{ids},\"status\":{{\"state\":\"{state}\"}}}}");
            format!("id: {id}\ndata: {{\"statusUpdate\":{status}}}\n\n")
        };
        let chunk = |number| {
            let (id, text) = (number + 1, subjects::chunk(number));
            Bytes::from(format!(
                "id: {id}\ndata: {{\"artifactUpdate\":{{{ids},\"artifact\":{{\"artifactId\":\"1\",\
                 \"parts\":[{{\"text\":\"{text}\"}}]}},\"append\":true}}}}\n\n"
            ))
        };
        Self {
            first: status(0, "TASK_STATE_WORKING").into(),
            chunks: (0..MOST).map(chunk).collect(),
            last: status(MOST + 1, "TASK_STATE_COMPLETED").into(),
        }
    }

    fn events(
        self: Arc<Self>,
        chunks: usize,
    ) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
        let chunks = chunks.min(MOST);
        stream::iter((0..chunks + 2).map(move |index| {
            let event = match index {
                0 => &self.first,
                _ if index > chunks => &self.last,
                _ => &self.chunks[index - 1],
            };
            Ok(Frame::data(event.clone()))
        }))
    }
}
