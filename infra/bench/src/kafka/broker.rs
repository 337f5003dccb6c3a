//! The two brokers: librdkafka's in-process one, which lives in the driver, and a real one.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::settings;

/// A broker to measure on.
pub(crate) enum Broker {
    /// Gone with the driver.
    InProcess(MockCluster<'static, DefaultProducerContext>),
    /// Somebody else's.
    Real(String),
}

impl Broker {
    /// Starts the in-process broker.
    pub(crate) fn in_process() -> Result<Self, String> {
        let cluster = MockCluster::new(1);
        cluster.map(Self::InProcess).map_err(|error| format!("no in-process broker: {error}"))
    }

    /// The broker at this bootstrap address.
    pub(crate) fn real(address: &str) -> Self {
        Self::Real(address.to_owned())
    }

    /// Its name in the table.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::InProcess(_) => "in-process broker",
            Self::Real(_) => "real broker",
        }
    }

    /// Its bootstrap address.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::InProcess(cluster) => cluster.bootstrap_servers(),
            Self::Real(address) => address.clone(),
        }
    }

    /// How long a fetch may wait for records. A real broker answers as soon as there are some. The
    /// in-process one does not: it lets the whole wait pass first, so the wait must be short.
    pub(crate) fn fetch_wait_ms(&self) -> u32 {
        match self {
            Self::InProcess(_) => 1,
            Self::Real(_) => 500,
        }
    }

    /// Makes topics that are not there yet. The in-process broker does not speak the request for
    /// it, but has a function.
    pub(crate) async fn create_topics(&self, names: [&str; 2]) -> Result<(), String> {
        match self {
            Self::InProcess(cluster) => names.iter().try_for_each(|name| {
                let created = cluster.create_topic(name, settings::PARTITIONS, 1);
                created.map_err(|error| format!("cannot create topic {name}: {error}"))
            }),
            Self::Real(address) => create_on(address, names).await,
        }
    }
}

async fn create_on(address: &str, names: [&str; 2]) -> Result<(), String> {
    let admin: AdminClient<DefaultClientContext> = settings::producer(address)
        .create()
        .map_err(|error| format!("no admin client for {address}: {error}"))?;
    let topics =
        names.map(|name| NewTopic::new(name, settings::PARTITIONS, TopicReplication::Fixed(1)));
    let created = admin.create_topics(&topics, &AdminOptions::new()).await;
    for outcome in created.map_err(|error| format!("cannot create topics: {error}"))? {
        outcome.map_err(|(name, code)| format!("cannot create topic {name}: {code}"))?;
    }
    Ok(())
}
