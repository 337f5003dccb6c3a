//! Calling a function wherever Lambda's way to invoke one is spoken: `cargo lambda watch`, AWS's
//! container emulator, LocalStack.
//!
//! Owns: one HTTP request per invocation, its bounds, and what is no answer. Must never know: what
//! is in an event.

use std::{error::Error, io, iter, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;

/// How long until one that is unavailable, or at its limit, is asked again.
const RETRY: Duration = Duration::from_millis(500);

/// How many bytes an event may have: Lambda's 6 MB.
pub const PAYLOAD: usize = 6 << 20;

/// Where a function is called.
#[derive(Clone, Debug)]
pub struct Endpoint {
    url: Uri,
    /// How long an invocation may take, with the function's build where that is due.
    limit: Duration,
    client: Client<HttpConnector, Full<Bytes>>,
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
    ///
    /// # Errors
    /// As [`Endpoint::at`].
    pub fn of(address: &str, function: &str, limit: Duration) -> Result<Self, String> {
        Self::at(&format!("http://{address}/2015-03-31/functions/{function}/invocations"), limit)
    }

    /// The function at a URL, `http://HOST:PORT/2015-03-31/functions/NAME/invocations`.
    ///
    /// # Errors
    /// One sentence when it is no such URL. What is behind TLS wants signatures, and has Lambda's
    /// own event source.
    pub fn at(url: &str, limit: Duration) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("`{url}` is no URL: {error}."))?;
        if uri.scheme_str() != Some("http") {
            return Err(format!("`{url}` is no URL that begins with http://."));
        }
        // An invocation has a connection of its own: one that is kept may have died meanwhile.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Ok(Self { url: uri, limit, client })
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
        let limit = self.limit;
        let answered = tokio::time::timeout(limit, self.post(event)).await.map_err(|_| {
            format!("no answer within {limit:?}; save a source file if the function has ended")
        })?;
        let answer = answered.map_err(|error| {
            let cause = causes(&*error).last().map(ToString::to_string);
            format!("{}: {}", self.url, cause.unwrap_or_default())
        })?;
        let (status, text) = (answer.status(), String::from_utf8_lossy(answer.body()));
        // The kind of error, when the function and not the server failed: Lambda's header for it.
        if let Some(kind) = answer.headers().get("x-amz-function-error") {
            return Err(format!("{} {text}", String::from_utf8_lossy(kind.as_bytes())));
        }
        if !status.is_success() {
            return Err(format!("{status} {text}").trim_end().to_owned());
        }
        match serde_json::from_str(&text) {
            Ok(FunctionError { error_type, error_message }) => {
                Err(format!("{error_type}: {error_message}"))
            }
            Err(_) => Ok(answer.into_body()),
        }
    }

    /// Where nobody listens, or one is at its limit (429), there was no invocation, and none may be
    /// counted as an attempt: it is waited for.
    async fn post(&self, event: Bytes) -> Result<Response<Bytes>, Box<dyn Error + Send + Sync>> {
        loop {
            let request = Request::post(&self.url).body(Full::new(event.clone()))?;
            match self.client.request(request).await {
                Ok(response) if response.status() != StatusCode::TOO_MANY_REQUESTS => {
                    let (head, body) = response.into_parts();
                    return Ok(Response::from_parts(head, body.collect().await?.to_bytes()));
                }
                Err(error) if !is_refused(&error) => return Err(error.into()),
                Ok(_) | Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let mut causes = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_and_a_name_or_a_url() {
        let limit = Duration::from_secs(1);
        let named = Endpoint::of("127.0.0.1:9000", "a2a-kafka", limit).unwrap();
        let url = "http://127.0.0.1:9000/2015-03-31/functions/a2a-kafka/invocations";
        let at = Endpoint::at(url, limit).unwrap();
        assert_eq!(named.url, at.url);
        assert_eq!(Endpoint::at("http://[::1]/f", limit).unwrap().url.host(), Some("[::1]"));
        for wrong in ["127.0.0.1:9000", "https://lambda.amazonaws.com/f", "http://", "a b"] {
            let said = Endpoint::at(wrong, limit).unwrap_err();
            assert!(said.contains(wrong) && said.ends_with('.'), "{said}");
        }
    }

    #[tokio::test]
    async fn an_event_over_lambdas_bound_is_never_sent() {
        // Nobody listens there.
        let endpoint = Endpoint::of("127.0.0.1:1", "f", Duration::from_secs(600)).unwrap();
        let said = endpoint.invoke(vec![b' '; PAYLOAD + 1].into()).await.unwrap_err();
        assert_eq!(said, "the event has 6291457 bytes; Lambda takes 6291456");
    }
}
