//! Sockets: hyper in front of the core's HTTP endpoint.
//!
//! Owns: connections, reading a body within its limit, `/health`. Must never know: the protocol.

use std::{convert::Infallible, time::Duration};

use a2a_core::{
    Caller, Error, ErrorKind,
    http::{Body, HttpEndpoint},
};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::health::Health;

/// How long a request's body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
/// How long answers that are ready may take to be read, at the end.
const GRACE: Duration = Duration::from_secs(5);

/// Serves connections until `stop`, then lets the calls in flight finish. A client that does not
/// read its answer, or does not finish its request, is not waited for.
pub async fn serve(
    listener: TcpListener,
    endpoint: HttpEndpoint,
    health: Health,
    stop: CancellationToken,
) {
    let connections = GracefulShutdown::new();
    let calls = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                // Out of file descriptors, for example: others must finish first.
                tracing::error!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Answers are written whole; waiting to fill a packet only delays them.
        let _ = socket.set_nodelay(true);
        let (endpoint, health, calls) = (endpoint.clone(), health.clone(), calls.clone());
        let service = service_fn(move |request| {
            answer(endpoint.clone(), health.clone(), calls.clone(), request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(socket), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }
    drop(listener);
    let work = async {
        calls.close();
        calls.wait().await;
        endpoint.settled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = connections.shutdown() => {}
        () = work => tracing::warn!("clients that did not read their answers were left"),
    }
}

async fn answer(
    endpoint: HttpEndpoint,
    health: Health,
    calls: TaskTracker,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    if request.uri().path() == "/health" && request.method() == Method::GET {
        return Ok(Response::new(Body::full(Bytes::from(health.report().to_string()))));
    }
    let (parts, body) = request.into_parts();
    let limit = endpoint.body_limit();
    let body = tokio::time::timeout(BODY_TIME, Limited::new(body, limit).collect()).await;
    let response = match body.unwrap_or_else(|_| Err("it took too long".into())) {
        Ok(body) => {
            let _call = calls.token();
            let request = Request::from_parts(parts, body.to_bytes());
            endpoint.serve(Caller::default(), request).await
        }
        Err(error) if error.is::<LengthLimitError>() => {
            let sentence = format!("The request's body is over the limit of {limit} bytes.");
            endpoint.refuse(parts.uri.path(), Error::new(ErrorKind::TooLarge, sentence))
        }
        Err(error) => {
            let error = Error::new(ErrorKind::InvalidRequest, "The request's body did not arrive.")
                .with_source(error);
            endpoint.refuse(parts.uri.path(), error)
        }
    };
    Ok(response)
}
