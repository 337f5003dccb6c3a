//! Starting and stopping: the agents, their store and their broker.
//!
//! Owns: which agents run, in which order, and what they share. Must never know: how one agent is
//! served (that is `serving`'s).

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use a2a_core::{
    Agent, AgentCard, DefaultRequestHandler, Limits, TaskStore,
    client::Client,
    kafka::{KafkaEndpoint, MAX_ANSWER, Topics},
    store::{self, AgentStore},
    wire::kafka::interface,
};
use a2a_kafka::{KafkaProducer, RecordHandler};
use a2a_lambda::{Environment, credentials::with_bearer, peers};
use futures_util::future::select_all;
use tokio::net::TcpListener;

use crate::{
    broker::{self, EmbeddedBroker},
    config::{Brokers, Config},
    consumer::Source,
    health::Health,
    kafka::Work,
    serving::Serving,
};

/// A runner that serves.
pub struct Runner {
    /// The agents it serves, each behind those it calls.
    pub agents: Vec<Serving>,
    /// Held until the end: it may be the broker itself.
    broker: Option<Broker>,
}

impl Runner {
    /// The Kafka brokers in use, if any.
    pub fn brokers(&self) -> Option<&str> {
        self.broker.as_ref().map(|broker| &*broker.address)
    }

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
        let topics = listening.iter().map(|(agent, ..)| Topics::of(&agent.card.name));
        let topics = Vec::from_iter(topics);
        let broker = Broker::find(config, &topics)?;
        let environment = Environment::process();
        let mut peers = peers::read(&config.peer, &environment)
            .map_err(|why| format!("--peer (A2A_PEERS): {why}"))?;
        let mut handlers = Vec::new();
        for (Agent { card, executor }, listener, address) in listening {
            let store = Arc::new(AgentStore::new(Arc::clone(&store), &card.name));
            let card = located(card, config, address);
            let handler = DefaultRequestHandler::new(card, executor(&peers)?, store);
            let handler = configured(handler, config)?;
            let name = &handler.card().name;
            if peers.get(name).is_none() {
                let client = match &broker {
                    Some(broker) => peers::client(name, &broker.url(name), &environment)?,
                    None => Client::new(Arc::new(handler.clone())),
                };
                peers.insert(name, client);
            }
            handlers.push((handler, listener, address));
        }
        // Now that no agent is missing: what goes wrong before is one sentence, without a broker's.
        let kafka = match broker {
            Some(broker) => Some(broker.open(config, &topics).await?),
            None => None,
        };
        let mut agents = Vec::new();
        for (mut handler, listener, address) in handlers {
            if let Some(kafka) = &kafka {
                let brokers = config.kafka_public.as_ref().unwrap_or(&kafka.broker.address);
                let requests = Topics::of(&handler.card().name).requests;
                handler = handler.also_at(interface(brokers, &requests));
            }
            let health = Health::default();
            let kafka = kafka.as_ref().map(|kafka| kafka.of(&handler, config, &health));
            let drain = Duration::from_secs(config.drain_seconds);
            agents.push(Serving::start(handler, (listener, address), health, kafka, drain)?);
        }
        Ok(Self { agents, broker: kafka.map(|kafka| kafka.broker) })
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

fn configured(
    handler: DefaultRequestHandler,
    config: &Config,
) -> Result<DefaultRequestHandler, String> {
    let mut limits = Limits::default();
    limits.run_time = Duration::from_secs(config.run_seconds);
    limits.lease = Duration::from_secs(config.lease_seconds);
    let mut handler = handler.with_limits(limits);
    if let Some(secret) = &config.secret {
        handler = handler.with_secret(secret.as_bytes());
    }
    let Config { jwks, jwt_issuer, jwt_audience, .. } = config;
    with_bearer(handler, jwks.as_deref(), jwt_issuer.as_deref(), jwt_audience.as_deref())
}

/// The brokers of this runner.
struct Broker {
    address: String,
    embedded: Option<EmbeddedBroker>,
}

impl Broker {
    /// None where Kafka is not wanted. One in this process has these topics.
    fn find(config: &Config, topics: &[Topics]) -> Result<Option<Self>, String> {
        Ok(match config.brokers()? {
            Brokers::None => None,
            Brokers::Real(address) => Some(Self { address, embedded: None }),
            Brokers::Embedded => {
                let broker = EmbeddedBroker::start(topics, config.partitions)?;
                Some(Self { address: broker.address(), embedded: Some(broker) })
            }
        })
    }

    /// Where the agent of that name is reached.
    fn url(&self, agent: &str) -> String {
        interface(&self.address, &Topics::of(agent).requests).url
    }

    /// With these topics, and a producer of answers.
    async fn open(self, config: &Config, topics: &[Topics]) -> Result<Kafka, String> {
        let address = &self.address;
        let mut max_answers = BTreeMap::new();
        if self.embedded.is_none() {
            for topics in topics {
                broker::create_topics(address, topics, config.partitions).await?;
                let bytes = broker::max_answer(address, &topics.responses).await;
                max_answers.insert(topics.responses.clone(), bytes);
            }
        }
        let producer = KafkaProducer::new(address)
            .map_err(|error| format!("Answers cannot be produced to {address}: {error}."))?;
        Ok(Kafka { broker: self, producer: Arc::new(producer), max_answers })
    }
}

/// Kafka, as all agents of this runner use it.
struct Kafka {
    broker: Broker,
    producer: Arc<KafkaProducer>,
    /// How many bytes an answer may have, by its topic.
    max_answers: BTreeMap<String, usize>,
}

impl Kafka {
    /// Where one agent's requests come from, and what serves them.
    fn of(
        &self,
        handler: &DefaultRequestHandler,
        config: &Config,
        health: &Health,
    ) -> (Source, RecordHandler, Work) {
        let name = &handler.card().name;
        // Within one store the positions of one cluster's records are unique. The embedded broker
        // is a new cluster at each start, whose records have other times.
        let endpoint = KafkaEndpoint::new(handler.clone(), name, "")
            .with_reply_topics(config.reply_topics.clone().unwrap_or_default())
            .with_stream_time(Duration::from_secs(60 * config.kafka_stream_minutes));
        let max_answer = self.max_answers.get(&endpoint.topics().responses).copied();
        let endpoint = endpoint.with_max_answer(max_answer.unwrap_or(MAX_ANSWER));
        let real = self.broker.embedded.is_none();
        let source = Source {
            brokers: self.broker.address.clone(),
            topic: endpoint.topics().requests.clone(),
            group: real.then(|| format!("agent.{name}")),
            fetch_wait: Duration::from_millis(if real { 500 } else { 5 }),
        };
        let records = RecordHandler::new(endpoint, Arc::clone(&self.producer) as _);
        let work = Work {
            concurrency: config.concurrency as usize,
            store_is_shared: !config.store.starts_with("memory:"),
            drain: Duration::from_secs(config.drain_seconds),
            health: health.clone(),
            ..Work::default()
        };
        (source, records.give_up_after(config.give_up()), work)
    }
}
