//! `dynamodb://TABLE?...`: what it says, and the client for it.
//!
//! Owns: the URL's parts, time limits, what is said where the region or the credentials are
//! missing. Must never know: what the table holds.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    config::{
        Credentials, ProvideCredentials, Region, SharedCredentialsProvider, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
};

use super::{account, http};

/// Time limit of one attempt; the service answers within milliseconds.
const ATTEMPT: Duration = Duration::from_secs(3);
/// Time limit of a request with its retries. The caller has a deadline, and retries.
const REQUEST: Duration = Duration::from_secs(8);
/// Thirty days.
const TTL: Duration = Duration::from_secs(30 * 86_400);

const NO_REGION: &str =
    "DynamoDB has no region here: write dynamodb://TABLE?region=REGION or set AWS_REGION.";

/// Which table a URL names, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableAddress {
    pub(super) table: String,
    endpoint: Option<url::Url>,
    region: Option<String>,
    /// How long what may expire is kept; for ever if none.
    pub(super) ttl: Option<Duration>,
}

impl TableAddress {
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("dynamodb:").unwrap_or(url);
        let (table, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let table = table.strip_prefix("//").unwrap_or_default().trim_end_matches('/');
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if !(3..=255).contains(&table.len()) || !table.bytes().all(fits) {
            // Nothing of it is repeated: it may be a password.
            return Err(
                "The URL has no name of a DynamoDB table: write dynamodb://TABLE, with 3 to \
                        255 of A-Z, a-z, 0-9, _, - and dots."
                    .to_owned(),
            );
        }
        let mut address =
            Self { table: table.to_owned(), endpoint: None, region: None, ttl: Some(TTL) };
        for (name, value) in form_urlencoded::parse(parameters.as_bytes()) {
            address.set(&name, &value)?;
        }
        Ok(address)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "endpoint" => {
                let is_http = |url: &url::Url| {
                    let has_login = !url.username().is_empty() || url.password().is_some();
                    url.has_host() && matches!(url.scheme(), "http" | "https") && !has_login
                };
                let url = url::Url::parse(value).ok().filter(is_http);
                self.endpoint =
                    Some(url.ok_or("`endpoint` is no URL such as http://127.0.0.1:8000.")?);
            }
            "region" if !value.is_empty() => self.region = Some(value.to_owned()),
            "ttl" => {
                let seconds: u64 =
                    value.parse().map_err(|_| "`ttl` is no number of seconds; 0 is never.")?;
                self.ttl = (seconds > 0).then(|| Duration::from_secs(seconds));
            }
            _ => {
                return Err(
                    "A parameter of the URL says nothing to DynamoDB: there are endpoint, \
                            region and ttl."
                        .to_owned(),
                );
            }
        }
        Ok(())
    }

    /// Whether the endpoint is on this machine.
    fn is_local(&self) -> bool {
        match self.endpoint.as_ref().and_then(url::Url::host) {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// A client. It asks nothing of the service yet.
    pub(super) async fn client(&self) -> Result<Client, String> {
        let config = account::config(http::client()?).await;
        let mut region = self.region.clone().map(Region::new).or(config.region().cloned());
        let mut keys = config.credentials_provider();
        if self.is_local() {
            // An engine on this machine checks no signature, but a request has to have one. Keys of
            // a profile are not for it, and what is not on this machine never sees these.
            if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
                let local = Credentials::new("local", "local", None, None, "a local endpoint's");
                keys = Some(SharedCredentialsProvider::new(local));
            }
            region = region.or(Some(Region::from_static("us-east-1")));
        }
        let region = region.ok_or(NO_REGION)?;
        let keys = keys.ok_or_else(account::missing)?;
        keys.provide_credentials().await.map_err(|_| account::missing())?;
        let retries = RetryConfig::standard()
            .with_max_attempts(6)
            .with_initial_backoff(Duration::from_millis(50))
            .with_max_backoff(Duration::from_secs(1));
        let limits = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(REQUEST)
            .build();
        let endpoint =
            self.endpoint.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned());
        let mut config = config.into_builder();
        config.set_endpoint_url(endpoint);
        let config = config.credentials_provider(keys).region(region).retry_config(retries);
        Ok(Client::new(&config.timeout_config(limits).build()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_says() {
        let address =
            TableAddress::parse("//tasks?endpoint=http://127.0.0.1:8000&region=eu-west-1&ttl=9");
        let address = address.unwrap();
        assert_eq!((&*address.table, address.ttl), ("tasks", Some(Duration::from_secs(9))));
        assert_eq!(address.region.as_deref(), Some("eu-west-1"));
        assert!(address.is_local());
        assert_eq!(TableAddress::parse("//tasks").unwrap().ttl, Some(TTL));
        assert_eq!(TableAddress::parse("//tasks?ttl=0").unwrap().ttl, None);
        for (endpoint, local) in
            [("http://localhost", true), ("http://[::1]:1", true), ("https://dynamodb.com", false)]
        {
            let address = TableAddress::parse(&format!("//tasks?endpoint={endpoint}")).unwrap();
            assert_eq!(address.is_local(), local, "{endpoint}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (rest, named) in [
            ("", "no name of a DynamoDB table"),
            ("tasks", "no name of a DynamoDB table"),
            ("//a", "no name of a DynamoDB table"),
            ("//key:secret@tasks", "no name of a DynamoDB table"),
            ("//tasks?endpoint=8000", "`endpoint` is no URL"),
            ("//tasks?endpoint=ftp://host", "`endpoint` is no URL"),
            ("//tasks?region=", "says nothing"),
            ("//tasks?ttl=month", "`ttl` is no number"),
            ("//tasks?tll=1", "there are endpoint, region and ttl"),
        ] {
            let error = TableAddress::parse(rest).unwrap_err();
            assert!(error.contains(named), "{rest}: {error}");
        }
    }
}
