//! The limit of SSE: hyper, and events prepared before the first request. One frame per event, as
//! any server sends whose events come one by one.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use tokio::net::TcpListener;

use crate::accept::{self, Failure};
use crate::subjects;

/// The longest stream it has events for.
const MOST: usize = 10_000;

/// The events of every stream: the task, the chunks, the end.
struct Prepared {
    first: Bytes,
    chunks: Vec<Bytes>,
    last: Bytes,
}

/// Serves until the process ends. The path's last part is the number of chunks.
pub(crate) async fn serve(listener: TcpListener) -> Result<(), String> {
    let prepared = Arc::new(Prepared::new());
    accept::serve(listener, move |request| answer(Arc::clone(&prepared), request)).await
}

type Body<S> = Response<StreamBody<S>>;

async fn answer(
    prepared: Arc<Prepared>,
    request: Request<Incoming>,
) -> Result<Body<impl Stream<Item = Result<Frame<Bytes>, Infallible>>>, Failure> {
    let count = request.uri().path().rsplit('/').next().and_then(|count| count.parse().ok());
    let count: usize = count.unwrap_or(0).min(MOST);
    let frames = stream::iter((0..count + 2).map(move |index| {
        let event = match index {
            0 => &prepared.first,
            _ if index > count => &prepared.last,
            _ => &prepared.chunks[index - 1],
        };
        Ok(Frame::data(event.clone()))
    }));
    let mut response = Response::new(StreamBody::new(frames));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
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
}
