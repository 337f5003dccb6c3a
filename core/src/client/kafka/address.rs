//! An agent's address: `kafka://HOST:PORT[,HOST:PORT]/agent.NAME.requests[?reply-to=TOPIC]`.
//!
//! Owns: reading that URL, and which topic answers come on. Must never know: whether anything of it
//! is there.

use crate::error::Error;

/// An agent's topics on a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AgentAddress {
    /// The brokers, `HOST:PORT` with commas between.
    pub(super) brokers: String,
    /// Where requests go.
    pub(super) requests: String,
    /// Where answers come.
    pub(super) replies: String,
    /// Whether the agent must be told where answers go.
    pub(super) asks_for_replies: bool,
}

impl AgentAddress {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidParams`](crate::ErrorKind::InvalidParams) in one sentence that names
    /// what is wrong; it does not repeat the URL, which may hold what is secret.
    pub(super) fn read(url: &str) -> Result<Self, Error> {
        let invalid = |why: &str| Error::invalid_field("url", why);
        let rest = url
            .strip_prefix("kafka://")
            .ok_or_else(|| invalid("must be kafka://HOST:PORT/agent.NAME.requests"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (brokers, requests) = rest
            .split_once('/')
            .ok_or_else(|| invalid("names no topic: kafka://HOST:PORT/agent.NAME.requests"))?;
        check_brokers(brokers)?;
        let default = agent(requests).map(responses);
        let mut reply_to = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "reply-to" if reply_to.is_none() => reply_to = Some(value.into_owned()),
                _ => return Err(invalid("has another parameter than one reply-to")),
            }
        }
        let asks_for_replies = reply_to.is_some() && reply_to != default;
        let replies = reply_to.or(default).ok_or_else(|| {
            invalid("must say reply-to=TOPIC, as its topic is not agent.NAME.requests")
        })?;
        if !is_topic(requests) || !is_topic(&replies) {
            return Err(invalid("names a topic that Kafka does not allow"));
        }
        if *requests == *replies {
            return Err(invalid("must name another topic for answers than for requests"));
        }
        let (brokers, requests) = (brokers.to_owned(), requests.to_owned());
        Ok(Self { brokers, requests, replies, asks_for_replies })
    }

    /// The agent's name, where the topic tells it.
    pub(super) fn agent(&self) -> Option<&str> {
        agent(&self.requests)
    }

    /// The topic for answers to whoever named no other, where it is known.
    pub(super) fn own_topic(&self) -> Option<String> {
        self.agent().map(responses)
    }
}

/// Whether these are brokers: `HOST:PORT` with commas between. They are shown where none answers.
///
/// # Errors
/// As [`AgentAddress::read`].
pub(super) fn check_brokers(brokers: &str) -> Result<(), Error> {
    let invalid = |why: &str| Err(Error::invalid_field("url", why));
    match brokers {
        it if it.contains('@') => {
            invalid("must hold no credentials; they belong into Kafka's settings")
        }
        it if !it.split(',').all(is_broker) => {
            invalid("must name its brokers HOST:PORT, with commas between")
        }
        _ => Ok(()),
    }
}

fn responses(agent: &str) -> String {
    format!("agent.{agent}.responses")
}

fn agent(requests: &str) -> Option<&str> {
    let name = requests.strip_prefix("agent.")?.strip_suffix(".requests")?;
    (!name.is_empty()).then_some(name)
}

fn is_broker(broker: &str) -> bool {
    broker.rsplit_once(':').is_some_and(|(host, port)| {
        let v6 = host.starts_with('[') && host.ends_with(']');
        !host.is_empty() && (v6 || !host.contains(':')) && port.parse::<u16>().is_ok()
    })
}

/// As Kafka allows it.
fn is_topic(name: &str) -> bool {
    let allowed = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '.' | '_' | '-');
    (1..=249).contains(&name.len()) && name.chars().all(allowed) && !matches!(name, "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn answers_come_on_the_agents_topic_or_the_clients() {
        let read = |url| AgentAddress::read(url).unwrap();
        let address = read("kafka://a:9092,[::1]:9093/agent.data.requests");
        let (brokers, replies) = (&*address.brokers, &*address.replies);
        assert_eq!((brokers, replies), ("a:9092,[::1]:9093", "agent.data.responses"));
        assert_eq!((address.agent(), address.asks_for_replies), (Some("data"), false));
        let own = read("kafka://a:1/agent.data.requests?reply-to=replies.of%2Dmine");
        assert_eq!((&*own.replies, own.asks_for_replies), ("replies.of-mine", true));
        let same = read("kafka://a:1/agent.data.requests?reply-to=agent.data.responses");
        assert!(!same.asks_for_replies);
        let other = read("kafka://a:1/questions?reply-to=answers");
        assert_eq!((other.agent(), &*other.requests), (None, "questions"));
    }

    #[test]
    fn mistakes_are_named() {
        for (url, why) in [
            ("http://a/", "must be kafka://"),
            ("kafka://a:1", "names no topic"),
            ("kafka://a:1/", "must say reply-to"),
            ("kafka://a:1/questions", "must say reply-to"),
            ("kafka://a/agent.data.requests", "HOST:PORT"),
            ("kafka://a:1,/agent.data.requests", "HOST:PORT"),
            ("kafka://:1/agent.data.requests", "HOST:PORT"),
            ("kafka://::1:1/agent.data.requests", "HOST:PORT"),
            ("kafka://me:secret@a:1/agent.data.requests", "no credentials"),
            ("kafka://a:1/agent.data.requests?reply-to=", "does not allow"),
            ("kafka://a:1/agent.data.requests?reply_to=x", "another parameter"),
            ("kafka://a:1/agent.data.requests?reply-to=x&reply-to=y", "another parameter"),
            ("kafka://a:1/agent.da ta.requests", "does not allow"),
            ("kafka://a:1/x?reply-to=x", "another topic"),
        ] {
            let error = AgentAddress::read(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidParams, "{url}");
            assert!(error.message().contains(why), "{url}: {error}");
            assert!(!error.message().contains("secret"), "{error}");
        }
    }
}
