//! The registry of a Kafka cluster: listing agents, registering and withdrawing one.
//!
//! Owns: the commands that need a cluster and no agent. Must never know: how an entry is written.

use std::{path::Path, time::Duration};

use a2a_core::{
    AgentCard, Error, ErrorKind,
    client::kafka::{
        KafkaOptions,
        registry::{Entry, Registry},
    },
    wire::kafka::BINDING,
};

use crate::{message, options::Options, output::Output, verdict::Failure};

/// Shows who is there.
pub(crate) async fn list(options: &Options, output: &mut Output) -> Result<(), Failure> {
    Ok(output.agents(&of(options)?.list().await?)?)
}

/// Enters the agent with that card, for as long as nobody takes it out.
pub(crate) async fn register(
    options: &Options,
    output: &mut Output,
    card: &Path,
    instance: &str,
) -> Result<(), Failure> {
    let registry = of(options)?;
    let card = message::card(card).map_err(Failure::Usage)?;
    let (agent, instance) = (agent_of(&card), instance.to_owned());
    let entry = Entry { agent, instance, card, expires: None };
    registry.create().await?;
    registry.publish(&entry).await.map_err(of_names)?;
    Ok(output.done(&format!("{} is entered.", Entry::key(&entry.agent, &entry.instance)))?)
}

/// The agent's name: the one of its topics where it has some, else its card's.
fn agent_of(card: &AgentCard) -> String {
    let over_kafka = card.supported_interfaces.iter().find(|it| it.protocol_binding == BINDING);
    let topic = over_kafka.and_then(|it| it.url.rsplit('/').next());
    let name = topic.and_then(|it| it.strip_prefix("agent.")?.strip_suffix(".requests"));
    name.unwrap_or(&card.name).to_owned()
}

/// Takes an agent out that was entered so.
pub(crate) async fn withdraw(
    options: &Options,
    output: &mut Output,
    agent: &str,
    instance: &str,
) -> Result<(), Failure> {
    of(options)?.withdraw(agent, instance).await.map_err(of_names)?;
    Ok(output.done(&format!("{} is taken out.", Entry::key(agent, instance)))?)
}

/// The registry of the cluster that the address names, with or without an agent's topic.
fn of(options: &Options) -> Result<Registry, Failure> {
    let rest = options.url.strip_prefix("kafka://");
    let brokers = rest.map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    let Some(brokers) = brokers.filter(|brokers| !brokers.is_empty()) else {
        let why = "must name a Kafka cluster, as kafka://HOST:PORT does";
        return Err(Failure::Usage(Error::invalid_field("url", why)));
    };
    let registry = Registry::new(brokers, &KafkaOptions::default()).map_err(of_names)?;
    Ok(registry.within(Duration::from_secs(options.timeout)))
}

/// A name that cannot stand in the registry is the command line's fault.
fn of_names(error: Error) -> Failure {
    match error.kind() {
        ErrorKind::InvalidParams => Failure::Usage(error),
        _ => Failure::Call(error),
    }
}
