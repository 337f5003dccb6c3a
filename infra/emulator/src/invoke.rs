//! Calling a function wherever Lambda's way to invoke one is spoken: `cargo lambda watch`, AWS's
//! container emulator, LocalStack.
//!
//! Owns: one HTTP request per invocation, its bounds, and what is no answer. Must never know: what
//! is in an event.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header::HOST};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

/// How often one that is not there, or has no room, is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// How many bytes an event may have: Lambda's 6 MB.
pub const PAYLOAD: usize = 6 << 20;

/// Where a function is called.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `HOST:PORT`.
    address: String,
    path: String,
    /// How long an invocation may take, with the function's build where that is due.
    limit: Duration,
}

/// What a server said.
struct Said {
    status: StatusCode,
    /// The kind of error, when the function and not the server failed: Lambda's header for it.
    error: Option<String>,
    body: Bytes,
}

/// What a function's error looks like where nothing else tells: AWS's container emulator.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionError {
    error_type: String,
    error_message: String,
}

impl Endpoint {
    /// The function of that name at `HOST:PORT`.
    pub fn of(address: &str, function: &str, limit: Duration) -> Self {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        Self { address: address.to_owned(), path, limit }
    }

    /// The function at a URL, `http://HOST:PORT/2015-03-31/functions/NAME/invocations`.
    ///
    /// # Errors
    /// One sentence when it is no such URL. What is behind TLS wants signatures, and has Lambda's
    /// own event source.
    pub fn at(url: &str, limit: Duration) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("`{url}` is no URL: {error}."))?;
        let (Some("http"), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err(format!("`{url}` is no URL that begins with http://."));
        };
        let address = format!("{host}:{}", uri.port_u16().unwrap_or(80));
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { address, path, limit })
    }

    /// Invokes the function and waits for its answer.
    ///
    /// # Errors
    /// In words: the event is too large, the function answers with an error, or not in time. That
    /// it ended is not told here, and `cargo lambda watch` does not start it again before its source
    /// changes; then it is the time that runs out.
    pub(crate) async fn invoke(&self, event: Bytes) -> Result<Bytes, String> {
        if event.len() > PAYLOAD {
            return Err(format!("the event has {} bytes; Lambda takes {PAYLOAD}", event.len()));
        }
        let answered = tokio::time::timeout(self.limit, self.post_until_taken(event)).await;
        let said = answered.map_err(|_| {
            format!(
                "no answer within {:?}; save a source file if the function has ended",
                self.limit
            )
        })?;
        let said = said.map_err(|error| format!("{}: {error}", self.address))?;
        let text = String::from_utf8_lossy(&said.body);
        if let Some(kind) = said.error {
            return Err(format!("{kind} {text}"));
        }
        if !said.status.is_success() {
            return Err(format!("{} {text}", said.status).trim_end().to_owned());
        }
        match serde_json::from_slice(&said.body) {
            Ok(FunctionError { error_type, error_message }) => {
                Err(format!("{error_type}: {error_message}"))
            }
            Err(_) => Ok(said.body),
        }
    }

    /// One that has no room (429) was not asked: that counts as no attempt.
    async fn post_until_taken(
        &self,
        event: Bytes,
    ) -> Result<Said, Box<dyn std::error::Error + Send + Sync>> {
        loop {
            let said = self.post(event.clone()).await?;
            if said.status != StatusCode::TOO_MANY_REQUESTS {
                return Ok(said);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn post(&self, event: Bytes) -> Result<Said, Box<dyn std::error::Error + Send + Sync>> {
        let socket = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::post(&self.path).header(HOST, &self.address);
        let request = request.body(Full::new(event))?;
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        let error = parts.headers.get("x-amz-function-error");
        let error = error.map(|kind| String::from_utf8_lossy(kind.as_bytes()).into_owned());
        Ok(Said { status: parts.status, error, body })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_and_a_name_or_a_url() {
        let limit = Duration::from_secs(1);
        let named = Endpoint::of("127.0.0.1:9000", "a2a-kafka", limit);
        let url = "http://127.0.0.1:9000/2015-03-31/functions/a2a-kafka/invocations";
        let at = Endpoint::at(url, limit).unwrap();
        assert_eq!((&named.address, &named.path), (&at.address, &at.path));
        assert_eq!(Endpoint::at("http://[::1]/f", limit).unwrap().address, "[::1]:80");
        for wrong in ["127.0.0.1:9000", "https://lambda.amazonaws.com/f", "http://", "a b"] {
            let said = Endpoint::at(wrong, limit).unwrap_err();
            assert!(said.contains(wrong) && said.ends_with('.'), "{said}");
        }
    }

    #[tokio::test]
    async fn an_event_over_lambdas_bound_is_never_sent() {
        // Nobody listens there.
        let endpoint = Endpoint::of("127.0.0.1:1", "f", Duration::from_secs(600));
        let said = endpoint.invoke(vec![b' '; PAYLOAD + 1].into()).await.unwrap_err();
        assert_eq!(said, "the event has 6291457 bytes; Lambda takes 6291456");
    }
}
