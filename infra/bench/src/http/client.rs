//! A keep-alive connection for what is read rather than counted: first answers, and streams.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request as HttpRequest, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::requests::Request;

/// A connection.
pub(crate) struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// Connects without Nagle's delay.
    pub(crate) async fn open(address: &str) -> Result<Self, String> {
        let error = |error| format!("cannot connect to {address}: {error}");
        let stream = TcpStream::connect(address).await.map_err(error)?;
        stream.set_nodelay(true).map_err(error)?;
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shaken.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Sends a request; anything but 200 is an error that shows the answer.
    pub(crate) async fn ask(&mut self, request: &Request) -> Result<Incoming, String> {
        let error = |error: hyper::Error| format!("the request was not answered: {error}");
        let request = HttpRequest::post(&*request.path)
            .header(HOST, "127.0.0.1")
            .header(CONTENT_TYPE, "application/json")
            .header("a2a-version", "1.0")
            .body(Full::from(request.body.clone()))
            .map_err(|error| error.to_string())?;
        self.0.ready().await.map_err(error)?;
        let (head, body) = self.0.send_request(request).await.map_err(error)?.into_parts();
        if head.status == StatusCode::OK {
            return Ok(body);
        }
        let body = body.collect().await.map_err(error)?.to_bytes();
        Err(format!("answered {}: {}", head.status, String::from_utf8_lossy(&body)))
    }
}
