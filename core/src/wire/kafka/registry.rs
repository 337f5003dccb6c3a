//! `agent.registry`: the cards of agents that are there, on a compacted topic.
//!
//! Owns: the key, the value and the headers of an entry. Must never know: a Kafka client, the
//! clock, who publishes and when.

use super::{
    client::Headers,
    header::{A2A_JSON, CONTENT_TYPE, time},
};
use crate::{
    error::{Error, ErrorKind},
    types::{AgentCard, Timestamp},
    wire::{answer, write},
};

/// The topic, on every cluster.
pub const TOPIC: &str = "agent.registry";

/// The header that says from when on an entry no longer counts.
const EXPIRES: &str = "a2a-expires";

/// An agent, as one of its instances told the registry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The agent's name, which names its topics; no `/` in it.
    pub agent: String,
    /// Which instance of the agent: unique among them.
    pub instance: String,
    /// Its card. Its own name is for people, and need not be the agent's.
    pub card: AgentCard,
    /// From when on the entry no longer counts, unless it is renewed; none counts until it is
    /// withdrawn.
    pub expires: Option<Timestamp>,
}

impl Entry {
    /// The key of the entry's record; a record under it without a value withdraws the entry.
    pub fn key(agent: &str, instance: &str) -> String {
        format!("{agent}/{instance}")
    }

    /// The agent and the instance of that key; none when it is no entry's.
    pub fn names(key: &[u8]) -> Option<(&str, &str)> {
        let (agent, instance) = std::str::from_utf8(key).ok()?.split_once('/')?;
        (!agent.is_empty() && !instance.is_empty()).then_some((agent, instance))
    }

    /// Where the card says that the agent is reached.
    pub fn addresses(&self) -> Vec<&str> {
        let mut addresses =
            Vec::from_iter(self.card.supported_interfaces.iter().map(|it| &*it.url));
        addresses.sort_unstable();
        addresses
    }

    /// The record's value and headers.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the card cannot be written as JSON.
    pub fn encode(&self) -> Result<(Vec<u8>, Headers), Error> {
        let mut value = Vec::new();
        write(&mut value, &self.card)?;
        let mut headers = vec![(CONTENT_TYPE, A2A_JSON.to_owned())];
        headers.extend(self.expires.map(|at| (EXPIRES, at.to_string())));
        Ok((value, headers))
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidAgentResponse`] when the record is no entry. An `a2a-expires` that is no
    /// time is one in the past: its writer meant the entry to end.
    pub fn decode<'a>(
        key: &[u8],
        value: &[u8],
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, Error> {
        let invalid = |why: &str| {
            let sentence = format!("A record of {TOPIC} is no agent's entry: {why}.");
            Error::new(ErrorKind::InvalidAgentResponse, sentence)
        };
        let (agent, instance) =
            Self::names(key).ok_or_else(|| invalid("its key is not AGENT/INSTANCE"))?;
        let card: AgentCard = answer::text(value)
            .and_then(answer::read_newer)
            .map_err(|error| invalid(error.message().trim_end_matches('.')))?;
        let mut expires =
            headers.into_iter().filter(|(name, _)| name.eq_ignore_ascii_case(EXPIRES));
        let read = |value| time(std::str::from_utf8(value).ok()?.trim()).ok();
        let expires = expires.next().map(|(_, value)| read(value).unwrap_or_default());
        Ok(Self { agent: agent.to_owned(), instance: instance.to_owned(), card, expires })
    }

    /// Whether the entry still counts at that time.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = r#"{"name":"data"}"#;

    fn entry(expires: Option<i64>) -> Entry {
        Entry {
            agent: "data".to_owned(),
            instance: "one/two".to_owned(),
            card: AgentCard { name: "data".to_owned(), ..AgentCard::default() },
            expires: expires.map(Timestamp::from_millis),
        }
    }

    fn read(key: &str, value: &[u8], headers: &[(&str, &str)]) -> Result<Entry, Error> {
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        Entry::decode(key.as_bytes(), value, headers)
    }

    #[test]
    fn round_trip() {
        for entry in [entry(None), entry(Some(1_700_000_000_123))] {
            let (value, headers) = entry.encode().unwrap();
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let key = Entry::key(&entry.agent, &entry.instance);
            assert_eq!(read(&key, &value, &headers).unwrap(), entry);
        }
    }

    #[test]
    fn what_is_no_entry_is_told() {
        for (key, value) in
            [("data", DATA), ("/one", DATA), ("data/", DATA), ("data/1", ""), ("data/1", "[5]")]
        {
            let error = read(key, value.as_bytes(), &[]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidAgentResponse, "{key} {value}");
        }
    }

    #[test]
    fn an_agent_is_known_by_its_key() {
        let entry = read("other/1", DATA.as_bytes(), &[]).unwrap();
        assert_eq!((&*entry.agent, &*entry.card.name), ("other", "data"));
    }

    #[test]
    fn an_entry_counts_until_it_expires() {
        let at = Timestamp::from_millis;
        assert!(entry(None).is_live(at(i64::MAX)));
        assert!(entry(Some(5)).is_live(at(4)) && !entry(Some(5)).is_live(at(5)));
        let soon = read("data/1", DATA.as_bytes(), &[("A2A-Expires", "soon")]).unwrap();
        assert!(!soon.is_live(at(1)), "a time that cannot be read is over");
    }
}
