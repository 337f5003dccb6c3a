//! The connection under both HTTP bindings.
//!
//! Owns: headers, timeouts, the bounds of what is read, event streams as bytes, and what a broken
//! connection means. Must never know: a binding's bodies, when to try again.

use std::{error::Error as StdError, fmt, time::Duration};

use futures_util::stream::{self, StreamExt};
use http::{
    HeaderMap, HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION},
};
use reqwest::{Response, redirect};
use url::Url;

use super::{
    Parameters,
    behalf::may_travel,
    bounds,
    failure::{ends_stream, within},
};
use crate::{
    call::{Credentials, Event, Events, Reply, ReplyKind},
    error::{Error, ErrorKind},
    task::Cursor,
    types::StreamResponse,
    wire::{
        parameters::{
            EVENT_STREAM, EXTENSIONS, IDEMPOTENCY_KEY, JSON, LAST_EVENT_ID, PROTOCOL_VERSION,
            TRACEPARENT, VERSION,
        },
        rest, sse, status,
    },
};

/// Connections to one agent, with what every request to it bears. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connection {
    http: reqwest::Client,
    card: Url,
    headers: HeaderMap,
    may_bear: bool,
    limit: usize,
}

/// A request to send.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) media_type: &'static str,
    pub(super) body: Vec<u8>,
}

/// What came back, with a status of success.
pub(super) enum Answer {
    /// All of it.
    Whole(Vec<u8>),
    /// Events as they come.
    Stream(Box<EventStream>),
}

impl Connection {
    /// Connections to the agent with the card at this address. They bear these headers and read at
    /// most `limit` bytes as an answer, or as one event. `tls` is whether any address is `https:`,
    /// `may_bear` whether a caller's credentials may go there.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the system's certificates cannot be read.
    pub(super) fn new(
        card: Url,
        tls: bool,
        headers: HeaderMap,
        may_bear: bool,
        limit: usize,
    ) -> Result<Self, Error> {
        // Only the first one of a process counts.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            // A redirect would take the credentials somewhere else.
            .redirect(redirect::Policy::none())
            .connect_timeout(bounds::CONNECT_TIME)
            .user_agent(concat!("a2a-serverless/", env!("CARGO_PKG_VERSION")));
        // Reading the system's certificates takes a while, and some containers have none.
        let http = if tls { http } else { http.tls_certs_only([]) };
        let http = http.build().map_err(Error::internal)?;
        Ok(Self { http, card, headers, may_bear, limit })
    }

    /// Sends a request and reads its answer, of which `kind` is expected.
    ///
    /// # Errors
    /// As [`Transport::call`](super::Transport::call).
    pub(super) async fn ask(
        &self,
        parameters: &Parameters,
        request: Outgoing,
        kind: ReplyKind,
    ) -> Result<Answer, Error> {
        let asking = self.ask_untimed(parameters, request, kind);
        within(parameters.timeout, "The agent did not answer in time.", asking).await
    }

    async fn ask_untimed(
        &self,
        parameters: &Parameters,
        request: Outgoing,
        kind: ReplyKind,
    ) -> Result<Answer, Error> {
        let Outgoing { method, url, media_type, body } = request;
        let origin = url.origin().ascii_serialization();
        let mut headers = parameter_headers(parameters)?;
        headers.extend(self.headers.clone());
        if let Some(credentials) = &parameters.credentials {
            headers.insert(AUTHORIZATION, authorization(credentials, self.may_bear)?);
        }
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        let streams = kind == ReplyKind::Events;
        let accept =
            if streams { format!("{EVENT_STREAM}, {media_type}") } else { media_type.to_owned() };
        let accept = if media_type == JSON { accept } else { format!("{accept}, {JSON};q=0.9") };
        headers.insert(ACCEPT, HeaderValue::try_from(accept).map_err(Error::internal)?);
        let sending = self.http.request(method, url).headers(headers).body(body).send();
        let response = sending.await.map_err(|error| broken(&origin, error))?;
        if response.status().is_redirection() {
            return Err(redirected(&response));
        }
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let is_stream = media_type.is_some_and(|it| it.starts_with(EVENT_STREAM));
        if streams && is_stream && response.status().is_success() {
            let (idle, limit) = (parameters.timeout, self.limit);
            let decoder = sse::Decoder::default();
            let stream = EventStream { response, origin, decoder, idle, limit };
            return Ok(Answer::Stream(Box::new(stream)));
        }
        let http = response.status();
        let body = match kind {
            ReplyKind::Card => whole(&origin, response, "card", self.limit.min(bounds::CARD)).await,
            _ => whole(&origin, response, "answer", self.limit).await,
        }?;
        if http.is_success() {
            Ok(Answer::Whole(body))
        } else {
            Err(status::read_failure(http, &body))
        }
    }

    /// Asks for the public card.
    ///
    /// # Errors
    /// As [`Transport::call`](super::Transport::call).
    pub(super) async fn card(&self, parameters: &Parameters) -> Result<Reply, Error> {
        let (url, media_type, body) = (self.card.clone(), JSON, Vec::new());
        let request = Outgoing { method: Method::GET, url, media_type, body };
        match self.ask(parameters, request, ReplyKind::Card).await? {
            Answer::Whole(body) => rest::read_reply(ReplyKind::Card, &body),
            Answer::Stream(_) => Err(no_answer("The agent's card is a stream.")),
        }
    }
}

