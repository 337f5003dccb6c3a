//! The limit of HTTP: what any JSON server on hyper must do, and nothing else. It reads a body,
//! parses it, writes it back as JSON.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::accept::{self, Failure};

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener) -> Result<(), String> {
    accept::serve(listener, answer).await
}

/// What is no JSON ends the connection.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Failure> {
    let body = request.into_body().collect().await?.to_bytes();
    let value: Value = serde_json::from_slice(&body)?;
    let mut response = Response::new(Full::from(serde_json::to_vec(&value)?));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}
