//! How the function logs in to Kafka.
//!
//! Owns: which way it is told to. Must never know: what is sent.

use std::sync::Arc;

use a2a_lambda::Environment;

use crate::producer::{KafkaProducer, Producer, refused};
#[cfg(feature = "msk")]
use crate::tls;

/// Which login it is: `none`, which is in the clear, or over TLS `tls`, which is no login either,
/// `scram` or `iam`. Those over TLS want the feature `msk`.
const AUTH: &str = "A2A_KAFKA_AUTH";

/// A producer to these brokers, logged in as the environment says.
///
/// # Errors
/// One sentence when the login is not known, lacks a part, or is not in this build.
pub(crate) fn producer(
    environment: &Environment,
    brokers: &str,
) -> Result<Arc<dyn Producer>, String> {
    let auth = environment.get(AUTH)?.unwrap_or_else(|| "none".to_owned());
    match &*auth {
        "none" => {
            let producer = KafkaProducer::new(brokers);
            Ok(Arc::new(producer.map_err(|error| refused(brokers, error))?))
        }
        #[cfg(feature = "msk")]
        "tls" | "scram" | "iam" => tls::producer(environment, brokers, &auth),
        #[cfg(not(feature = "msk"))]
        "tls" | "scram" | "iam" => {
            Err(format!("{AUTH} is `{auth}`, for which this is to be built with --features msk."))
        }
        _ => Err(format!("{AUTH} is `{auth}`: use none, tls, scram or iam.")),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(not(feature = "msk"))]
    use super::*;

    #[cfg(not(feature = "msk"))]
    #[test]
    fn what_is_not_in_this_build_is_one_sentence() {
        for auth in ["tls", "scram", "iam"] {
            let environment = Environment::of([(AUTH, auth)]);
            let said = producer(&environment, "127.0.0.1:1").err().unwrap();
            let expected = "for which this is to be built with --features msk.";
            assert_eq!(said, format!("A2A_KAFKA_AUTH is `{auth}`, {expected}"));
        }
    }
}