async fn whole(
    origin: &str,
    mut response: Response,
    what: &str,
    limit: usize,
) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(origin, error))? {
        if body.len() + chunk.len() > limit {
            return Err(too_long(what, limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

impl fmt::Debug for Connection {
    /// Leaves the headers' values out: there are credentials among them.
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<_> = self.headers.keys().collect();
        formatter.debug_struct("Connection").field("headers", &names).finish_non_exhaustive()
    }
}

/// The address with a path, and perhaps a query, behind its own path.
pub(super) fn below(base: &Url, path_and_query: &str) -> Url {
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let mut url = base.clone();
    let all = format!("{}{path}", base.path().trim_end_matches('/'));
    url.set_path(&all);
    url.set_query(query);
    url.set_fragment(None);
    url
}

fn authorization(credentials: &Credentials, may_bear: bool) -> Result<HeaderValue, Error> {
    may_travel(may_bear)?;
    let mut value = HeaderValue::from_str(credentials.expose()).map_err(Error::internal)?;
    value.set_sensitive(true);
    Ok(value)
}

fn parameter_headers(parameters: &Parameters) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(VERSION, HeaderValue::from_static(PROTOCOL_VERSION));
    let extensions = parameters.extensions.join(", ");
    let texts = [
        (EXTENSIONS, Some(&*extensions).filter(|uris| !uris.is_empty())),
        (IDEMPOTENCY_KEY, parameters.idempotency_key.as_deref()),
        (TRACEPARENT, parameters.traceparent.as_deref()),
    ];
    for (name, text) in texts {
        let Some(text) = text else { continue };
        let value = HeaderValue::from_str(text);
        let wrong = |_| Error::invalid_field(name.as_str(), "cannot be sent in an HTTP header");
        headers.insert(name.clone(), value.map_err(wrong)?);
    }
    if let Some(cursor) = parameters.resume {
        let value = HeaderValue::try_from(cursor.to_string());
        headers.insert(LAST_EVENT_ID, value.map_err(Error::internal)?);
    }
    Ok(headers)
}

/// A stream of events that is being read.
pub(super) struct EventStream {
    response: Response,
    origin: String,
    decoder: sse::Decoder,
    idle: Duration,
    limit: usize,
}

impl EventStream {
    /// The events, as `read` makes them of their data; one that it makes nothing of is passed over.
    /// The stream ends with its last one, or with an error; and without either where the agent ends
    /// it before.
    pub(super) fn events(
        self,
        of_send: bool,
        read: impl Fn(&[u8]) -> Result<Option<StreamResponse>, Error> + Send + 'static,
    ) -> Events {
        let items = stream::unfold(Some((self, read)), move |reading| async move {
            let (mut stream, read) = reading?;
            let item = loop {
                let received = stream.next().await?;
                let known = received.and_then(|it| Ok(read(&it.data)?.map(|event| (it.id, event))));
                if let Some(known) = known.transpose() {
                    break known.map(|(id, response)| {
                        let cursor = id.and_then(|id| id.parse::<Cursor>().ok());
                        let last = ends_stream(of_send, &response);
                        Event { cursor, response, last }
                    });
                }
            };
            let goes_on = matches!(item, Ok(Event { last: false, .. }));
            Some((item, goes_on.then_some((stream, read))))
        });
        Events(items.boxed())
    }

    async fn next(&mut self) -> Option<Result<sse::Received, Error>> {
        loop {
            if let Some(received) = self.decoder.next_event() {
                return Some(Ok(received));
            }
            if self.decoder.held() > self.limit {
                return Some(Err(too_long("event", self.limit)));
            }
            match tokio::time::timeout(self.idle, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => self.decoder.push(&chunk),
                Ok(Ok(None)) => return None,
                Ok(Err(error)) => return Some(Err(broken(&self.origin, error))),
                Err(_) => {
                    let sentence = "The agent's stream has shown no sign of life for too long.";
                    return Some(Err(Error::new(ErrorKind::DeadlineExceeded, sentence)));
                }
            }
        }
    }
}

fn broken(origin: &str, error: reqwest::Error) -> Error {
    // The address may hold credentials.
    let error = error.without_url();
    let unavailable = |sentence: String| Error::new(ErrorKind::Unavailable, sentence);
    let told = if error.is_connect() {
        unavailable(format!("The agent at {origin} is not reached{}.", cause(&error)))
    } else if error.is_builder() {
        Error::new(ErrorKind::InvalidRequest, format!("There is no asking {origin}."))
    } else {
        unavailable(format!("The connection to the agent at {origin} broke."))
    };
    told.with_source(error)
}

/// Why a connection was not made, in the system's words.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn StdError = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!(": {innermost}")
}

fn redirected(response: &Response) -> Error {
    let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    // Without what may be a secret in it.
    let to = location.and_then(|it| response.url().join(it).ok());
    let to = to.map(|to| to.origin().ascii_serialization() + to.path());
    let to = to.map(|to| format!(" to {to:.200}")).unwrap_or_default();
    no_answer(format!("The agent's address redirects{to}, which is not followed: name it itself."))
}

fn too_long(what: &str, limit: usize) -> Error {
    no_answer(format!("The agent's {what} is over the limit of {limit} bytes."))
}

fn no_answer(sentence: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidAgentResponse, sentence)
}
