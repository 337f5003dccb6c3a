//! The example agent `balance`: it asks the agent `data` for each race's win rate and judges whether
//! the races are balanced. An agent that calls another one, over whatever transport.
//!
//! Owns: its card, and how it is made. Must never know: over which transport its peer is reached,
//! nor any figure that it was not told.
//!
//! | module | |
//! |---|---|
//! | `executor` | from a message to questions for the peer, and to the events of its own task |
//! | `peer` | one question to the peer: asked once, followed, and found again |
//! | `verdict` | when a race is out of balance, and what is said of it |

mod executor;
mod peer;
#[cfg(test)]
mod tests;
mod verdict;

use std::sync::Arc;

use a2a_core::{AgentCapabilities, AgentCard, AgentExecutor, AgentSkill, Peers};

pub use executor::BalanceExecutor;
pub use peer::PEER;
pub use verdict::Threshold;

use crate::card::texts;

/// The environment variable that says how many points above or below 50 % a race may win and still
/// be balanced: 0 to 50, with at most one decimal; 5 where it is unset.
pub const THRESHOLD: &str = "A2A_BALANCE_THRESHOLD";

/// The agent, as the environment wants it.
///
/// # Errors
/// One sentence when there is no peer `data`, or [`THRESHOLD`] is no number of points.
pub fn executor_from_env(peers: &Peers) -> Result<Arc<dyn AgentExecutor>, String> {
    let Some(peer) = peers.get(PEER) else {
        return Err(format!(
            "The agent `balance` needs to reach the agent `{PEER}`: serve both \
             (--agents {PEER},balance), or say where it is (--peer, A2A_PEERS)."
        ));
    };
    let threshold = match std::env::var(THRESHOLD) {
        Ok(points) if !points.trim().is_empty() => {
            points.parse().map_err(|why| format!("{THRESHOLD} is `{points}`: {why}."))?
        }
        _ => Threshold::default(),
    };
    Ok(Arc::new(BalanceExecutor::new(peer.clone(), threshold)))
}

/// The agent's card, without the interfaces it is reached by.
pub fn card() -> AgentCard {
    AgentCard {
        name: "balance".to_owned(),
        description: "Judges whether Terran, Zerg and Protoss are balanced, in English and in \
            Korean: it asks the agent `data` how often each of them wins. What it does not \
            understand itself it passes on to that agent."
            .to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capabilities: AgentCapabilities { streaming: Some(true), ..AgentCapabilities::default() },
        default_input_modes: texts(&["text/plain", "application/json"]),
        default_output_modes: texts(&["text/plain", "application/json"]),
        skills: vec![AgentSkill {
            id: "balance".to_owned(),
            name: "Balance".to_owned(),
            description: "Whether a race wins about half of its games.".to_owned(),
            tags: texts(&["balance", "statistics", "밸런스"]),
            examples: texts(&[
                "Is Terran balanced?",
                "Are the races balanced?",
                "테란 밸런스 맞아?",
            ]),
            ..AgentSkill::default()
        }],
        ..AgentCard::default()
    }
}
