//! Kafka brokers: a real one's topics, or one inside this process.
//!
//! The embedded broker is librdkafka's own test cluster. It keeps nothing, and its consumer groups
//! rebalance slowly, so there is one runner, which takes all partitions itself.

use std::time::Duration;

use a2a_core::{
    kafka::{MAX_ANSWER, Topics},
    wire::kafka::registry,
};
use a2a_kafka::producer::MAX_MESSAGE;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    error::KafkaError,
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::RDKafkaErrorCode,
};

/// How long a broker may take to answer before it counts as unreachable.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A broker inside this process; it ends with this value.
pub struct EmbeddedBroker(MockCluster<'static, DefaultProducerContext>);

impl EmbeddedBroker {
    /// Starts a broker with the topics of these agents, on a free port of the loopback interface.
    ///
    /// # Errors
    /// One sentence for the user.
    pub fn start(topics: &[Topics], partitions: i32) -> Result<Self, String> {
        let failed = |error| format!("The embedded Kafka broker could not be started: {error}.");
        let cluster = MockCluster::new(1).map_err(failed)?;
        for topic in topics.iter().flat_map(all) {
            cluster.create_topic(topic, partitions, 1).map_err(failed)?;
        }
        cluster.create_topic(registry::TOPIC, 1, 1).map_err(failed)?;
        Ok(Self(cluster))
    }

    /// Its address, `HOST:PORT`.
    pub fn address(&self) -> String {
        self.0.bootstrap_servers()
    }
}

/// Creates those of an agent's topics that are missing.
///
/// # Errors
/// One sentence for the user when the broker cannot be reached or refuses.
pub async fn create_topics(brokers: &str, topics: &Topics, partitions: i32) -> Result<(), String> {
    create_missing(brokers, &all(topics), partitions).await
}

/// Creates those of these topics that are missing.
///
/// # Errors
/// As [`create_topics`].
pub async fn create_missing(brokers: &str, all: &[&str], partitions: i32) -> Result<(), String> {
    let unreachable = |error| format!("No Kafka broker answers at {brokers}: {error}.");
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // What it cannot reach it would log again and again; the sentence above says it once.
        .set("log_level", "0")
        .create()
        .map_err(unreachable)?;
    let (admin, existing) = tokio::task::spawn_blocking(move || {
        let metadata = admin.inner().fetch_metadata(None, TIMEOUT)?;
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        Ok((admin, names.collect::<Vec<String>>()))
    })
    .await
    .map_err(|error| format!("Kafka could not be asked for its topics: {error}."))?
    .map_err(unreachable)?;
    // What is there is not asked for: creating may not be this runner's right.
    let missing: Vec<NewTopic<'_>> = all
        .iter()
        .filter(|topic| !existing.iter().any(|name| name == *topic))
        .map(|topic| NewTopic::new(topic, partitions, TopicReplication::Fixed(-1)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let options =
        AdminOptions::new().operation_timeout(Some(TIMEOUT)).request_timeout(Some(TIMEOUT));
    let created = admin.create_topics(&missing, &options).await.map_err(unreachable)?;
    for outcome in created {
        match outcome {
            Ok(topic) => tracing::info!(topic, partitions, "created a Kafka topic"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, error)) => {
                return Err(format!("The Kafka topic {topic} could not be created: {error}."));
            }
        }
    }
    Ok(())
}

/// How many bytes an answer on that topic may have (`max.message.bytes`); [`MAX_ANSWER`], where this
/// runner has no right to ask.
pub async fn max_answer(brokers: &str, responses: &str) -> usize {
    let told = describe(brokers, responses).await;
    let told =
        told.inspect_err(|error| tracing::info!(%error, "the topic's settings are not known"));
    told.ok().flatten().unwrap_or(MAX_ANSWER).min(MAX_MESSAGE)
}

async fn describe(brokers: &str, topic: &str) -> Result<Option<usize>, KafkaError> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).set("log_level", "0").create()?;
    let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
    let told = admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options).await?;
    let told = told.into_iter().next().transpose().map_err(KafkaError::AdminOp)?;
    let bytes = told.and_then(|it| it.get("max.message.bytes").and_then(|it| it.value.clone()));
    Ok(bytes.and_then(|it| it.parse().ok()))
}

fn all(topics: &Topics) -> [&str; 3] {
    [&topics.requests, &topics.responses, &topics.dead_letter]
}
