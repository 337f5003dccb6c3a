//! The agent's entry in its cluster's registry.
//!
//! Owns: when the entry is written: at the start, every few seconds while this process lives, and
//! withdrawn at a clean shutdown. Must never know: how it is written (that is the core's), what is served.

use std::time::Duration;

use a2a_core::{
    AgentCard, Env, Timestamp,
    client::kafka::{
        KafkaOptions,
        registry::{Entry, Registry},
    },
};
use tokio_util::sync::CancellationToken;

/// How often the entry is renewed.
const RENEW: Duration = Duration::from_secs(20);
/// How long a process that renews no more is believed to be there, in milliseconds.
const LIFE: i64 = 60_000;
/// How long the broker may take for a write.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Keeps an agent registered until `stop`. A registry that cannot be written is no reason not to
/// serve: it is logged and retried. The topic is made where it is missing.
pub async fn keep(brokers: String, card: AgentCard, stop: CancellationToken) {
    let registry = match Registry::new(&brokers, &KafkaOptions::default()) {
        Ok(registry) => registry.within(TIMEOUT),
        Err(error) => return tracing::error!(%error, "the agent is not registered"),
    };
    let env = Env::system();
    let (agent, instance) = (card.name.clone(), env.id().to_string());
    let mut entry = Entry { agent, instance, card, expires: None };
    let renewing = async {
        if let Err(error) = registry.create().await {
            tracing::warn!(%error, "the registry's topic is not there");
        }
        loop {
            let expires = env.now().as_millis().saturating_add(LIFE);
            entry.expires = Some(Timestamp::from_millis(expires));
            if let Err(error) = registry.publish(&entry).await {
                tracing::warn!(%error, "the agent's entry in the registry is not renewed");
            }
            tokio::time::sleep(RENEW).await;
        }
    };
    stop.run_until_cancelled(renewing).await;
    // After a write that was broken off, as it is of the same producer.
    if let Err(error) = registry.withdraw(&entry.agent, &entry.instance).await {
        tracing::warn!(%error, "the agent's entry in the registry is left to expire");
    }
}
