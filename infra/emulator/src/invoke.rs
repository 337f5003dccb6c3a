//! Calling a function as `cargo lambda watch` serves it.
//!
//! Owns: one HTTP request per invocation and its bound. Must never know: what is in an event.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header::HOST};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How often a server that is not there is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// Where a function is called.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Where `cargo lambda watch` listens, `HOST:PORT`.
    pub(crate) address: String,
    /// The function's name.
    pub(crate) function: String,
    /// How long an invocation may take, with the function's build where that is due.
    pub(crate) limit: Duration,
}

impl Endpoint {
    /// Invokes the function and waits for its answer.
    ///
    /// # Errors
    /// In words: the function answers with an error, or not in time. That it ended is not told
    /// here, and `cargo lambda watch` does not start it again before its source changes; then it is
    /// the time that runs out.
    pub(crate) async fn invoke(&self, event: Vec<u8>) -> Result<Bytes, String> {
        let answered = tokio::time::timeout(self.limit, self.post(event)).await;
        let answered = answered.map_err(|_| {
            format!(
                "no answer within {:?}; save a source file if the function has ended",
                self.limit
            )
        })?;
        let (status, body) = answered.map_err(|error| format!("{}: {error}", self.address))?;
        if status.is_success() {
            return Ok(body);
        }
        Err(format!("{status} {}", String::from_utf8_lossy(&body)).trim_end().to_owned())
    }

    async fn post(
        &self,
        event: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let socket = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        let connection = tokio::spawn(connection);
        let path = format!("/2015-03-31/functions/{}/invocations", self.function);
        let request = Request::post(path).header(HOST, &self.address);
        let request = request.body(Full::new(Bytes::from(event)))?;
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok((parts.status, body))
    }

    /// Where nobody listens there was no invocation, and none may be counted as failed: it is
    /// waited for.
    async fn connect(&self) -> io::Result<TcpStream> {
        loop {
            match TcpStream::connect(&self.address).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    tokio::time::sleep(AGAIN).await;
                }
                connected => return connected,
            }
        }
    }
}
