//! Starting and stopping: the handler, and a transport on each side of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use a2a_core::{
    AgentCard, AgentExecutor, DefaultRequestHandler, Limits, Sweeper, http::HttpEndpoint,
    kafka::KafkaEndpoint, store,
};
use a2a_kafka::{KafkaFunction, KafkaProducer};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{self, EmbeddedBroker},
    config::{Brokers, Config},
    consumer::Source,
    http, kafka,
};

/// A runner that serves.
pub struct Runner {
    /// Where HTTP listens.
    pub address: SocketAddr,
    /// The Kafka brokers in use, if any.
    pub brokers: Option<String>,
    handler: DefaultRequestHandler,
    stop: CancellationToken,
    http: JoinHandle<()>,
    sweeper: JoinHandle<()>,
    kafka: Option<JoinHandle<Result<(), String>>>,
    /// Held until the end: it is the broker.
    _broker: Option<EmbeddedBroker>,
}

impl Runner {
    /// Starts an agent over HTTP and, as configured, over Kafka.
    ///
    /// # Errors
    /// One sentence for the user: a port that is taken, a broker that does not answer.
    pub async fn start(
        config: &Config,
        card: AgentCard,
        executor: Arc<dyn AgentExecutor>,
    ) -> Result<Self, String> {
        let listen = SocketAddr::new(config.host, config.port);
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            format!("HTTP cannot listen on {listen}: {error}. Choose another port with --port.")
        })?;
        let address = listener
            .local_addr()
            .map_err(|error| format!("The address of {listen} is not known: {error}."))?;
        let handler = handler(config, located(card, config, address), executor).await?;
        let stop = CancellationToken::new();
        let (broker, brokers, kafka) = start_kafka(config, &handler, &stop).await?;
        let endpoint = HttpEndpoint::new(handler.clone()).map_err(|error| error.to_string())?;
        let http = tokio::spawn(http::serve(listener, endpoint, stop.clone()));
        let sweeper = tokio::spawn(Sweeper::new(handler.clone()).run(stop.clone()));
        Ok(Self { address, brokers, handler, stop, http, sweeper, kafka, _broker: broker })
    }

    /// Ends when Kafka can no longer be consumed; never without Kafka.
    ///
    /// # Errors
    /// One sentence for the user.
    pub async fn failure(&mut self) -> String {
        match &mut self.kafka {
            Some(kafka) => match kafka.await {
                Ok(Err(sentence)) => sentence,
                Ok(Ok(())) => "Kafka is no longer consumed.".to_owned(),
                Err(error) => format!("The Kafka consumer broke: {error}."),
            },
            None => std::future::pending().await,
        }
    }

    /// Takes nothing new, finishes what is in flight, and ends.
    ///
    /// # Errors
    /// One sentence for the user when something could not be finished.
    pub async fn stop(self) -> Result<(), String> {
        self.stop.cancel();
        self.handler.close();
        let _ = self.http.await;
        let _ = self.sweeper.await;
        self.handler.settled().await;
        match self.kafka {
            Some(kafka) => {
                kafka.await.map_err(|error| format!("The Kafka consumer broke: {error}."))?
            }
            None => Ok(()),
        }
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

async fn handler(
    config: &Config,
    card: AgentCard,
    executor: Arc<dyn AgentExecutor>,
) -> Result<DefaultRequestHandler, String> {
    // A schema is migrated without asking. A table costs money and has settings of its own.
    if config.create_table || !config.store.starts_with("dynamodb:") {
        prepare(config).await?;
    }
    let store = store::open(&config.store).await.map_err(of_store)?;
    let mut limits = Limits::default();
    limits.run_time = Duration::from_secs(config.run_seconds);
    limits.lease = Duration::from_secs(config.lease_seconds);
    let handler = DefaultRequestHandler::new(card, executor, store).with_limits(limits);
    Ok(match &config.secret {
        Some(secret) => handler.with_secret(secret.as_bytes()),
        None => handler,
    })
}

type Consumer = JoinHandle<Result<(), String>>;

async fn start_kafka(
    config: &Config,
    handler: &DefaultRequestHandler,
    stop: &CancellationToken,
) -> Result<(Option<EmbeddedBroker>, Option<String>, Option<Consumer>), String> {
    // Within one store the positions of one cluster's records are unique. The embedded broker is a
    // new cluster at each start, whose records have other times.
    let endpoint = KafkaEndpoint::new(handler.clone(), &config.name, "");
    let topics = endpoint.topics().clone();
    let (broker, brokers) = match config.brokers()? {
        Brokers::None => return Ok((None, None, None)),
        Brokers::Real(brokers) => {
            broker::create_topics(&brokers, &topics, config.partitions).await?;
            (None, brokers)
        }
        Brokers::Embedded => {
            let broker = EmbeddedBroker::start(&topics, config.partitions)?;
            let address = broker.address();
            (Some(broker), address)
        }
    };
    let producer = KafkaProducer::new(&brokers)
        .map_err(|error| format!("Answers cannot be produced to {brokers}: {error}."))?;
    let source = Source {
        brokers: brokers.clone(),
        topic: topics.requests,
        group: broker.is_none().then(|| format!("agent.{}", config.name)),
        batch_size: usize::from(config.batch_size),
        window: config.batch_window(),
        fetch_wait: Duration::from_millis(if broker.is_some() { 5 } else { 500 }),
    };
    let function = KafkaFunction::new(endpoint, Arc::new(producer));
    let consumer = tokio::spawn(kafka::consume(source, function, stop.clone()));
    Ok((broker, Some(brokers), Some(consumer)))
}

/// The card with the name and the addresses it is served under.
fn located(mut card: AgentCard, config: &Config, address: SocketAddr) -> AgentCard {
    card.name.clone_from(&config.name);
    let url = config.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    card.located_at(&url)
}
