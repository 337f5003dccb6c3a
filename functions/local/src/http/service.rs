//! One request.
//!
//! Owns: `/health`, the order of head, body and answer, and the bounds of a body that arrives. Must
//! never know: sockets, the protocol.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use a2a_core::{
    Caller, Error, ErrorKind, Limits,
    http::{Body, HttpEndpoint},
};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderValue, Method, Request, Response, Version,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST},
    request::Parts,
};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio_util::task::TaskTracker;

use super::{
    memory::{Held, Memory},
    pulse::{InFlight, Pulse},
};
use crate::health::Health;

/// What serves requests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) endpoint: HttpEndpoint,
    pub(super) health: Health,
    pub(super) calls: TaskTracker,
    pub(super) memory: Memory,
    pub(super) limits: Arc<Limits>,
}

impl Service {
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        pulse: Arc<Pulse>,
    ) -> Response<Answer> {
        let in_flight = pulse.request();
        let is_multiplexed = request.version() == Version::HTTP_2;
        let (parts, body) = request.into_parts();
        let mut response = self.response(parts, body).await;
        if is_multiplexed {
            response.headers_mut().remove(CONNECTION);
        }
        response.map(|body| Answer { body, is_multiplexed, _in_flight: in_flight })
    }

    async fn response(&self, parts: Parts, body: Incoming) -> Response<Body> {
        let path = parts.uri.path().to_owned();
        if let Err(error) = names_host(&parts) {
            return closed(self.endpoint.malformed(&error));
        }
        if path == "/health" && matches!(parts.method, Method::GET | Method::HEAD) {
            return self.report(&parts.method);
        }
        let mut held = self.memory.request();
        let length =
            parts.headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
        // Those without a body are no burden, and may be about one that is.
        let admitted = match self.endpoint.admit(Caller::default(), parts) {
            Ok(admitted) => admitted,
            Err(refused) => return unread(*refused, &body),
        };
        if !held.would_fit(length.unwrap_or_default()) {
            return unread(self.endpoint.refuse(&path, busy()), &body);
        }
        let arriving = self.arrived(body, length.unwrap_or_default(), &mut held);
        let body = tokio::time::timeout(self.limits.body_time, arriving).await;
        let late = || Error::new(ErrorKind::InvalidRequest, "The request's body did not arrive.");
        match body.unwrap_or_else(|_| Err(late())) {
            Ok(body) => {
                let _call = self.calls.token();
                self.endpoint.serve_admitted(admitted, body).await
            }
            Err(error) => closed(self.endpoint.refuse(&path, error)),
        }
    }

    fn report(&self, method: &Method) -> Response<Body> {
        let report = self.health.report().to_string();
        let length = report.len();
        let body = if *method == Method::HEAD { Body::Full(None) } else { Body::full(report) };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, length.into());
        response
    }

    /// The body, within its own bound and that of all.
    async fn arrived(
        &self,
        mut body: Incoming,
        length: usize,
        held: &mut Held,
    ) -> Result<Bytes, Error> {
        let mut whole: Option<Bytes> = None;
        let mut parts = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                let sentence = "The request's body did not arrive.";
                Error::new(ErrorKind::InvalidRequest, sentence).with_source(error)
            })?;
            let Ok(data) = frame.into_data() else { continue };
            if parts.len() + whole.as_ref().map_or(0, Bytes::len) + data.len()
                > self.endpoint.body_limit()
            {
                return Err(self.endpoint.too_large());
            }
            if !held.grow(data.len()) {
                return Err(busy());
            }
            // Nearly every body is one frame, which need not be copied.
            match whole.take() {
                None if parts.is_empty() => whole = Some(data),
                first => {
                    // As much as was announced, a doubling at a time: what is not sent costs nothing.
                    let known = length.min(2 * (parts.len() + data.len()));
                    parts.reserve(known.saturating_sub(parts.len()));
                    parts.extend_from_slice(&first.unwrap_or_default());
                    parts.extend_from_slice(&data);
                }
            }
        }
        Ok(whole.unwrap_or_else(|| parts.freeze()))
    }
}

fn busy() -> Error {
    let sentence = "The server holds as many bytes of requests as it may. Try again later.";
    Error::new(ErrorKind::Unavailable, sentence)
}

/// RFC 9112, section 3.2: a request of HTTP/1.1 names one host.
fn names_host(parts: &Parts) -> Result<(), Error> {
    let hosts = parts.headers.get_all(HOST).iter().count();
    let needed = usize::from(parts.version == Version::HTTP_11);
    if hosts > 1 || hosts < needed {
        let sentence = "A request names its host once, in the header Host.";
        return Err(Error::new(ErrorKind::InvalidRequest, sentence));
    }
    Ok(())
}

/// An answer before the body was read, which nobody waits for: the connection ends with it.
fn unread(response: Response<Body>, body: &Incoming) -> Response<Body> {
    if body.is_end_stream() { response } else { closed(response) }
}

fn closed(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// How much of an answer goes out at once over HTTP/2, whose readers may stop after any of it.
const PIECE: usize = 64 << 10;

/// The body of an answer, whose request is in flight until it is sent.
pub(super) struct Answer {
    body: Body,
    is_multiplexed: bool,
    _in_flight: InFlight,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        if let (true, Body::Full(Some(bytes))) = (self.is_multiplexed, &mut self.body)
            && bytes.len() > PIECE
        {
            return Poll::Ready(Some(Ok(hyper::body::Frame::data(bytes.split_to(PIECE)))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}
