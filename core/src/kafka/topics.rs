//! An agent's topics, and those its clients may have answers on.
//!
//! Owns: their names, and which a client may name. Must never know: records.

/// The topic of the cards of all agents of a cluster.
pub const REGISTRY: &str = "agent.registry";

/// An agent's topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Where requests come from.
    pub requests: String,
    /// Where answers go, unless the client may name another topic and does.
    pub responses: String,
    /// The dead-letter topic: records that are given up, each with the reason.
    pub dead_letter: String,
}

impl Topics {
    /// Whether an agent's name can be part of its topics' names.
    ///
    /// # Errors
    /// What such a name is made of.
    pub fn check(agent: &str) -> Result<(), &'static str> {
        if (1..=200).contains(&agent.len()) && agent.chars().all(is_of_names) {
            return Ok(());
        }
        Err("use 1 to 200 letters, digits, `.`, `_` or `-`, since it names Kafka topics")
    }

    /// The topics of the agent of this name.
    pub fn of(agent: &str) -> Self {
        let topic = |role| format!("agent.{agent}.{role}");
        Self {
            requests: topic("requests"),
            responses: topic("responses"),
            dead_letter: topic("dead-letter"),
        }
    }

    /// Whether records are never answered there, whatever is allowed: an answer would be taken for
    /// a request, a dead letter, an agent's card or the broker's own.
    fn are_never_answers(&self, topic: &str) -> bool {
        let ends = [".requests", ".dead-letter"].iter().any(|end| topic.ends_with(end));
        let own = [&self.requests, &self.dead_letter].into_iter().any(|own| own == topic);
        ends || own || topic == REGISTRY || topic.starts_with("__")
    }
}

fn is_of_names(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

/// The topics clients may name for their answers, as patterns in which `*` stands for any text.
/// Without any, answers go to the agent's own topic only: a client that may name a topic makes the agent
/// write to it, with the agent's rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyTopics(Vec<String>);

impl ReplyTopics {
    /// Whether this agent answers on that topic at a client's word.
    pub fn allow(&self, topic: &str, topics: &Topics) -> bool {
        let is_topic = (1..=249).contains(&topic.len()) && topic.chars().all(is_of_names);
        let is_allowed = || self.0.iter().any(|pattern| matches(pattern, topic));
        is_topic && !topics.are_never_answers(topic) && (topic == topics.responses || is_allowed())
    }
}

impl std::str::FromStr for ReplyTopics {
    type Err = String;

    /// Reads patterns with commas between.
    fn from_str(text: &str) -> Result<Self, String> {
        let patterns = text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
        let pattern = |pattern: &str| match pattern.chars().all(|it| it == '*' || is_of_names(it)) {
            true => Ok(pattern.to_owned()),
            false => Err(format!(
                "`{pattern}` is no pattern of topics: use letters, digits, `.`, `_`, `-`, and `*` \
                 for any text"
            )),
        };
        patterns.map(pattern).collect::<Result<_, _>>().map(Self)
    }
}

/// Whether a pattern covers all of a text: what stands between the stars comes in order.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let end = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = text.find(piece) else { return false };
        text = &text[at + piece.len()..];
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, yes, no) in [
            ("clients.a", &["clients.a"][..], &["clients.b", "clients.aa", "clients"][..]),
            ("clients.*", &["clients.", "clients.a.b"], &["client.a", "xclients.a"]),
            ("*.replies", &["a.replies", ".replies"], &["replies", "a.repliess"]),
            ("a*b*a", &["aba", "axbxa", "abba"], &["ab", "aa", "abab"]),
            ("a*a", &["aa", "aba"], &["a"]),
            ("*", &["a", ""], &[]),
        ] {
            assert!(yes.iter().all(|topic| matches(pattern, topic)), "{pattern}");
            assert!(!no.iter().any(|topic| matches(pattern, topic)), "{pattern}");
        }
    }

    #[test]
    fn some_topics_are_never_answered_on() {
        let topics = Topics { requests: "in".to_owned(), ..Topics::of("data") };
        let all: ReplyTopics = "*".parse().unwrap();
        for topic in ["mine", "agent.data.responses", "agent.balance.responses"] {
            assert!(all.allow(topic, &topics), "{topic}");
        }
        for topic in [
            "in",
            "agent.data.requests",
            "agent.other.requests",
            "agent.data.dead-letter",
            "agent.other.dead-letter",
            "agent.registry",
            "__consumer_offsets",
            "",
            "a b",
            "a*",
            &"a".repeat(250),
        ] {
            assert!(!all.allow(topic, &topics), "{topic}");
        }
        let none = ReplyTopics::default();
        assert!(none.allow("agent.data.responses", &topics) && !none.allow("mine", &topics));
    }

    #[test]
    fn patterns_come_in_a_list() {
        let two: ReplyTopics = " a.*, b ,".parse().unwrap();
        let topics = Topics::of("data");
        assert!(two.allow("a.x", &topics) && two.allow("b", &topics) && !two.allow("c", &topics));
        assert_eq!("".parse(), Ok(ReplyTopics::default()));
        assert!("a b".parse::<ReplyTopics>().unwrap_err().starts_with("`a b` is no pattern"));
    }
}
