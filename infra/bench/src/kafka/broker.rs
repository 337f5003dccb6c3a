//! The two brokers: librdkafka's in-process one, which lives in the driver, and a real one.

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::settings;

/// A broker to measure on.
pub(crate) struct Broker {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// Its bootstrap address.
    pub(crate) address: String,
    /// How long a fetch may wait for records. A real broker answers as soon as there are some. The
    /// in-process one does not: it lets the whole wait pass first, so the wait must be short.
    pub(crate) fetch_wait_ms: u32,
    /// Ends with this process.
    in_process: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Broker {
    /// Starts the in-process broker.
    pub(crate) fn in_process() -> Result<Self, String> {
        let cluster =
            MockCluster::new(1).map_err(|error| format!("no in-process broker: {error}"))?;
        let address = cluster.bootstrap_servers();
        let in_process = Some(cluster);
        Ok(Self { name: "in-process broker", address, fetch_wait_ms: 1, in_process })
    }

    /// The broker at this bootstrap address.
    pub(crate) fn real(address: &str) -> Self {
        let address = address.to_owned();
        Self { name: "real broker", address, fetch_wait_ms: 500, in_process: None }
    }

    /// Makes topics that are not there yet. The in-process broker does not speak the request for
    /// it, but has a function.
    pub(crate) async fn create_topics(&self, names: [&str; 2]) -> Result<(), String> {
        match &self.in_process {
            Some(cluster) => names.iter().try_for_each(|name| {
                let created = cluster.create_topic(name, settings::PARTITIONS, 1);
                created.map_err(|error| format!("cannot create topic {name}: {error}"))
            }),
            None => create_on(&self.address, names).await,
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
