//! Where what is sent along may go.
//!
//! Owns: what an origin is, over HTTP and over Kafka. Must never know: what is sent along.
//!
//! A card is the word of whoever serves it, and may lead anywhere. Credentials go to the origin that
//! was asked, and to those that were named beside it.

use std::fmt;

use url::Url;

use crate::error::Error;

/// Scheme, host and port; of Kafka, the brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin(String);

impl Origin {
    /// The origin of an agent's address; none of what is none.
    pub(super) fn of(url: &str) -> Option<Self> {
        if let Some(rest) = url.strip_prefix("kafka://") {
            let brokers = rest.split(['/', '?', '#']).next().filter(|it| !it.contains('@'))?;
            return (!brokers.is_empty()).then(|| Self(format!("kafka://{brokers}")));
        }
        let url: Url = url.parse().ok()?;
        let is_http = matches!(url.scheme(), "http" | "https");
        is_http.then(|| Self(url.origin().ascii_serialization()))
    }

    /// Reads an origin that somebody names.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`](crate::ErrorKind::InvalidParams) when it is none.
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        let why = "must be scheme, host and port, such as https://agents.example.com";
        Self::of(text.trim()).ok_or_else(|| Error::invalid_field("bearer_to", why))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Reads an agent's address of HTTP.
///
/// # Errors
/// [`ErrorKind::InvalidParams`](crate::ErrorKind::InvalidParams) in a sentence that repeats nothing
/// of it: there may be a secret in it.
pub(super) fn parse(url: &str) -> Result<Url, Error> {
    let wrong = |why: String| Error::invalid_field("url", why);
    let parsed: Url = url.parse().map_err(|error| wrong(format!("is no address: {error}")))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(wrong("must begin with http:, https: or kafka:".to_owned()));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(wrong("must hold no credentials; they belong into a header".to_owned()));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_all_that_a_secret_is_for() {
        let same = |a: &str, b: &str| Origin::of(a).is_some_and(|it| Some(it) == Origin::of(b));
        for (a, b) in [
            ("https://h", "https://H:443/agents/data?x#y"),
            ("http://h:80/", "http://h/card.json"),
            ("http://[::1]:9003/", "http://[0:0:0:0:0:0:0:1]:9003"),
            ("kafka://a:1,b:2/agent.x.requests", "kafka://a:1,b:2?reply-to=y"),
        ] {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("https://h", "http://h"),
            ("https://h", "https://h:444"),
            ("https://h", "https://h.example"),
            ("https://h", "https://sub.h"),
            ("https://h@evil", "https://h"),
            ("https://h\\@evil", "https://evil"),
            ("http://127.0.0.1", "http://localhost"),
            ("kafka://a:1", "kafka://a:1,b:2"),
            ("kafka://a:1", "http://a:1"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
        for none in ["", "h", "kafka://", "kafka://u:p@a:1", "ftp://h", "https://", "data:,x"] {
            assert!(Origin::read(none).is_err(), "{none}");
        }
        assert_eq!(Origin::read(" HTTPS://H:443/ ").unwrap().to_string(), "https://h");
    }
}
