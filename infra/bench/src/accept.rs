//! The accept loop of both limits on hyper. Must never know: what is answered.

use std::error::Error;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What ends a connection.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Answers the requests of every connection until the process ends.
pub(crate) async fn serve<F, B>(
    listener: TcpListener,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> Result<(), String>
where
    F: Future<Output = Result<Response<B>, Failure>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Failure>> + Send + 'static,
{
    loop {
        let accepted = listener.accept().await;
        let (stream, _) = accepted.map_err(|error| format!("cannot accept: {error}"))?;
        stream.set_nodelay(true).map_err(|error| format!("cannot set TCP_NODELAY: {error}"))?;
        let connection = http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service_fn(answer.clone()));
        // A client that disconnects is none of the server's business.
        tokio::spawn(async { drop(connection.await) });
    }
}
