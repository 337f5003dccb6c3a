//! The agent card as a document.
//!
//! Owns: its caching (specification section 8.6) and where it says the agent is. Must never know:
//! what else is served.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LAST_MODIFIED},
};

use super::body::Body;
use crate::{
    env::named_id,
    error::Error,
    types::{AgentCard, Timestamp},
    wire::parameters,
};

/// How long clients may keep the card, in seconds.
const CARD_AGE: &str = "public, max-age=300";

/// The card as it is sent, made once.
#[derive(Debug)]
pub(super) struct CardDocument {
    body: Bytes,
    etag: HeaderValue,
    modified: HeaderValue,
}

impl CardDocument {
    /// The document of a card that is as it is since `modified`.
    ///
    /// # Errors
    /// When the card cannot be written as JSON.
    pub(super) fn new(card: &AgentCard, modified: Timestamp) -> Result<Self, Error> {
        let body = serde_json::to_vec(card).map_err(Error::internal)?;
        let name = format!("card:{}", String::from_utf8_lossy(&body));
        let etag = HeaderValue::from_str(&format!("\"{}\"", named_id(&name)));
        let modified = HeaderValue::from_str(&modified.http_date());
        Ok(Self {
            body: body.into(),
            etag: etag.map_err(Error::internal)?,
            modified: modified.map_err(Error::internal)?,
        })
    }

    /// Specification section 8.6: cacheable, and revalidated by its tag.
    pub(super) fn response(&self, headers: &HeaderMap) -> Response<Body> {
        let tags = headers.get_all(IF_NONE_MATCH).into_iter().filter_map(|tags| tags.to_str().ok());
        let known = tags.flat_map(|tags| tags.split(',')).map(str::trim).any(|tag| {
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.etag.as_bytes()
        });
        let body = if known { Bytes::new() } else { self.body.clone() };
        let mut response = Response::new(Body::Full(Some(body)));
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(parameters::JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(CARD_AGE));
        headers.insert(ETAG, self.etag.clone());
        headers.insert(LAST_MODIFIED, self.modified.clone());
        response
    }
}
