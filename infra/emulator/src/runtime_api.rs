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
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::AbortHandle,
};

use crate::{process::Process, prompt::Prompt};

/// The content type of a streamed HTTP response: a prelude, a delimiter, the body.
const HTTP_STREAM: &str = "application/vnd.awslambda.http-integration-response";

/// When the process is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freeze {
    /// With the last byte of its answer, as soon as no other invocation is under way.
    #[default]
    WhenAnswered,
    /// Never: to measure, not to test.
    Never,
}

/// An event on its way to the function.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
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

/// How far the function has come before its first invocation.
#[derive(Clone, Debug)]
pub(crate) enum Begun {
    NotYet,
    /// It asked for an event.
    Ready(Instant),
    /// It said that it cannot.
    Refused(Bytes),
}

/// A Runtime API for one process. It ends when dropped.
#[derive(Debug)]
pub(crate) struct RuntimeApi {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    freeze: Freeze,
    process: OnceLock<Arc<Process>>,
    begun: watch::Sender<Begun>,
    events: mpsc::UnboundedSender<Event>,
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<Event>>,
    /// Who waits for the answer to an event.
    open: Mutex<HashMap<String, mpsc::UnboundedSender<Part>>>,
}

impl RuntimeApi {
    /// Begins to listen on a free port of loopback.
    pub(crate) async fn start(freeze: Freeze) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (events, waiting) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            freeze,
            process: OnceLock::new(),
            begun: watch::Sender::new(Begun::NotYet),
            events,
            waiting: tokio::sync::Mutex::new(waiting),
            open: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, shared, accepting })
    }

    /// Says which process it freezes.
    pub(crate) fn serves(&self, process: Arc<Process>) {
        // A second process would be a mistake of the caller's in this crate; the first one stands.
        let _ = self.shared.process.set(process);
    }

    /// How far the function has come.
    pub(crate) fn begun(&self) -> watch::Receiver<Begun> {
        self.shared.begun.subscribe()
    }

    /// Hands an event over, thawing the process for it. The answer comes in parts.
    pub(crate) fn hand(&self, event: Event) -> mpsc::UnboundedReceiver<Part> {
        let (sender, parts) = mpsc::unbounded_channel();
        let mut open = self.shared.open();
        open.insert(event.id.clone(), sender);
        // It cannot fail: the receiver lives in the same value.
        let _ = self.shared.events.send(event);
        if let Some(process) = self.shared.process.get() {
            process.thaw();
        }
        parts
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Out of file descriptors, for example: a pause, not a spin.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let _ = socket.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(shared.serve(request).await) }
        });
        tokio::spawn(async move {
            // A connection that breaks is noticed where something was expected from it.
            let _ =
                http1::Builder::new().serve_connection(TokioIo::new(Prompt(socket)), service).await;
        });
    }
}

impl Shared {
    async fn serve(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let Some(path) = path.strip_prefix("/2018-06-01/runtime/") else {
            return said(StatusCode::NOT_FOUND, "no such version");
        };
        let steps: Vec<&str> = path.split('/').collect();
        match (request.method(), &steps[..]) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => self.response(id, request).await,
            (&Method::POST, ["invocation", id, "error"]) => self.error(id, request).await,
            (&Method::POST, ["init", "error"]) => {
                let body = request.into_body().collect().await;
                let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                self.begun.send_replace(Begun::Refused(body));
                taken()
            }
            _ => said(StatusCode::NOT_FOUND, "no such endpoint"),
        }
    }

    /// Waits for an event, however long it takes: a runtime that has nothing to do hangs here.
    async fn next(&self) -> Response<Full<Bytes>> {
        let now = Instant::now();
        self.begun.send_if_modified(|begun| {
            let first = matches!(begun, Begun::NotYet);
            if first {
                *begun = Begun::Ready(now);
            }
            first
        });
        let Some(event) = self.waiting.lock().await.recv().await else {
            return said(StatusCode::GONE, "there is no next event");
        };
        let mut response = Response::new(Full::new(event.body));
        *response.headers_mut() = event.headers;
        response
    }

    async fn response(&self, id: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let Some(sender) = self.open().get(id).cloned() else { return stale() };
        let is = |name: &str, value: &str| {
            request.headers().get(name).is_some_and(|found| found.as_bytes() == value.as_bytes())
        };
        let streamed = is("lambda-runtime-function-response-mode", "streaming");
        let http = is(CONTENT_TYPE.as_str(), HTTP_STREAM);
        // Nobody may be listening any more, here as below; the function is heard to its end all
        // the same.
        let _ = sender.send(Part::Begin { streamed, http });
        let mut body = request.into_body();
        let last = loop {
            let frame = match body.frame().await {
                None => break Part::End(Instant::now()),
                Some(Err(error)) => break Part::Broken(format!("it broke off: {error}")),
                Some(Ok(frame)) => frame,
            };
            match frame.into_data() {
                Ok(data) => {
                    let _ = sender.send(Part::Data(data, Instant::now()));
                }
                Err(frame) => {
                    if let Some(error) = frame.trailers_ref().and_then(error_in_trailers) {
                        break error;
                    }
                }
            }
        };
        self.done(id, &sender, last).await;
        taken()
    }

    async fn error(&self, id: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let Some(sender) = self.open().get(id).cloned() else { return stale() };
        let kind = header(request.headers(), "lambda-runtime-function-error-type");
        let last = match request.into_body().collect().await {
            Ok(body) => Part::Error { kind, body: body.to_bytes() },
            Err(error) => Part::Broken(format!("its error broke off: {error}")),
        };
        self.done(id, &sender, last).await;
        taken()
    }

    /// The answer is out: the process stops before anyone reads it.
    async fn done(&self, id: &str, sender: &mpsc::UnboundedSender<Part>, last: Part) {
        let idle = {
            let mut open = self.open();
            open.remove(id);
            open.is_empty()
        };
        if idle
            && self.freeze == Freeze::WhenAnswered
            && let Some(process) = self.process.get()
        {
            process.freeze().await;
            // Another event may have been handed over while the signal was sent.
            if !self.open().is_empty() {
                process.thaw();
            }
        }
        let _ = sender.send(last);
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, mpsc::UnboundedSender<Part>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error after some of the body comes in the trailers.
fn error_in_trailers(trailers: &HeaderMap) -> Option<Part> {
    const KIND: &str = "lambda-runtime-function-error-type";
    trailers.get(KIND)?;
    let body = header(trailers, "lambda-runtime-function-error-body").into();
    Some(Part::Error { kind: header(trailers, KIND), body })
}

fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).map(http::HeaderValue::as_bytes).unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

fn taken() -> Response<Full<Bytes>> {
    said(StatusCode::ACCEPTED, r#"{"status":"OK"}"#)
}

/// An answer to an event that is not under way: answered already, or given up.
fn stale() -> Response<Full<Bytes>> {
    said(StatusCode::BAD_REQUEST, "no such invocation is under way")
}

fn said(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
