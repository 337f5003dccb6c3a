//! Who asks DynamoDB, and in which region.
//!
//! Owns: where the credentials come from: a Lambda function has them in its environment, a
//! developer also in profiles (feature `aws-profiles`). Must never know: the table's address.

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_types::SdkConfig;

/// What is said where there are no credentials.
pub(super) fn missing() -> String {
    let otherwise = if cfg!(feature = "aws-profiles") { ", or AWS_PROFILE" } else { "" };
    format!(
        "There are no AWS credentials for DynamoDB: set AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY{otherwise}."
    )
}

/// The configuration that the environment, profiles and roles give, in the order of AWS's tools.
#[cfg(feature = "aws-profiles")]
pub(super) async fn config(http: SharedHttpClient) -> SdkConfig {
    aws_config::defaults(aws_config::BehaviorVersion::latest()).http_client(http).load().await
}

/// The configuration that the environment gives. Lambda keeps a function's credentials there as
/// long as its process lives.
#[cfg(not(feature = "aws-profiles"))]
pub(super) async fn config(http: SharedHttpClient) -> SdkConfig {
    use aws_sdk_dynamodb::config::{
        BehaviorVersion, Credentials, Region, SharedCredentialsProvider,
    };

    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let keys = set("AWS_ACCESS_KEY_ID").zip(set("AWS_SECRET_ACCESS_KEY"));
    let keys = keys.map(|(id, secret)| {
        let keys =
            Credentials::new(id, secret, set("AWS_SESSION_TOKEN"), None, "the environment's");
        SharedCredentialsProvider::new(keys)
    });
    let mut config = SdkConfig::builder().behavior_version(BehaviorVersion::latest());
    config.set_credentials_provider(keys);
    let region = set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION"));
    config.region(region.map(Region::new)).http_client(http).build()
}
