//! Reading entries as they are stored.
//!
//! Owns: which kinds of entries this build knows, and that it passes over the others: two builds work
//! on one store during a rolling deploy. Must never know: what an entry means.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};

use super::entry::{Entry, Unknown};

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OneMember)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Kind {
    Submitted,
    Started,
    Status,
    Artifact,
    Replied,
    Heartbeat,
    Released,
    KeyUsed,
    CancelRequested,
    Step,
    Within,
    Unknown(Arc<str>),
}

struct OneMember;

impl<'de> Visitor<'de> for OneMember {
    type Value = Entry;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an entry: an object whose one member is its kind")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let Some(kind) = map.next_key()? else { return Err(Error::custom("an entry of no kind")) };
        let entry = match kind {
            Kind::Submitted => Entry::Submitted(map.next_value()?),
            Kind::Started => Entry::Started(map.next_value()?),
            Kind::Status => Entry::Status(map.next_value()?),
            Kind::Artifact => Entry::Artifact(map.next_value()?),
            Kind::Replied => Entry::Replied(map.next_value()?),
            Kind::Heartbeat => Entry::Heartbeat(map.next_value()?),
            Kind::Released => Entry::Released(map.next_value()?),
            Kind::KeyUsed => Entry::KeyUsed(map.next_value()?),
            Kind::CancelRequested => Entry::CancelRequested(map.next_value()?),
            Kind::Step => Entry::Step(map.next_value()?),
            Kind::Within => Entry::Within(map.next_value()?),
            Kind::Unknown(kind) => Entry::Unknown(Unknown { kind, content: map.next_value()? }),
        };
        match map.next_key::<IgnoredAny>()? {
            None => Ok(entry),
            Some(_) => Err(Error::custom("an entry of several kinds")),
        }
    }
}
