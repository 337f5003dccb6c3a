//! Which Redis a URL names.
//!
//! Owns: the parts of the URL, and what is said of a wrong one. Must never say the password.

use std::time::Duration;

use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
};

/// How long journals are kept that may expire, when the URL does not say.
const TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const LONGEST_PREFIX: usize = 64;

#[derive(Clone)]
pub(super) struct Place {
    pub(super) server: ConnectionInfo,
    /// `host:port`, for messages.
    pub(super) address: String,
    pub(super) prefix: String,
    /// None: they are kept for ever.
    pub(super) ttl: Option<Duration>,
}

impl Place {
    /// `redis://[USER:PASSWORD@]HOST[:PORT][/DB][?prefix=a2a&ttl=SECONDS]`, or `rediss://` for TLS.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let url = url::Url::parse(text).map_err(|error| wrong(&format!("its form: {error}")))?;
        let host = match url.host() {
            Some(url::Host::Ipv6(host)) => host.to_string(),
            Some(host) if !host.to_string().is_empty() => host.to_string(),
            _ => return Err(wrong("it names no host")),
        };
        let port = url.port().unwrap_or(6379);
        let database = match url.path().trim_start_matches('/') {
            "" => 0,
            number => number.parse::<u16>().map_err(|_| wrong("its database is no number"))?,
        };
        let (mut prefix, mut ttl) = ("a2a".to_owned(), Some(TTL));
        for (name, value) in url.query_pairs() {
            match &*name {
                "prefix" => prefix = checked_prefix(&value)?,
                "ttl" => ttl = seconds(&value)?,
                _ => return Err(wrong(&format!("it knows no `{name}`, only prefix and ttl"))),
            }
        }
        if url.fragment().is_some() {
            return Err(wrong("it has a part after `#`; write %23 in a password"));
        }
        let address = format!("{}:{port}", url.host_str().unwrap_or_default());
        let place = match url.scheme() {
            "rediss" => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            _ => ConnectionAddr::Tcp(host, port),
        };
        let server = place
            .into_connection_info()
            .map_err(|_| wrong("its host"))?
            .set_redis_settings(login(&url)?.set_db(database.into()));
        Ok(Self { server, address, prefix, ttl })
    }
}

fn wrong(what: &str) -> String {
    format!(
        "The Redis URL is wrong: {what}. \
         Write redis://[USER:PASSWORD@]HOST:PORT[/DB][?prefix=a2a&ttl=SECONDS], or rediss:// for TLS."
    )
}

fn login(url: &url::Url) -> Result<RedisConnectionInfo, String> {
    let decoded = |text: &str| {
        let text = percent_encoding::percent_decode_str(text).decode_utf8();
        text.map(std::borrow::Cow::into_owned)
            .map_err(|_| wrong("its user or password is no UTF-8"))
    };
    // Hints come as pushes, which RESP3 brought. Naming this client to the server is one more
    // command that may be forbidden.
    let mut login =
        RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
    if !url.username().is_empty() {
        login = login.set_username(decoded(url.username())?);
    }
    if let Some(password) = url.password() {
        login = login.set_password(decoded(password)?);
    }
    Ok(login)
}

fn checked_prefix(prefix: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if prefix.is_empty() || prefix.len() > LONGEST_PREFIX || !prefix.bytes().all(plain) {
        return Err(wrong("its prefix must be 1 to 64 letters, digits, `-`, `_` and `.`"));
    }
    Ok(prefix.to_owned())
}

fn seconds(text: &str) -> Result<Option<Duration>, String> {
    let seconds: u32 =
        text.parse().map_err(|_| wrong("its ttl is no number of seconds; 0 keeps for ever"))?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_place() {
        let place = Place::parse("redis://h").unwrap();
        assert_eq!((&*place.address, &*place.prefix, place.ttl), ("h:6379", "a2a", Some(TTL)));
        let place = Place::parse("rediss://u%40:p%2F%23@[::1]:7/3?prefix=x.y&ttl=0").unwrap();
        assert_eq!((&*place.address, &*place.prefix, place.ttl), ("[::1]:7", "x.y", None));
        let login = place.server.redis_settings();
        assert_eq!((login.username(), login.password()), (Some("u@"), Some("p/#")));
        assert_eq!(login.db(), 3);
        let ConnectionAddr::TcpTls { host, port: 7, insecure: false, .. } = place.server.addr()
        else {
            panic!("{:?}", place.server.addr());
        };
        assert_eq!(host, "::1");
        assert_eq!(Place::parse("redis://h?ttl=60").unwrap().ttl, Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_wrong_url_is_one_sentence_without_the_password() {
        for (url, part) in [
            ("redis:", "host"),
            ("redis://", "host"),
            ("redis://u:secret@:1", "form"),
            ("redis://u:secret@h:x", "form"),
            ("redis://u:secret@h:70000", "form"),
            ("redis://u:secret@h/db", "database"),
            ("redis://u:secret@h/-1", "database"),
            ("redis://u:secret@h?prefix=", "prefix"),
            ("redis://u:secret@h?prefix={}", "prefix"),
            ("redis://u:secret@h?ttl=soon", "ttl"),
            ("redis://u:secret@h?ttl=-1", "ttl"),
            ("redis://u:secret@h?tls=1", "`tls`"),
            ("redis://u:secret#@h", "form"),
        ] {
            let Err(told) = Place::parse(url) else { panic!("{url}") };
            let what = told.split("Write").next().unwrap();
            assert!(what.contains(part) && !told.contains("secret"), "{url}: {told}");
        }
    }
}
