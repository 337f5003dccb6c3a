//! Logging in to Kafka over TLS.
//!
//! Owns: who is trusted, and the ways to say who one is. Must never know: what is sent.

use std::sync::Arc;

use a2a_lambda::Environment;
use rdkafka::{ClientConfig, error::KafkaError};

use crate::{
    iam::Iam,
    producer::{KafkaProducer, Logged, Producer, refused, settings},
};

const USERNAME: &str = "A2A_KAFKA_USERNAME";
const PASSWORD: &str = "A2A_KAFKA_PASSWORD";
/// Who vouches for the brokers, where it is not an authority that everybody knows: certificates as
/// PEM text, or the file they are in.
const CA: &str = "A2A_KAFKA_CA";

/// A producer that logs in by `tls`, `scram` or `iam`.
///
/// # Errors
/// One sentence when a part is missing or librdkafka refuses the settings.
pub(crate) fn producer(
    environment: &Environment,
    brokers: &str,
    auth: &str,
) -> Result<Arc<dyn Producer>, String> {
    let mut settings = settings(brokers);
    match environment.get(CA)? {
        Some(pem) if pem.starts_with("-----BEGIN") => settings.set("ssl.ca.pem", pem),
        Some(file) => settings.set("ssl.ca.location", file),
        // OpenSSL is ours: where this system keeps its certificates must be looked for.
        None => settings.set("ssl.ca.location", "probe"),
    };
    match auth {
        "scram" => {
            settings
                .set("security.protocol", "SASL_SSL")
                .set("sasl.mechanism", "SCRAM-SHA-512")
                .set("sasl.username", environment.need(USERNAME, "the user's name for SCRAM")?)
                .set("sasl.password", environment.need(PASSWORD, "the user's password for SCRAM")?);
            plain(&settings)
        }
        "iam" => {
            let role = Iam::of_function(environment)?;
            settings.set("security.protocol", "SASL_SSL").set("sasl.mechanism", "OAUTHBEARER");
            KafkaProducer::with(&settings, role).map(|it| Arc::new(it) as _)
        }
        _ => plain(settings.set("security.protocol", "SSL")),
    }
    .map_err(|error| refused(brokers, error))
}

/// All that the login needs is in the settings.
fn plain(settings: &ClientConfig) -> Result<Arc<dyn Producer>, KafkaError> {
    Ok(Arc::new(KafkaProducer::with(settings, Logged)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKERS: &str = "127.0.0.1:1";

    #[test]
    fn every_login_is_taken_by_librdkafka() {
        let environment = Environment::of([
            (USERNAME, "agent"),
            (PASSWORD, "secret"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]);
        for auth in ["tls", "scram", "iam"] {
            assert!(producer(&environment, BROKERS, auth).is_ok(), "{auth}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_one_sentence() {
        let missing = |auth| producer(&Environment::of([]), BROKERS, auth).err().unwrap();
        assert_eq!(
            missing("scram"),
            "A2A_KAFKA_USERNAME is not set. It holds the user's name for SCRAM."
        );
        assert_eq!(
            missing("iam"),
            "AWS_REGION is not set. It holds the AWS region of the cluster."
        );
        let file = Environment::of([(CA, "/nowhere/ca.pem")]);
        let said = producer(&file, BROKERS, "tls").err().unwrap();
        assert!(said.starts_with("Answers cannot be produced to 127.0.0.1:1: "), "{said}");
    }
}
