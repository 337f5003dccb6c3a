//! What a newcomer is shown at the start: lines to paste, and so an answer within a minute.
//!
//! Owns: these words, which are in `tour/`. Must never know: how anything is served.

use a2a_core::AgentCard;
use serde_json::json;

use crate::{
    config::{Brokers, Config},
    run::Runner,
};

/// The lines for this runner: those of all its agents, by transport.
pub(crate) fn tour(config: &Config, runner: &Runner) -> String {
    let of_all = |template: &str| {
        let agents = runner.agents.iter().map(|agent| {
            let question = example(agent.card());
            let message =
                json!({ "messageId": "1", "role": "ROLE_USER", "parts": [{ "text": question }] });
            let record = format!("corr-1|{}", json!({ "message": { "text": question } }));
            // What an agent says of itself comes last: it may hold anything.
            template
                .replace("{name}", &agent.card().name)
                .replace("{address}", &agent.address.to_string())
                .replace("{brokers}", runner.brokers().unwrap_or_default())
                .replace("{request}", &quoted(&json!({ "message": message }).to_string()))
                .replace("{record}", &quoted(&record))
        });
        agents.collect::<String>()
    };
    let mut tour = of_all(include_str!("tour/agent.txt"));
    if config.store.starts_with("memory:") {
        tour += "Tasks are kept in memory: they are gone when this process ends.\n";
    }
    tour += "\nOver HTTP:\n";
    tour += &of_all(include_str!("tour/http.txt"));
    match config.brokers() {
        _ if runner.brokers().is_none() => return tour,
        Ok(Brokers::Embedded) => {
            tour += "\nOver Kafka (a broker inside this process: it keeps nothing; \
                     --kafka HOST:PORT uses a real one):\n";
        }
        _ => tour += "\nOver Kafka:\n",
    }
    tour + &of_all(include_str!("tour/kafka.txt"))
}

/// A question the agent says it understands.
fn example(card: &AgentCard) -> &str {
    let mut examples = card.skills.iter().flat_map(|skill| &skill.examples);
    examples.next().map_or("hello", String::as_str)
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
