//! Which web pages may call, and under which names the server may be called.
//!
//! Owns: cross-origin sharing (the Fetch standard, section 3.2), and the defence of a server that asks
//! nobody who they are against web pages in the same machine's browser. Must never know: paths.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN, VARY,
    },
    request::Parts,
};

use super::body::Body;
use crate::error::{Error, ErrorKind};

/// What a page may read of an answer beside its body.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("a2a-extensions, etag, last-modified, retry-after, www-authenticate");
/// How long a browser keeps a preflight's answer, in seconds.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("3600");

/// The web pages whose scripts may call, by their origins, and the hosts that requests may name.
/// Without any, a preflight is refused, and every host is taken.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    allowed: Arc<[String]>,
    hosts: Option<Arc<[String]>>,
}

impl Origins {
    /// These origins, such as `https://app.example.com`; `*` is every one.
    ///
    /// # Errors
    /// One sentence when one of them is none.
    pub fn new<T: AsRef<str>>(allowed: impl IntoIterator<Item = T>) -> Result<Self, String> {
        let origin = |origin: T| {
            let origin = origin.as_ref().trim();
            let url = url::Url::parse(origin).ok().filter(|url| url.has_host());
            match url {
                _ if origin == "*" => Ok(origin.to_owned()),
                Some(url) if url.path() == "/" && url.query().is_none() => {
                    Ok(url.origin().ascii_serialization())
                }
                _ => Err(format!(
                    "`{origin}` is no origin: a scheme and a host, such as https://app.example.com."
                )),
            }
        };
        let allowed = allowed.into_iter().filter(|it| !it.as_ref().trim().is_empty()).map(origin);
        Ok(Self { allowed: allowed.collect::<Result<_, _>>()?, hosts: None })
    }

    /// The same for a server that asks nobody who they are: a request must name one of these hosts,
    /// each with its port where that is not 80, and comes from a page there, an allowed one, or none.
    #[must_use]
    pub fn only_at<T: Into<String>>(mut self, hosts: impl IntoIterator<Item = T>) -> Self {
        let hosts = hosts.into_iter().map(|host| host.into().to_ascii_lowercase());
        self.hosts = Some(hosts.collect());
        self
    }

    /// # Errors
    /// [`ErrorKind::PermissionDenied`] for a foreign host, or a foreign page where those count.
    pub(super) fn check(&self, parts: &Parts) -> Result<(), Error> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let named = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
        let named = named.or_else(|| Some(parts.headers.get(HOST)?.as_bytes()));
        let is_own = |host: &[u8]| {
            let host = host.strip_suffix(b":80").unwrap_or(host);
            hosts.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(host))
        };
        if !named.is_some_and(is_own) {
            let sentence = "This server takes no requests under that host. Its operator can name \
                            further ones (--allowed-hosts, A2A_ALLOWED_HOSTS).";
            return Err(Error::new(ErrorKind::PermissionDenied, sentence));
        }
        match parts.headers.get(ORIGIN) {
            Some(origin) if self.allows(origin).is_none() => {
                let own = origin.as_bytes().strip_prefix(b"http://");
                let own = own.or_else(|| origin.as_bytes().strip_prefix(b"https://"));
                if own.is_some_and(is_own) { Ok(()) } else { Err(foreign()) }
            }
            _ => Ok(()),
        }
    }

    /// The answer to a preflight; none where the request is none.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] where that origin may not call.
    pub(super) fn preflight(&self, parts: &Parts) -> Option<Result<Response<Body>, Error>> {
        let origin = parts.headers.get(ORIGIN)?;
        let is_one = parts.method == Method::OPTIONS
            && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        is_one.then(|| {
            self.allows(origin).ok_or_else(foreign)?;
            let mut response = Response::new(Body::Full(None));
            *response.status_mut() = StatusCode::NO_CONTENT;
            let headers = response.headers_mut();
            let methods = HeaderValue::from_static("GET, HEAD, POST, DELETE");
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            if let Some(asked) = parts.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
            headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
            Ok(response)
        })
    }

    /// Tells the browser whether the page may read the answer.
    pub(super) fn share(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if self.allowed.is_empty() {
            return;
        }
        headers.append(VARY, HeaderValue::from_name(HeaderName::from_static("origin")));
        if let Some(allowed) = origin.and_then(|origin| self.allows(origin)) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }

    /// What the browser is told of this origin.
    fn allows(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        let any = self.allowed.iter().any(|allowed| allowed == "*");
        let this = self.allowed.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes());
        if any { Some(HeaderValue::from_static("*")) } else { this.then(|| origin.clone()) }
    }
}

fn foreign() -> Error {
    let sentence = "Pages of that origin may not call this server. Its operator can allow them \
                    (--cors, A2A_CORS).";
    Error::new(ErrorKind::PermissionDenied, sentence)
}
