//! Which request an event is.
//!
//! Owns: what each kind of gateway says of a request's path and of its address. Must never know:
//! which paths there are.

use a2a_core::{Error, ErrorKind};
use bytes::Bytes;
use http::Request;
use lambda_http::{
    Body, RequestExt, aws_lambda_events::query_map::QueryMap, request::RequestContext,
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What cannot stand in a path as it is. Gateways decode some paths, so `%` stands.
const NOT_OF_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// What a request is addressed to.
pub(crate) struct Target {
    /// The path within the agent: without the gateway's stage and base path.
    pub(crate) path: String,
    /// The address the agent has there, as its clients see it.
    pub(crate) address: Option<String>,
}

/// What the gateway says that the request is addressed to.
pub(crate) fn target(request: &lambda_http::Request) -> Target {
    let raw = request.raw_http_path();
    let proxy = request.path_parameters_ref().and_then(|it| it.first("proxy"));
    let context = request.request_context_ref();
    let path = match (proxy, context) {
        // The greedy part of the route is what lies behind every stage and base path.
        (Some(proxy), _) if raw.ends_with(proxy) => format!("/{proxy}"),
        (None, Some(RequestContext::ApiGatewayV1(it))) => match it.resource_path.as_deref() {
            // A resource without variables is what lies behind them itself.
            Some(resource) if !resource.contains('{') => resource.to_owned(),
            _ => raw.to_owned(),
        },
        (_, Some(RequestContext::ApiGatewayV2(it))) => without_stage(raw, it.stage.as_deref()),
        _ => raw.to_owned(),
    };
    let path = if path.starts_with('/') { path } else { format!("/{path}") };
    let address = context.and_then(|context| match context {
        RequestContext::ApiGatewayV1(it) => address(&it.domain_name, it.path.as_deref(), &path),
        RequestContext::ApiGatewayV2(it) => {
            address(&it.domain_name, it.http.path.as_deref(), &path)
        }
        _ => None,
    });
    Target { path, address }
}

/// A named stage is the first part of an HTTP API's path.
fn without_stage(raw: &str, stage: Option<&str>) -> String {
    let named = stage.filter(|stage| *stage != "$default" && !stage.is_empty());
    let rest = named.and_then(|stage| raw.strip_prefix('/')?.strip_prefix(stage));
    rest.filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(raw).to_owned()
}

/// The address that, with the path, makes up what the client asked for.
fn address(domain: &Option<String>, asked: Option<&str>, path: &str) -> Option<String> {
    // The root may be asked for without its slash.
    let root = |asked| (path == "/").then_some(asked);
    let base = asked.and_then(|asked| asked.strip_suffix(path).or_else(|| root(asked)));
    let base = base.unwrap_or_default();
    Some(format!("https://{}{}", domain.as_deref()?, base.trim_end_matches('/')))
}

/// The request as the agent's endpoint takes it.
///
/// # Errors
/// When its path and query are none.
pub(crate) fn request(request: lambda_http::Request, path: &str) -> Result<Request<Bytes>, Error> {
    // Not the URI's: a decoded path may hold a `?` or a `#`, behind which it is cut.
    let query = request.query_string_parameters_ref().filter(|query| !query.is_empty());
    let query = query.map(QueryMap::to_query_string);
    let (mut parts, body) = request.into_parts();
    let path = utf8_percent_encode(path, NOT_OF_PATH).to_string();
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    parts.uri = target.parse().map_err(|error: http::uri::InvalidUri| {
        Error::new(ErrorKind::InvalidRequest, "The request's path is not one.").with_source(error)
    })?;
    let body = match body {
        Body::Text(text) => text.into(),
        Body::Binary(bytes) => bytes.into(),
        _ => Bytes::new(),
    };
    Ok(Request::from_parts(parts, body))
}
