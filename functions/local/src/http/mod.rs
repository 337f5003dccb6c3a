//! Sockets: hyper in front of the core's HTTP endpoint, over HTTP/1.1 and, by prior knowledge, HTTP/2.
//!
//! Owns: accepting connections, how many, and how they end. Must never know: the protocol.
//!
//! | module | owns |
//! |---|---|
//! | `pulse` | what a connection is doing, since when, and when that is too long |
//! | `socket` | the bytes of a connection: they are seen by its pulse |
//! | `service` | one request: its head, its body within the bounds, its answer |
//! | `memory` | the bytes of requests in flight in all |

mod memory;
mod pulse;
mod service;
mod socket;

use std::{sync::Arc, time::Duration};

use a2a_core::{Limits, http::HttpEndpoint};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::health::Health;
use memory::Memory;
use pulse::{Connections, Pulse};
use service::Service;
use socket::Socket;

/// How long answers that are ready may take to be read, at the end.
const GRACE: Duration = Duration::from_secs(5);
/// How many requests one HTTP/2 connection may have in flight.
const STREAMS: u32 = 64;

/// Serves connections until `stop`, then lets the calls in flight finish. A client that does not
/// read its answer, or does not finish its request, is not waited for.
pub async fn serve(
    listener: TcpListener,
    endpoint: HttpEndpoint,
    health: Health,
    stop: CancellationToken,
) {
    let limits = Arc::new(endpoint.limits().clone());
    let service = Service {
        memory: Memory::new(limits.bytes_in_flight),
        calls: TaskTracker::new(),
        endpoint,
        health,
        limits: Arc::clone(&limits),
    };
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let descriptors = descriptors.and_then(|it| usize::try_from(it).ok()).unwrap_or(usize::MAX);
    let connections = Connections::new(limits.connections.min(descriptors / 2));
    let tasks = TaskTracker::new();
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
                connections.close_oldest();
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // One that finds no room is closed: all others have a request in flight.
        let Some(pulse) = connections.join() else { continue };
        tasks.spawn(connection(socket, service.clone(), pulse, Arc::clone(&limits), stop.clone()));
    }
    drop(listener);
    tasks.close();
    let work = async {
        service.calls.close();
        service.calls.wait().await;
        service.endpoint.settled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = tasks.wait() => {}
        () = work => tracing::warn!("clients that did not read their answers were left"),
    }
}

/// Serves one connection until it ends, or must.
async fn connection(
    socket: TcpStream,
    service: Service,
    pulse: Arc<Pulse>,
    limits: Arc<Limits>,
    stop: CancellationToken,
) {
    // Answers are written whole; waiting to fill a packet only delays them.
    let _ = socket.set_nodelay(true);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Hyper's own time for a head begins with the connection's idleness; the pulse tells them apart.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    let http2 = &mut builder.http2();
    http2.timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
    http2.keep_alive_interval(limits.connection_idle).keep_alive_timeout(limits.read_stall);
    let answer = {
        let pulse = Arc::clone(&pulse);
        hyper::service::service_fn(move |request| {
            let (service, pulse) = (service.clone(), Arc::clone(&pulse));
            async move { Ok::<_, std::convert::Infallible>(service.answer(request, pulse).await) }
        })
    };
    let io = TokioIo::new(Socket::new(socket, Arc::clone(&pulse)));
    let served = builder.serve_connection(io, answer);
    let mut served = std::pin::pin!(served);
    let mut closing = false;
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection broke");
                }
                break;
            }
            // A request that has begun to arrive is still answered, and the connection ends then.
            () = stop.cancelled(), if !closing => {
                closing = true;
                served.as_mut().graceful_shutdown();
            }
            end = pulse.overdue(&limits, closing) => {
                if closing || !end.is_idle() {
                    tracing::debug!(?end, "a connection was cut");
                    break;
                }
                closing = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

#[cfg(test)]
mod tests;
