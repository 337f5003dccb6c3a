//! Which Redis a URL names.
//!
//! Owns: the parts of the URL, and what is said of a wrong one. Must never say the password.

use std::time::Duration;

use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

/// How long journals are kept that may expire, when the URL does not say.
const TTL: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const LONGEST_PREFIX: usize = 64;

/// Which server a URL names, and what is kept there.
#[derive(Clone)]
pub(super) struct ServerAddress {
    pub(super) server: ConnectionInfo,
    /// `host:port`, for messages.
    pub(super) host: String,
    pub(super) prefix: String,
    /// None: they are kept for ever.
    pub(super) ttl: Option<Duration>,
}

impl ServerAddress {
    /// `redis://[USER:PASSWORD@]HOST[:PORT][/DB][?prefix=a2a&ttl=SECONDS]`, or `rediss://` for TLS.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut url =
            url::Url::parse(text).map_err(|error| wrong(&format!("its form: {error}")))?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| wrong("it names no host"))?;
        let host = format!("{host}:{}", url.port().unwrap_or(6379));
        let database = url.path().trim_start_matches('/');
        if !database.is_empty() && database.parse::<u16>().is_err() {
            return Err(wrong("its database is no number"));
        }
        let (mut prefix, mut ttl) = ("a2a".to_owned(), Some(TTL));
        for (name, value) in url.query_pairs() {
            match &*name {
                "prefix" => prefix = checked_prefix(&value)?,
                "ttl" => ttl = seconds(&value)?,
                _ => return Err(wrong("it knows prefix and ttl, and no other parameter")),
            }
        }
        if url.fragment().is_some() {
            return Err(wrong("it has a part after `#`; write %23 in a password"));
        }
        url.set_query(None);
        let server = url.into_connection_info();
        let server = server.map_err(|_| wrong("its host, user or password cannot be used"))?;
        // Hints come as pushes, which RESP3 brought. Naming this client to the server is one more
        // command that may be forbidden.
        let settings = server.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let server = server.set_redis_settings(settings.set_skip_set_lib_name());
        Ok(Self { server, host, prefix, ttl })
    }
}

fn wrong(what: &str) -> String {
    format!(
        "The Redis URL is wrong: {what}. \
         Write redis://[USER:PASSWORD@]HOST:PORT[/DB][?prefix=a2a&ttl=SECONDS], or rediss:// for TLS."
    )
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
    use redis::ConnectionAddr;

    use super::*;

    #[test]
    fn a_url_names_a_server() {
        let address = ServerAddress::parse("redis://h").unwrap();
        assert_eq!((&*address.host, &*address.prefix, address.ttl), ("h:6379", "a2a", Some(TTL)));
        let address =
            ServerAddress::parse("rediss://u%40:p%2F%23@[::1]:7/3?prefix=x.y&ttl=0").unwrap();
        assert_eq!((&*address.host, &*address.prefix, address.ttl), ("[::1]:7", "x.y", None));
        let login = address.server.redis_settings();
        assert_eq!((login.username(), login.password()), (Some("u@"), Some("p/#")));
        assert_eq!(login.db(), 3);
        let ConnectionAddr::TcpTls { host, port: 7, insecure: false, .. } = address.server.addr()
        else {
            panic!("{:?}", address.server.addr());
        };
        assert_eq!(host, "::1");
        assert_eq!(
            ServerAddress::parse("redis://h?ttl=60").unwrap().ttl,
            Some(Duration::from_secs(60))
        );
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
            ("redis://u:secret@h?tls=1", "no other parameter"),
            ("redis://u:secret#@h", "form"),
        ] {
            let Err(told) = ServerAddress::parse(url) else { panic!("{url}") };
            let what = told.split("Write").next().unwrap();
            assert!(what.contains(part) && !told.contains("secret"), "{url}: {told}");
        }
    }
}
