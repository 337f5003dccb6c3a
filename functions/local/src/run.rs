//! Starting and stopping: the agents, their store and their broker.
//!
//! Owns: which agents run, in which order, and what they share. Must never know: how one agent is
//! served (that is `serving`'s).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use a2a_core::{
    Agent, AgentCard, DefaultRequestHandler, Limits, Peers, TaskStore,
    client::Client,
    kafka::{KafkaEndpoint, Topics},
    store::{self, AgentStore},
    wire::kafka::interface,
};
use a2a_kafka::{KafkaFunction, KafkaProducer};
use futures_util::future::select_all;
use tokio::net::TcpListener;

use crate::{
    broker::{self, EmbeddedBroker},
    config::{Brokers, Config},
    consumer::Source,
    serving::Serving,
};

/// A runner that serves.
pub struct Runner {
    /// The agents it serves, each behind those it calls.
    pub agents: Vec<Serving>,
    /// The Kafka brokers in use, if any.
    pub brokers: Option<String>,
    /// Held until the end: it is the broker.
    _broker: Option<EmbeddedBroker>,
}

impl Runner {
    /// Starts the agents that the configuration chooses of these, over HTTP and, as configured,
    /// over Kafka.
    ///
    /// # Errors
    /// One sentence for the user: a port that is taken, a broker that does not answer.
    pub async fn start(config: &Config, agents: impl Into<Vec<Agent>>) -> Result<Self, String> {
        let mut listening = Vec::new();
        for (agent, port) in config.choose(agents.into())? {
            let (listener, address) = listen(SocketAddr::new(config.host, port)).await?;
            listening.push((agent, listener, address));
        }
        let store = open(config).await?;
        // Before Kafka: an agent that cannot be made is said in one sentence, without a broker's.
        let mut peers = Peers::default();
        let mut handlers = Vec::new();
        for (Agent { card, executor }, listener, address) in listening {
            let store = Arc::new(AgentStore::new(Arc::clone(&store), &card.name));
            let card = located(card, config, address);
            let handler = DefaultRequestHandler::new(card, executor(&peers)?, store);
            let handler = configured(handler, config);
            peers.offer(&handler.card().name, || Client::new(Arc::new(handler.clone())));
            handlers.push((handler, listener, address));
        }
        let topics = handlers.iter().map(|(handler, ..)| Topics::of(&handler.card().name));
        let kafka = Kafka::start(config, &Vec::from_iter(topics)).await?;
        let mut agents = Vec::new();
        for (mut handler, listener, address) in handlers {
            if let Some(kafka) = &kafka {
                let brokers = config.kafka_public.as_ref().unwrap_or(&kafka.brokers);
                let requests = Topics::of(&handler.card().name).requests;
                handler = handler.also_at(interface(brokers, &requests));
            }
            let kafka = kafka.as_ref().map(|kafka| kafka.of(&handler, config));
            agents.push(Serving::start(handler, listener, address, kafka)?);
        }
        let (brokers, broker) = match kafka {
            Some(Kafka { brokers, embedded, .. }) => (Some(brokers), embedded),
            None => (None, None),
        };
        Ok(Self { agents, brokers, _broker: broker })
    }

    /// Ends when Kafka can no longer be consumed; never without Kafka.
    pub async fn failure(&mut self) -> String {
        let all = self.agents.iter_mut().map(|agent| Box::pin(agent.failure()));
        select_all(all).await.0
    }

    /// Takes nothing new, finishes what is in flight, and ends. An agent is stopped before those it
    /// calls.
    ///
    /// # Errors
    /// One sentence for the user when something could not be finished.
    pub async fn stop(self) -> Result<(), String> {
        let mut outcome = Ok(());
        for agent in self.agents.into_iter().rev() {
            outcome = outcome.and(agent.stop().await);
        }
        outcome
    }
}

/// Makes or migrates what the store needs.
///
/// # Errors
/// One sentence for the user.
pub async fn prepare(config: &Config) -> Result<(), String> {
    store::prepare(&config.store).await.map_err(of_store)
}

fn of_store(sentence: String) -> String {
    format!("--store (A2A_STORE): {sentence}")
}

async fn open(config: &Config) -> Result<Arc<dyn TaskStore>, String> {
    // A schema is migrated without asking. A table costs money and has settings of its own.
    if config.create_table || !config.store.starts_with("dynamodb:") {
        prepare(config).await?;
    }
    store::open(&config.store).await.map_err(of_store)
}

async fn listen(at: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let listener = TcpListener::bind(at).await.map_err(|error| {
        format!("HTTP cannot listen on {at}: {error}. Choose another port with --port.")
    })?;
    let address = listener.local_addr();
    let address = address.map_err(|error| format!("The address of {at} is not known: {error}."))?;
    Ok((listener, address))
}

/// The card with the address it is served under.
fn located(card: AgentCard, config: &Config, address: SocketAddr) -> AgentCard {
    let url = config.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    card.located_at(&url)
}

fn configured(handler: DefaultRequestHandler, config: &Config) -> DefaultRequestHandler {
    let mut limits = Limits::default();
    limits.run_time = Duration::from_secs(config.run_seconds);
    limits.lease = Duration::from_secs(config.lease_seconds);
    let handler = handler.with_limits(limits);
    match &config.secret {
        Some(secret) => handler.with_secret(secret.as_bytes()),
        None => handler,
    }
}

/// Kafka, as all agents of this runner use it.
struct Kafka {
    brokers: String,
    embedded: Option<EmbeddedBroker>,
    producer: Arc<KafkaProducer>,
}

impl Kafka {
    /// With these topics; none where Kafka is not wanted.
    async fn start(config: &Config, topics: &[Topics]) -> Result<Option<Self>, String> {
        let (brokers, embedded) = match config.brokers()? {
            Brokers::None => return Ok(None),
            Brokers::Real(brokers) => {
                for topics in topics {
                    broker::create_topics(&brokers, topics, config.partitions).await?;
                }
                (brokers, None)
            }
            Brokers::Embedded => {
                let broker = EmbeddedBroker::start(topics, config.partitions)?;
                (broker.address(), Some(broker))
            }
        };
        let producer = KafkaProducer::new(&brokers)
            .map_err(|error| format!("Answers cannot be produced to {brokers}: {error}."))?;
        Ok(Some(Self { brokers, embedded, producer: Arc::new(producer) }))
    }

    /// Where one agent's requests come from, and what answers them.
    fn of(&self, handler: &DefaultRequestHandler, config: &Config) -> (Source, KafkaFunction) {
        let name = &handler.card().name;
        // Within one store the positions of one cluster's records are unique. The embedded broker
        // is a new cluster at each start, whose records have other times.
        let endpoint = KafkaEndpoint::new(handler.clone(), name, "")
            .with_reply_topics(config.reply_topics.clone().unwrap_or_default());
        let real = self.embedded.is_none();
        let source = Source {
            brokers: self.brokers.clone(),
            topic: endpoint.topics().requests.clone(),
            group: real.then(|| format!("agent.{name}")),
            batch_size: usize::from(config.batch_size),
            window: config.batch_window(),
            fetch_wait: Duration::from_millis(if real { 500 } else { 5 }),
        };
        let function = KafkaFunction::new(endpoint, Arc::clone(&self.producer) as _);
        (source, function.with_patience(config.patience()))
    }
}
