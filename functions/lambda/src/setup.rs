//! A function's handler, as its environment variables set it up: the agent, its name, its store, its
//! peers, and how callers are authenticated.
//!
//! Owns: the names of those variables. Must never know: which of the functions it is.

use std::sync::Arc;

use a2a_core::{
    Agent, DefaultRequestHandler, Peers,
    kafka::Topics,
    store::{self, AgentStore},
    wire::kafka::interface,
};

use crate::{
    credentials::{AUDIENCE, ISSUER, JWKS, with_bearer},
    environment::{Environment, PEERS},
};

/// Which of the program's agents is served, by its name; the first one where it is unset.
pub const AGENT: &str = "A2A_AGENT";
/// Another name for it, which then names its topics and its part of the store.
pub const NAME: &str = "A2A_NAME";
/// The Kafka brokers as clients see them, where the card is to name them: `HOST:PORT`, with commas
/// between.
pub const KAFKA_PUBLIC: &str = "A2A_KAFKA_PUBLIC";
/// The store's URL; see [`store::open`].
pub const STORE: &str = "A2A_STORE";
/// What page tokens are signed with, the same for all instances; see
/// [`DefaultRequestHandler::with_secret`].
pub const SECRET: &str = "A2A_SECRET";

impl Environment {
    /// The one of these agents that is to be served, under the name it is to have.
    ///
    /// # Errors
    /// One sentence when there is no such agent, or its name cannot be part of a topic's name.
    pub fn agent(&self, mut agents: Vec<Agent>) -> Result<Agent, String> {
        let place = match self.get(AGENT)? {
            Some(name) => Agent::find(&agents, &name).map_err(|why| format!("{AGENT}: {why}"))?,
            None if agents.is_empty() => return Err("This program has no agent.".to_owned()),
            None => 0,
        };
        let mut agent = agents.swap_remove(place);
        if let Some(name) = self.get(NAME)? {
            agent.card.name = name;
        }
        let name = &agent.card.name;
        Topics::check(name).map_err(|why| format!("{NAME} is `{name}`: {why}."))?;
        if let Some(brokers) = self.get(KAFKA_PUBLIC)? {
            let over_kafka = interface(&brokers, &Topics::of(name).requests);
            agent.card.supported_interfaces.push(over_kafka);
        }
        Ok(agent)
    }

    /// The handler of that agent, over its part of its store.
    ///
    /// # Errors
    /// One sentence when the agent or the store is missing or wrong.
    pub async fn handler(&self, agents: Vec<Agent>) -> Result<DefaultRequestHandler, String> {
        let Agent { card, executor } = self.agent(agents)?;
        let url = self.need(STORE, "the URL of the task store, for example memory:")?;
        let store = store::open(&url).await.map_err(|why| format!("{STORE}: {why}"))?;
        let store = Arc::new(AgentStore::new(store, &card.name));
        let executor = executor(&self.peers()?)?;
        let mut handler = DefaultRequestHandler::new(card, executor, store);
        if let Some(secret) = self.get(SECRET)? {
            handler = handler.with_secret(secret.as_bytes());
        }
        let [jwks, issuer, audience] = [JWKS, ISSUER, AUDIENCE].map(|name| self.get(name));
        with_bearer(handler, jwks?.as_deref(), issuer?.as_deref(), audience?.as_deref())
    }

    /// The agents that the agent may call.
    #[cfg(feature = "peers")]
    fn peers(&self) -> Result<Peers, String> {
        crate::peers::of_function(self).map_err(|why| format!("{PEERS}: {why}"))
    }

    #[cfg(not(feature = "peers"))]
    fn peers(&self) -> Result<Peers, String> {
        match self.get(PEERS)? {
            None => Ok(Peers::default()),
            Some(_) => Err(format!(
                "{PEERS} is set, but this function is built without the feature that calls others."
            )),
        }
    }

    /// Whether this is a Lambda environment, or something that looks like it.
    ///
    /// # Errors
    /// One sentence on what to do when it is not.
    pub fn check_lambda(&self) -> Result<(), String> {
        if self.get("AWS_LAMBDA_RUNTIME_API")?.is_some() {
            return Ok(());
        }
        Err("This program is a Lambda function: start it with `cargo lambda watch`. \
             Without Lambda, `cargo run` starts the local runner."
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use a2a_core::{AgentCard, AgentError, AgentExecutor, EventQueue, RequestContext, async_trait};

    use super::*;

    struct Silent;

    #[async_trait]
    impl AgentExecutor for Silent {
        async fn execute(&self, _: RequestContext, _: EventQueue) -> Result<(), AgentError> {
            Ok(())
        }
    }

    fn agents() -> Vec<Agent> {
        let named = |name: &str| AgentCard { name: name.to_owned(), ..AgentCard::default() };
        let agent = |name| Agent::new(named(name), Silent);
        vec![agent("data"), agent("balance")]
    }

    async fn refused<const N: usize>(variables: [(&'static str, &'static str); N]) -> String {
        Environment::of(variables).handler(agents()).await.unwrap_err()
    }

    #[tokio::test]
    async fn what_is_missing_or_wrong_is_one_sentence() {
        assert_eq!(
            refused([]).await,
            "A2A_STORE is not set. It holds the URL of the task store, for example memory:."
        );
        let unknown = refused([(STORE, "floppy://:secret@host")]).await;
        let told = "A2A_STORE: It is the URL of no store that this build knows; it knows memory:";
        assert!(unknown.starts_with(told) && !unknown.contains("secret"), "{unknown}");
        assert_eq!(
            refused([(NAME, "a b"), (STORE, "memory:")]).await,
            "A2A_NAME is `a b`: use 1 to 200 letters, digits, `.`, `_` or `-`, since it names Kafka topics."
        );
        assert_eq!(
            refused([(PEERS, "data"), (STORE, "memory:")]).await,
            "A2A_PEERS: A peer is named NAME=URL, with commas between."
        );
        assert!(Environment::of([]).check_lambda().unwrap_err().contains("cargo lambda watch"));
    }

    #[tokio::test]
    async fn an_agent_is_chosen_and_served_under_its_name() {
        for (variables, served) in [
            ([(NAME, ""), (AGENT, ""), (STORE, "memory:?bytes=1000000")], "data"),
            ([(NAME, ""), (AGENT, "balance"), (STORE, " memory: ")], "balance"),
            ([(NAME, "other"), (AGENT, "balance"), (STORE, "memory:")], "other"),
        ] {
            let handler = Environment::of(variables).handler(agents()).await.unwrap();
            assert_eq!(handler.card().name, served);
        }
        let public = Environment::of([(KAFKA_PUBLIC, "a:9092,b:9092"), (STORE, "memory:")]);
        let card = public.agent(agents()).unwrap().card.located_at("http://host");
        let urls = card.supported_interfaces.iter().map(|interface| &*interface.url);
        let over_kafka = "kafka://a:9092,b:9092/agent.data.requests";
        assert_eq!(urls.collect::<Vec<_>>(), ["http://host/", "http://host", over_kafka]);
        assert_eq!(
            refused([(AGENT, "other"), (STORE, "memory:")]).await,
            "A2A_AGENT: There is no agent `other` here, only `data`, `balance`."
        );
    }
}
