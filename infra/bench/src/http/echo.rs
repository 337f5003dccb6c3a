//! The limit of HTTP: what any JSON server on hyper must do, and nothing else. It reads a body,
//! parses it, writes it back as JSON.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener) -> Result<(), String> {
    loop {
        let accepted = listener.accept().await;
        let (stream, _) = accepted.map_err(|error| format!("cannot accept: {error}"))?;
        stream.set_nodelay(true).map_err(|error| format!("cannot set TCP_NODELAY: {error}"))?;
        tokio::spawn(async move {
            // A client that goes away is none of the server's business.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = match echo(request).await {
        Ok(body) => Response::new(Full::new(Bytes::from(body))),
        Err(reason) => {
            let mut response = Response::new(Full::new(Bytes::from(reason)));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
    };
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

async fn echo(request: Request<Incoming>) -> Result<Vec<u8>, String> {
    let body = request.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    let value: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
    serde_json::to_vec(&value).map_err(|error| error.to_string())
}
