//! Where a client hears that its reply topic is refused: on the agent's own
//! (`core/KAFKA-BINDING.md`, section 7).
//!
//! Owns: when that topic is read beside the client's. Must never know: what a refusal says.
//!
//! Everybody's answers come there, so a client that has a topic of its own does not read it for
//! ever: only until an answer has come on its own topic, and again where there is silence.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{address::AgentAddress, cluster::Cluster, reply_consumer::ReplyConsumer};

/// The refusals of one agent.
pub(super) struct Refusals {
    /// Where they come; none where all answers come there, and where nobody knows.
    topic: Option<String>,
    /// Whether the client's own topic is known not to be refused.
    accepted: AtomicBool,
}

impl Refusals {
    pub(super) fn of(address: &AgentAddress) -> Self {
        let topic = address.asks_for_replies.then(|| address.own_topic()).flatten();
        Self { topic, accepted: AtomicBool::new(false) }
    }

    /// An answer has come on the topic that was asked for.
    pub(super) fn accepted(&self) {
        self.accepted.store(true, Ordering::Relaxed);
    }

    /// The consumer of the topic they come on, where they have to be listened for. A topic that
    /// cannot be read is none: then there is nothing to hear.
    pub(super) fn reply_consumer(
        &self,
        cluster: &Cluster,
        silence: bool,
    ) -> Option<Arc<ReplyConsumer>> {
        self.awaited(silence).and_then(|topic| cluster.reply_consumer(topic).ok())
    }

    fn awaited(&self, silence: bool) -> Option<&str> {
        let awaited = silence || !self.accepted.load(Ordering::Relaxed);
        self.topic.as_deref().filter(|_| awaited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals(query: &str) -> Refusals {
        let url = format!("kafka://a:1/agent.data.requests{query}");
        Refusals::of(&AgentAddress::read(&url).unwrap())
    }

    #[test]
    fn they_are_listened_for_until_the_topic_is_known_and_again_in_silence() {
        let refusals = refusals("?reply-to=mine");
        let theirs = Some("agent.data.responses");
        assert_eq!((refusals.awaited(false), refusals.awaited(true)), (theirs, theirs));
        refusals.accepted();
        assert_eq!((refusals.awaited(false), refusals.awaited(true)), (None, theirs));
    }

    #[test]
    fn there_are_none_where_all_answers_come() {
        for query in ["", "?reply-to=agent.data.responses"] {
            assert_eq!(refusals(query).awaited(true), None, "{query}");
        }
        let address = AgentAddress::read("kafka://a:1/questions?reply-to=answers").unwrap();
        assert_eq!(Refusals::of(&address).awaited(true), None);
    }
}
