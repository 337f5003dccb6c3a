//! What the agent tells the world about itself.
//!
//! Owns the card's words. Must never know where the agent is reached: the runner fills that in.

use a2a_core::{AgentCapabilities, AgentCard, AgentSkill};

/// The agent's card, without the interfaces it is reached by: whoever serves the agent knows them.
pub fn card() -> AgentCard {
    AgentCard {
        name: "data".to_owned(),
        description: "Answers questions about a table of matches, in English and in Korean: how \
            often Terran, Zerg and Protoss win, and how long their games take."
            .to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capabilities: AgentCapabilities { streaming: Some(true), ..AgentCapabilities::default() },
        default_input_modes: texts(&["text/plain", "application/json"]),
        default_output_modes: texts(&["text/plain", "application/json"]),
        skills: vec![
            AgentSkill {
                id: "win-rate".to_owned(),
                name: "Win rate".to_owned(),
                description: "The share of a race's games that were won.".to_owned(),
                tags: texts(&["statistics", "win rate", "승률"]),
                examples: texts(&["Terran win rate", "Win rate of all races", "테란 승률"]),
                ..AgentSkill::default()
            },
            AgentSkill {
                id: "game-length".to_owned(),
                name: "Average game length".to_owned(),
                description: "How many minutes a race's games take on average.".to_owned(),
                tags: texts(&["statistics", "game length", "게임 시간"]),
                examples: texts(&["How long do Zerg games take?", "저그 평균 게임 시간"]),
                ..AgentSkill::default()
            },
        ],
        ..AgentCard::default()
    }
}

pub(crate) fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::{Language, Question};

    #[test]
    fn every_example_is_a_whole_question() {
        for skill in card().skills {
            for language in [Language::English, Language::Korean] {
                let questions = skill.examples.iter().map(|example| Question::parse(example));
                let questions = Vec::from_iter(questions.filter(|q| q.language == language));
                assert!(!questions.is_empty(), "{} has an example in {language:?}", skill.id);
                assert!(questions.iter().all(|q| !q.metrics.is_empty() && !q.races.is_empty()));
            }
        }
    }
}
