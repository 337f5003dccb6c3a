//! Agents that are served in this process, over HTTP and over Kafka: `data`, and one that waits.

use std::sync::Arc;

use a2a_core::{
    Agent, AgentCard, AgentError, AgentExecutor, EventQueue, RequestContext, async_trait,
};
use a2a_local::{config::Config, run::Runner};
use clap::Parser;
use tokio::sync::Semaphore;

/// The agents, and the runner that serves them.
pub(crate) struct Served {
    pub(crate) data: Addresses,
    /// It says `first`, waits until it is let go, says `second` and is done.
    pub(crate) slow: Addresses,
    gate: Arc<Semaphore>,
    runner: Runner,
}

/// Where an agent is.
pub(crate) struct Addresses {
    pub(crate) name: String,
    pub(crate) http: String,
    pub(crate) kafka: String,
}

impl Addresses {
    pub(crate) fn each(&self) -> [&str; 2] {
        [&self.http, &self.kafka]
    }
}

impl Served {
    /// With the broker in this process.
    pub(crate) async fn bare() -> Self {
        Self::start("").await
    }

    /// On a real Kafka.
    pub(crate) async fn on_kafka() -> Self {
        Self::start(&brokers()).await
    }

    async fn start(kafka: &str) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let mut agents = a2a_agent::agents();
        agents.truncate(1);
        let mut card = AgentCard { name: "slow".to_owned(), ..AgentCard::default() };
        card.description = "It waits.".to_owned();
        card.capabilities.streaming = Some(true);
        agents.push(Agent::new(card, Slow(Arc::clone(&gate))));
        // Topics of this test alone.
        let run = uuid::Uuid::new_v4().simple();
        for agent in &mut agents {
            agent.card.name = format!("{}-{run}", agent.card.name);
        }
        let names: Vec<&str> = agents.iter().map(|agent| &*agent.card.name).collect();
        let names = names.join(",");
        let config = Config::parse_from([
            "a2a-local",
            "--agents",
            &names,
            "--port=0",
            "--partitions=2",
            "--store=memory:",
            "--kafka",
            kafka,
        ]);
        let runner = Runner::start(&config, agents).await.unwrap();
        let brokers = runner.brokers().unwrap().to_owned();
        let addresses = |at: usize| {
            let name = runner.agents[at].card().name.clone();
            let http = format!("http://{}", runner.agents[at].address);
            let kafka = format!("kafka://{brokers}/agent.{name}.requests");
            Addresses { name, http, kafka }
        };
        Self { data: addresses(0), slow: addresses(1), gate, runner }
    }

    /// Lets the one that waits go on, once.
    pub(crate) fn let_go(&self) {
        self.gate.add_permits(1);
    }

    /// `kafka://HOST:PORT`.
    pub(crate) fn cluster(&self) -> String {
        format!("kafka://{}", self.runner.brokers().unwrap())
    }

    pub(crate) async fn stop(self) {
        self.runner.stop().await.unwrap();
    }
}

/// A real Kafka.
pub(crate) fn brokers() -> String {
    std::env::var("A2A_TEST_KAFKA").expect("run `cargo xtask test`, which starts Kafka")
}

struct Slow(Arc<Semaphore>);

#[async_trait]
impl AgentExecutor for Slow {
    async fn execute(&self, _: RequestContext, queue: EventQueue) -> Result<(), AgentError> {
        queue.working("I begin.").await?;
        queue.append("answer", "first\n").await?;
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
        queue.last("answer", "second\n").await?;
        Ok(queue.complete("done").await?)
    }
}
