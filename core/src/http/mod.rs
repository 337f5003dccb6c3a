//! HTTP: a request becomes a call, a reply becomes a response. No framework: the runner's hyper and
//! Lambda's events both arrive as an ordinary [`http::Request`].
//!
//! Owns: headers, media types, caching of the card. Must never know: sockets, Lambda, method names
//! and codes (those are `wire`'s).

mod admission;
mod admitted;
mod body;
mod card;
mod credentials;
mod encoding;
mod origins;
mod stream;

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN, RETRY_AFTER},
};

use crate::{
    call::{Call, Caller, IdempotencyKey, Reply, TraceContext, check},
    error::Error,
    handler::DefaultRequestHandler,
    limits::Limits,
    types::{AgentCard, AgentInterface},
    wire::{
        jsonrpc,
        parameters::{
            self, A2A_IDEMPOTENCY_KEY, EXTENSIONS, IDEMPOTENCY_KEY, LAST_EVENT_ID, TRACEPARENT,
            TRACESTATE, VERSION,
        },
        rest, status,
    },
};

pub use admitted::Admitted;
pub use body::Body;
use card::CardDocument;
pub use origins::Origins;
use stream::event_stream;

const JSON: HeaderValue = HeaderValue::from_static(parameters::JSON);
const A2A_JSON: HeaderValue = HeaderValue::from_static(parameters::A2A_JSON);

/// An agent's HTTP endpoint: JSON-RPC at `/`, HTTP+JSON at its paths, both also below `/v1`, and
/// the agent card at its well-known path. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpEndpoint {
    handler: DefaultRequestHandler,
    card: Arc<CardDocument>,
    /// The path of the agent's address, without a slash at its end.
    base: Arc<str>,
    origins: Origins,
}

impl HttpEndpoint {
    /// The endpoint of this handler.
    ///
    /// # Errors
    /// When the card cannot be written as JSON.
    pub fn new(handler: DefaultRequestHandler) -> Result<Self, Error> {
        let (base, origins) = (base_of(handler.card()), Origins::default());
        let card = Arc::new(CardDocument::new(handler.card(), handler.now())?);
        Ok(Self { handler, card, base, origins })
    }

    /// The same endpoint as its clients reach it at this address, such as
    /// `https://agents.example.com/data`: the card names it for both bindings.
    ///
    /// # Errors
    /// When the card cannot be written as JSON.
    pub fn located_at(&self, address: &str) -> Result<Self, Error> {
        let card = AgentCard::clone(self.handler.card()).located_at(address);
        let card = Arc::new(CardDocument::new(&card, self.handler.now())?);
        Ok(Self { card, ..self.clone() })
    }

    /// The same endpoint for requests that come with this address's path before their own: a proxy
    /// may take it off, or not.
    #[must_use]
    pub fn below(self, address: &str) -> Self {
        Self { base: path_of(address), ..self }
    }

    /// The same endpoint for one invocation; see [`DefaultRequestHandler::invocation`].
    #[must_use]
    pub fn invocation(&self) -> Self {
        Self { handler: self.handler.invocation(), ..self.clone() }
    }

