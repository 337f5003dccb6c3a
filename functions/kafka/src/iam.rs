//! Logging in to Amazon MSK as the function's role.
//!
//! Owns: the token, which is a signed URL and is made here, without the network. Must never know:
//! what is sent.

use std::{
    error::Error,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use a2a_lambda::Environment;
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4::SigningParams,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rdkafka::{
    client::{ClientContext, OAuthToken},
    config::RDKafkaLogLevel,
    error::KafkaError,
};

use crate::producer::Logged;

/// How long a token is good for: as long as Amazon MSK takes one.
const LIFETIME: Duration = Duration::from_secs(900);

/// A role, in a region.
#[derive(Clone)]
pub(crate) struct Iam {
    region: String,
    role: Credentials,
}

impl Iam {
    /// The function's own role: Lambda keeps its credentials in the environment, as long as the
    /// process lives.
    ///
    /// # Errors
    /// One sentence on what is missing there.
    pub(crate) fn of_function(environment: &Environment) -> Result<Self, String> {
        let region = environment.need("AWS_REGION", "the AWS region of the cluster")?;
        let id = environment.need("AWS_ACCESS_KEY_ID", "an access key of the function's role")?;
        let secret = environment.need("AWS_SECRET_ACCESS_KEY", "the secret of the access key")?;
        let session = environment.get("AWS_SESSION_TOKEN")?;
        Ok(Self { region, role: Credentials::new(id, secret, session, None, "the function's") })
    }

    /// A token for a login: the URL of a connection, signed in its query at that time.
    fn token(&self, now: SystemTime) -> Result<OAuthToken, Box<dyn Error>> {
        let path = format!("https://kafka.{}.amazonaws.com/?", self.region);
        let url = format!("{path}Action=kafka-cluster%3AConnect");
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(LIFETIME);
        let identity = self.role.clone().into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("kafka-cluster")
            .time(now)
            .settings(settings)
            .build()?
            .into();
        let request = SignableRequest::new("GET", &*url, [].into_iter(), SignableBody::empty())?;
        let (signed, _) = sign(request, &parameters)?.into_parts();
        let mut query = form_urlencoded::Serializer::for_suffix(url, path.len());
        query.extend_pairs(signed.params());
        // Not signed: brokers count by it who logs in.
        query.append_pair("User-Agent", concat!("a2a-kafka/", env!("CARGO_PKG_VERSION")));
        let expires = now.duration_since(UNIX_EPOCH)? + LIFETIME;
        Ok(OAuthToken {
            token: URL_SAFE_NO_PAD.encode(query.finish()),
            principal_name: String::new(),
            lifetime_ms: i64::try_from(expires.as_millis())?,
        })
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
        self.token(SystemTime::now())
            .inspect_err(|error| tracing::error!(%error, "no token for Kafka"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_token_is_a_signed_url_of_the_role() {
        let environment = Environment::of([
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_SESSION_TOKEN", "session/+="),
        ]);
        let then = UNIX_EPOCH + Duration::from_secs(1_795_374_786);
        let token = Iam::of_function(&environment).unwrap().token(then).unwrap();
        assert_eq!(token.lifetime_ms, 1_795_375_686_000);
        let url = String::from_utf8(URL_SAFE_NO_PAD.decode(token.token).unwrap()).unwrap();
        let (path, query) = url.split_once('?').unwrap();
        assert_eq!(path, "https://kafka.eu-central-1.amazonaws.com/");
        let query: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let signature = "1c1e3eb537ba0cefd14a63e3eaf2ca5ef42848a270e575a2763132a73b2367be";
        for (name, value) in [
            ("Action", "kafka-cluster:Connect"),
            ("X-Amz-Credential", "AKIDEXAMPLE/20261122/eu-central-1/kafka-cluster/aws4_request"),
            ("X-Amz-Date", "20261122T191306Z"),
            ("X-Amz-Expires", "900"),
            ("X-Amz-Security-Token", "session/+="),
            // What Amazon's own library for Python (botocore) makes of the same.
            ("X-Amz-Signature", signature),
        ] {
            assert_eq!(query[name], value, "{name} in {url}");
        }
    }
}
