//! The Runtime API: where a function asks for events and leaves its answers.
//!
//! Owns: the endpoints of version 2018-06-01, and freezing the process when it has answered. Must
//! never know: what is in an event or an answer.
//!
//! Lambda freezes an environment once its runtime has answered and asks for the next event. Here
//! the process stops a moment earlier, with the last byte of its answer and before it hears that
//! this was taken. What a function leaves for after its answer is so certain to be left undone.

use std::{
    collections::HashMap,
    convert::Infallible,
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt::set_tcp_quickack;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::{io::InspectReader, task::AbortOnDropHandle};
use uuid::Uuid;

use crate::process::Process;

/// The content type of a streamed HTTP response: a prelude, a delimiter, the body.
const HTTP_STREAM: &str = "application/vnd.awslambda.http-integration-response";

/// The header, or the trailer, that names the kind of an error.
const ERROR_KIND: &str = "lambda-runtime-function-error-type";

/// When the process is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freeze {
    /// With the last byte of its answer, as soon as no other invocation is under way.
    #[default]
    WhenAnswered,
    /// Never: to measure, not to test.
    Never,
}

/// A piece of an answer.
#[derive(Debug)]
pub(crate) enum Part {
    /// Its beginning.
    Begin { streamed: bool, http: bool },
    /// Some of its body.
    Data(Bytes, Instant),
    /// The whole body has come; when Lambda would have frozen the process, it is.
    End(Instant),
    /// An error instead, or after some of the body.
    Error { kind: String, body: Bytes },
    /// The connection broke, or what came is none of it.
    Broken(String),
}

/// How a function begins: when it asked for an event, or why it says that it cannot.
pub(crate) type Begun = Result<Instant, Bytes>;

/// A Runtime API for one process. It ends when dropped.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    shared: Arc<Shared>,
    _accepting: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    /// The function's name.
    name: String,
    freeze: Freeze,
    process: Arc<Process>,
    /// Has room for what is said first.
    begun: mpsc::Sender<Begun>,
    events: mpsc::UnboundedSender<Response<Full<Bytes>>>,
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<Response<Full<Bytes>>>>,
    /// Who waits for the answer to an event, by the request's id.
    open: Mutex<HashMap<String, mpsc::UnboundedSender<Part>>>,
}

impl RuntimeApi {
    /// Serves the process of the function of that name, and tells how it begins.
    pub(crate) fn serve(
        listener: TcpListener,
        name: String,
        freeze: Freeze,
        process: Arc<Process>,
    ) -> (Self, mpsc::Receiver<Begun>) {
        let ((begun, beginning), (events, waiting)) = (mpsc::channel(1), mpsc::unbounded_channel());
        let (waiting, open) = (waiting.into(), Mutex::default());
        let shared = Arc::new(Shared { name, freeze, process, begun, events, waiting, open });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        (Self { shared, _accepting: AbortOnDropHandle::new(accepting) }, beginning)
    }

    /// Hands an event over, thawing the process for it. The answer comes in parts.
    pub(crate) fn hand(&self, body: Bytes, deadline: SystemTime) -> mpsc::UnboundedReceiver<Part> {
        let (id, name) = (Uuid::new_v4(), &self.shared.name);
        let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
        let arn = format!("arn:aws:lambda:us-east-1:123456789012:function:{name}");
        let trace = format!("Root=1-5759e988-{};Sampled=0", &id.simple().to_string()[..24]);
        let event = Response::builder()
            .header(CONTENT_TYPE, "application/json")
            .header("lambda-runtime-aws-request-id", id.to_string())
            .header("lambda-runtime-deadline-ms", deadline.as_millis().to_string())
            .header("lambda-runtime-invoked-function-arn", arn)
            .header("lambda-runtime-trace-id", trace)
            .body(Full::new(body));
        let unnamed = |_| said(StatusCode::INTERNAL_SERVER_ERROR, "no header holds its name");
        let (sender, parts) = mpsc::unbounded_channel();
        let mut open = self.shared.open();
        open.insert(id.to_string(), sender);
        // It cannot fail: the receiver lives in the same value.
        let _ = self.shared.events.send(event.unwrap_or_else(unnamed));
        self.shared.process.thaw();
        parts
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((socket, _)) = listener.accept().await {
        let _ = socket.set_nodelay(true);
        let Ok(same) = socket.as_fd().try_clone_to_owned() else { continue };
        // lambda_runtime's client (1.5) writes a streamed answer in several small pieces and leaves
        // Nagle's algorithm on, so the second piece waits for the first one's acknowledgement,
        // which Linux holds back for 40 ms when it likes. A measurement is to show the function and
        // not that timer, so what is read is acknowledged at once; the kernel forgets it again by
        // itself. Whether Lambda's own Runtime API does is not known here.
        let socket = InspectReader::new(socket, move |_: &[u8]| {
            let _ = set_tcp_quickack(&same, true);
        });
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(shared.serve(request).await) }
        });
        // A connection that breaks is noticed where something was expected from it.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}

