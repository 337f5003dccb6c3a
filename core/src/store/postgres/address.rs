//! A store's URL, taken apart.
//!
//! Owns: what it may say, and what is said of one that says something else. Must never know: how
//! to connect. Nothing here shows a password.

use std::{ops::RangeInclusive, str::FromStr};

use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgSslMode},
};
use url::Url;

/// After that many seconds what ended is forgotten: 30 days.
const TTL: u64 = 30 * 24 * 60 * 60;
/// A hundred years.
const MAX_TTL: u64 = 100 * 365 * 24 * 60 * 60;
/// Enough for a function instance, or for a server of a few cores.
const POOL: u32 = 10;
const SCHEMA: &str = "a2a";
/// With what the store puts before it, it must stay a name of at most 63 bytes.
const MAX_SCHEMA: usize = 48;

/// What sqlx makes of a URL; with anything else it would only warn, and show the value.
const OF_THE_CLIENT: &[&str] = &[
    "application_name",
    "host",
    "port",
    "dbname",
    "user",
    "password",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "options",
    "statement-cache-capacity",
];

/// Which database and schema a URL names, and how they are used.
pub(super) struct DatabaseAddress {
    pub(super) options: PgConnectOptions,
    /// `host:port`, to be shown.
    pub(super) host: String,
    /// An identifier that needs no escapes.
    pub(super) schema: String,
    /// Milliseconds until what ended is forgotten; `None` for never.
    pub(super) ttl: Option<i64>,
    pub(super) pool: u32,
}

impl FromStr for DatabaseAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut url =
            Url::parse(text).map_err(|error| format!("The store's URL is none: {error}."))?;
        let (mut schema, mut ttl, mut pool) = (SCHEMA.to_owned(), TTL, POOL);
        let mut rest = Vec::new();
        for (name, value) in url.query_pairs().into_owned() {
            match &*name {
                "schema" => schema = checked_schema(value)?,
                "ttl" => ttl = number(&name, &value, 0..=MAX_TTL)?,
                "pool" => pool = number(&name, &value, 1..=1_000)?,
                "sslmode" if value.parse::<PgSslMode>().is_err() => {
                    return Err("The store's URL says an sslmode that is none.".to_owned());
                }
                known if OF_THE_CLIENT.contains(&known) => rest.push((name, value)),
                _ => {
                    return Err(
                        "The store's URL has a parameter that is none: there are schema, ttl, \
                                pool, and libpq's."
                            .to_owned(),
                    );
                }
            }
        }
        url.query_pairs_mut().clear().extend_pairs(&rest);
        if rest.is_empty() {
            url.set_query(None);
        }
        let options = PgConnectOptions::from_url(&url)
            .map_err(|_| "The store's URL cannot be used: libpq has no such port or parameter.")?;
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("a2a-serverless"),
        };
        let options = options.disable_statement_logging();
        let host = format!("{}:{}", options.get_host(), options.get_port());
        let ttl = (ttl > 0).then_some(ttl * 1_000).and_then(|ttl| i64::try_from(ttl).ok());
        Ok(Self { options, host, schema, ttl, pool })
    }
}

/// It stands in every statement: letters, digits and `_` need no escapes.
fn checked_schema(name: String) -> Result<String, String> {
    let letter = |byte: u8| byte == b'_' || byte.is_ascii_lowercase();
    let plain = name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit());
    let begins = name.bytes().next().is_some_and(letter) && !name.starts_with("pg_");
    if plain && begins && name.len() <= MAX_SCHEMA {
        return Ok(name);
    }
    Err(format!(
        "The store's URL names no schema: one has up to {MAX_SCHEMA} of a-z, 0-9 and _, \
         no digit first, and does not begin with pg_."
    ))
}

fn number<T>(name: &str, value: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
        let (first, last) = range.into_inner();
        format!("The store's URL says a {name} that is no number from {first} to {last}.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> DatabaseAddress {
        text.parse().unwrap()
    }

    #[test]
    fn own_parameters_are_taken_out() {
        let address = parsed("postgres://u:p@db:99/x?schema=s_1&sslmode=require&ttl=60&pool=3");
        assert_eq!((&*address.host, &*address.schema), ("db:99", "s_1"));
        assert_eq!((address.ttl, address.pool), (Some(60_000), 3));
        assert_eq!(address.options.get_database(), Some("x"));
        assert!(matches!(address.options.get_ssl_mode(), PgSslMode::Require));
        let address = parsed("postgresql://db/x?ttl=0");
        assert_eq!((&*address.host, &*address.schema), ("db:5432", "a2a"));
        assert_eq!((address.ttl, address.pool), (None, 10));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_password_shown() {
        for (url, named) in [
            ("postgres://u:secret@db:port/x", "port"),
            ("postgres://u:secret@db/x?ttl=soon", "ttl"),
            ("postgres://u:secret@db/x?ttl=-1", "ttl"),
            ("postgres://u:secret@db/x?pool=0", "pool"),
            ("postgres://u:secret@db/x?schema=a%22b", "schema"),
            ("postgres://u:secret@db/x?schema=pg_a", "schema"),
            ("postgres://u:secret@db/x?schema=", "schema"),
            ("postgres://u:secret@db/x?sslmode=perhaps", "sslmode"),
            ("postgres://u@db/x?pasword=secret", "schema, ttl, pool"),
        ] {
            let sentence = url.parse::<DatabaseAddress>().err().unwrap();
            assert!(sentence.contains(named), "{sentence}");
            assert!(!sentence.contains("secret"), "{sentence}");
        }
    }
}
