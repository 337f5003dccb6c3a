//! Logging in to Amazon MSK as the function's role.
//!
//! Owns: the token, which is a signed URL and is made here, without the network. Must never know:
//! what is sent.

use std::error::Error;

use aws_config::{Region, environment::EnvironmentVariableCredentialsProvider};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_msk_iam_sasl_signer::generate_auth_token_from_credentials_provider;
use futures_util::FutureExt;
use rdkafka::{
    client::{ClientContext, OAuthToken},
    config::RDKafkaLogLevel,
    error::KafkaError,
};

use crate::producer::Logged;

/// A role, in a region.
pub(crate) struct Iam {
    region: Region,
    role: SharedCredentialsProvider,
}

impl Iam {
    /// The function's own role: Lambda keeps its credentials in the environment, as long as the
    /// process lives.
    pub(crate) fn of_function(region: String) -> Self {
        Self::new(region, EnvironmentVariableCredentialsProvider::new())
    }

    fn new(region: String, role: impl ProvideCredentials + 'static) -> Self {
        Self { region: Region::new(region), role: SharedCredentialsProvider::new(role) }
    }

    /// A token for a login; it is good for fifteen minutes.
    fn token(&self) -> Result<OAuthToken, Box<dyn Error>> {
        let (region, role) = (self.region.clone(), self.role.clone());
        let token = generate_auth_token_from_credentials_provider(region, role);
        // librdkafka asks on a thread of its own, where there is no runtime; none is needed.
        let (token, lifetime_ms) =
            token.now_or_never().ok_or("the credentials are not in the environment")??;
        Ok(OAuthToken { token, principal_name: String::new(), lifetime_ms })
    }
}

impl ClientContext for Iam {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn error(&self, error: KafkaError, reason: &str) {
        Logged.error(error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, kind: &str, reason: &str) {
        Logged.log(level, kind, reason);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.token().inspect_err(|error| tracing::error!(%error, "no token for Kafka"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use aws_credential_types::Credentials;
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn a_token_is_a_signed_url_of_the_role() {
        let role = Credentials::new("AKIDEXAMPLE", "secret", Some("session".into()), None, "test");
        let token = Iam::new("eu-central-1".to_owned(), role).token().unwrap();
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(token.token).unwrap()).unwrap();
        assert!(url.starts_with("https://kafka.eu-central-1.amazonaws.com/?"), "{url}");
        for part in ["Action=kafka-cluster%3AConnect", "AKIDEXAMPLE", "X-Amz-Signature=", "session"]
        {
            assert!(url.contains(part), "{part} in {url}");
        }
        assert!(!url.contains("secret"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let left = i128::from(token.lifetime_ms) - i128::try_from(now).unwrap();
        assert!((800_000..=900_000).contains(&left), "{left} ms");
    }
}