impl Shared {
    async fn serve(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let path = path.strip_prefix("/2018-06-01/runtime/").unwrap_or_default();
        let steps: Vec<&str> = path.split('/').collect();
        match (request.method().as_str(), &steps[..]) {
            ("GET", ["invocation", "next"]) => return self.next().await,
            ("POST", ["invocation", id, what @ ("response" | "error")]) => {
                let Some(sender) = self.open().get(*id).cloned() else {
                    // Answered already, or given up.
                    return said(StatusCode::BAD_REQUEST, "no such invocation is under way");
                };
                let last = match *what {
                    "response" => response(request, &sender).await,
                    _ => error(request).await,
                };
                self.done(id, &sender, last).await;
            }
            ("POST", ["init", "error"]) => {
                let body = request.into_body().collect().await;
                let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                let _ = self.begun.try_send(Err(body));
            }
            _ => return said(StatusCode::NOT_FOUND, "no such endpoint"),
        }
        said(StatusCode::ACCEPTED, r#"{"status":"OK"}"#)
    }

    /// Waits for an event, however long it takes: a runtime that has nothing to do hangs here.
    async fn next(&self) -> Response<Full<Bytes>> {
        let _ = self.begun.try_send(Ok(Instant::now()));
        let event = self.waiting.lock().await.recv().await;
        event.unwrap_or_else(|| said(StatusCode::GONE, "there is no next event"))
    }

    /// The answer is out: the process stops before anyone reads it.
    async fn done(&self, id: &str, sender: &mpsc::UnboundedSender<Part>, last: Part) {
        let idle = {
            let mut open = self.open();
            open.remove(id);
            open.is_empty()
        };
        if idle && self.freeze == Freeze::WhenAnswered {
            self.process.freeze().await;
            // Another event may have been handed over while the signal was sent.
            if !self.open().is_empty() {
                self.process.thaw();
            }
        }
        let _ = sender.send(last);
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, mpsc::UnboundedSender<Part>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes an answer on, but for its end. Nobody may be listening any more; the function is heard to
/// its end all the same.
async fn response(request: Request<Incoming>, sender: &mpsc::UnboundedSender<Part>) -> Part {
    let mode = header(request.headers(), "lambda-runtime-function-response-mode");
    let http = header(request.headers(), CONTENT_TYPE.as_str()) == HTTP_STREAM;
    let _ = sender.send(Part::Begin { streamed: mode == "streaming", http });
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        match frame.map(hyper::body::Frame::into_data) {
            Err(error) => return Part::Broken(format!("it broke off: {error}")),
            Ok(Ok(data)) => {
                let _ = sender.send(Part::Data(data, Instant::now()));
            }
            // An error after some of the body comes in the trailers.
            Ok(Err(frame)) => match frame.into_trailers() {
                Ok(trailers) if trailers.contains_key(ERROR_KIND) => {
                    let body = header(&trailers, "lambda-runtime-function-error-body").into();
                    return Part::Error { kind: header(&trailers, ERROR_KIND), body };
                }
                _ => {}
            },
        }
    }
    Part::End(Instant::now())
}

async fn error(request: Request<Incoming>) -> Part {
    let kind = header(request.headers(), ERROR_KIND);
    match request.into_body().collect().await {
        Ok(body) => Part::Error { kind, body: body.to_bytes() },
        Err(error) => Part::Broken(format!("its error broke off: {error}")),
    }
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).map(http::HeaderValue::as_bytes).unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

fn said(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