    /// The same endpoint, which these web pages may call.
    #[must_use]
    pub fn shared_with(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// Answers one request. `caller` is who the transport's own authentication says it is, unless
    /// the request's credentials are to say so; what it says of version, extensions and resumption
    /// is read here.
    pub async fn serve(&self, caller: Caller, request: Request<Bytes>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        match self.admit(caller, parts) {
            Ok(admitted) => self.serve_admitted(admitted, body).await,
            Err(refused) => *refused,
        }
    }

    /// Answers a request whose head was judged, now that its body is there.
    pub async fn serve_admitted(&self, admitted: Admitted, body: Bytes) -> Response<Body> {
        let body = self.body(&admitted, body);
        let Admitted { caller, parts, .. } = admitted;
        let mut response = match body {
            Err(error) => self.refuse(parts.uri.path(), error),
            Ok(body) if jsonrpc::is_path(parts.uri.path()) => {
                self.jsonrpc(caller, &parts, &body).await
            }
            Ok(body) => self.rest(caller, &parts, &body).await,
        };
        if let Some(active) = self.active_extensions(&parts.headers) {
            response.headers_mut().insert(EXTENSIONS, active);
        }
        self.origins.share(parts.headers.get(ORIGIN), response.headers_mut());
        if parts.method == Method::HEAD {
            let length = http_body::Body::size_hint(response.body()).exact().unwrap_or_default();
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
            *response.body_mut() = Body::Full(None);
        }
        response
    }

    /// Waits until every run that goes on without its caller has ended.
    pub async fn settled(&self) {
        self.handler.settled().await;
    }

    /// Whether no run goes on without its caller now.
    pub fn is_settled(&self) -> bool {
        self.handler.is_settled()
    }

    /// Answers what is no request of HTTP's, whatever it asked for.
    pub fn malformed(&self, error: &Error) -> Response<Body> {
        rest_error(error)
    }

    /// The bounds it is served within.
    pub fn limits(&self) -> &Limits {
        self.handler.limits()
    }

    /// How many bytes a request's body may have.
    pub fn body_limit(&self) -> usize {
        self.handler.limits().body
    }

    async fn jsonrpc(
        &self,
        caller: Caller,
        parts: &http::request::Parts,
        body: &Bytes,
    ) -> Response<Body> {
        let request = jsonrpc::decode(body);
        let jsonrpc::Request { id, call, .. } = request;
        let outcome = match (call, self.with_parameters(caller, parts)) {
            (Ok(call), Ok(caller)) => self.handler.call(caller, call).await,
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
        match outcome {
            Ok(Reply::Events(events)) => {
                event_stream(events, self.handler.limits().chunk, move |out, item| {
                    jsonrpc::write_event(out, &id, item);
                })
            }
            // A refused stream too: the conformance kit and most SDKs want no stream then. (The Go
            // SDK's client, mid 2026, reads only events, and sees an empty stream.)
            outcome => {
                let mut body = Vec::with_capacity(1024);
                jsonrpc::write_response(&mut body, &id, &outcome);
                full(StatusCode::OK, JSON, body)
            }
        }
    }

    async fn rest(
        &self,
        caller: Caller,
        parts: &http::request::Parts,
        body: &Bytes,
    ) -> Response<Body> {
        let (path, query) = (parts.uri.path(), parts.uri.query());
        let decoded = rest::decode(&parts.method, path, query, body)
            .and_then(|call| Ok((call, self.with_parameters(caller, parts)?)));
        let (call, caller) = match decoded {
            Ok(decoded) => decoded,
            Err(error) => return rest_error(&error),
        };
        if call == Call::GetAgentCard {
            return self.card.response(&parts.headers);
        }
        match self.handler.call(caller, call).await {
            Ok(Reply::Events(events)) => {
                event_stream(events, self.handler.limits().chunk, rest::write_event)
            }
            Ok(reply) => {
                let mut body = Vec::with_capacity(1024);
                match rest::write_reply(&mut body, &reply) {
                    Ok(()) => full(StatusCode::OK, success_type(&parts.headers), body),
                    Err(error) => rest_error(&error),
                }
            }
            Err(error) => rest_error(&error),
        }
    }

    /// Tells which of the caller's extensions are in use (specification section 4.6).
    fn active_extensions(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let active = check::active_extensions(self.handler.card(), &extensions(headers));
        if active.is_empty() { None } else { HeaderValue::from_str(&active.join(", ")).ok() }
    }

    /// Reads what travels beside the parameters (specification section 3.2.6).
    fn with_parameters(
        &self,
        mut caller: Caller,
        parts: &http::request::Parts,
    ) -> Result<Caller, Error> {
        let text = |name: &HeaderName| parts.headers.get(name).and_then(|it| it.to_str().ok());
        caller.version =
            text(&VERSION).map(Arc::from).or_else(|| version_of_query(parts.uri.query()));
        caller.extensions = extensions(&parts.headers);
        caller.trace = TraceContext::new(text(&TRACEPARENT), text(&TRACESTATE));
        if let Some(id) = text(&LAST_EVENT_ID).filter(|id| !id.is_empty()) {
            let wrong = |why: &str| Error::invalid_field("Last-Event-ID", why);
            caller.resume = Some(id.parse().map_err(wrong)?);
        }
        let names = [IDEMPOTENCY_KEY, A2A_IDEMPOTENCY_KEY];
        if let Some(name) = names.iter().find(|name| parts.headers.contains_key(*name)) {
            let key = text(name).unwrap_or_default();
            let key = IdempotencyKey::of_caller(&self.handler.card().name, &caller.owner, key);
            let wrong = |why| Error::invalid_field("Idempotency-Key", why);
            caller.key = Some(key.map_err(wrong)?);
        }
        Ok(caller)
    }
}

/// Section 3.6.1: the version may also come in the query.
fn version_of_query(query: Option<&str>) -> Option<Arc<str>> {
    let mut pairs = form_urlencoded::parse(query?.as_bytes());
    pairs.find(|(name, _)| name.eq_ignore_ascii_case("a2a-version")).map(|(_, value)| value.into())
}

fn extensions(headers: &HeaderMap) -> Vec<Arc<str>> {
    let values = headers.get_all(EXTENSIONS).into_iter().filter_map(|value| value.to_str().ok());
    let uris = values.flat_map(|value| value.split(',')).map(str::trim);
    uris.filter(|uri| !uri.is_empty()).map(Arc::from).collect()
}

/// The specification's media type, unless the client speaks plain JSON.
fn success_type(headers: &HeaderMap) -> HeaderValue {
    let says = |name: HeaderName| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let plain = value.contains("application/json");
        plain && !value.contains("a2a+json") && !value.contains("*/*")
    };
    if says(CONTENT_TYPE) || says(ACCEPT) { JSON } else { A2A_JSON }
}

fn rest_error(error: &Error) -> Response<Body> {
    let row = status::of(error.kind());
    let mut response = full(row.http, JSON, status::rest_error(error));
    let allow = error.metadata().iter().find(|(key, _)| key == "allow");
    if let Some(allow) = allow.and_then(|(_, allow)| HeaderValue::from_str(allow).ok()) {
        response.headers_mut().insert(ALLOW, allow);
    }
    retry_later(&mut response);
    response
}

/// Says when to come back, where that may help.
fn retry_later(response: &mut Response<Body>) {
    if matches!(response.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
    {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
}

/// The path of the agent's address over HTTP, below which it is served too.
fn base_of(card: &AgentCard) -> Arc<str> {
    let over_http = [AgentInterface::JSONRPC, AgentInterface::HTTP_JSON];
    let mut interfaces = card.supported_interfaces.iter();
    let interface = interfaces.find(|it| over_http.contains(&&*it.protocol_binding));
    interface.map(|it| path_of(&it.url)).unwrap_or_default()
}

/// Without a slash at its end.
fn path_of(address: &str) -> Arc<str> {
    let address = address.parse::<http::Uri>();
    address.map(|address| address.path().trim_end_matches('/').into()).unwrap_or_default()
}

fn full(status: StatusCode, content_type: HeaderValue, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
