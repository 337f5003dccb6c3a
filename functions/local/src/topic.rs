//! What a topic's own settings say.
//!
//! Owns: asking the broker for them. Must never know: what they change.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier},
    client::DefaultClientContext,
};

/// How long a broker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of an agent's topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicSettings {
    /// How many bytes a batch of answers may have (`max.message.bytes`); none where that is not known.
    pub max_message_bytes: Option<usize>,
    /// Whether a request's time is the broker's (`message.timestamp.type`).
    pub broker_time: bool,
}

/// The settings of these topics of requests and of answers. What a broker does not tell is as by
/// default: it may not be this runner's right to ask.
pub async fn settings(brokers: &str, requests: &str, responses: &str) -> TopicSettings {
    let described = describe(brokers, requests, responses).await;
    let described = described.unwrap_or_else(|error| {
        tracing::debug!(error, "the topics' settings are not known");
        Vec::new()
    });
    let said = |topic: usize, name: &str| {
        let value = described.get(topic).and_then(Option::as_ref)?.get(name)?.value.clone();
        value.filter(|value| !value.is_empty())
    };
    TopicSettings {
        max_message_bytes: said(1, "max.message.bytes").and_then(|bytes| bytes.parse().ok()),
        broker_time: said(0, "message.timestamp.type").is_some_and(|it| it == "LogAppendTime"),
    }
}

async fn describe(
    brokers: &str,
    requests: &str,
    responses: &str,
) -> Result<Vec<Option<ConfigResource>>, String> {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("log_level", "0")
        .create()
        .map_err(|error| error.to_string())?;
    let topics = [requests, responses].map(ResourceSpecifier::Topic);
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let described = admin.describe_configs(&topics, &options).await;
    let described = described.map_err(|error| error.to_string())?;
    Ok(described.into_iter().map(Result::ok).collect())
}
