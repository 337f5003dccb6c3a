//! The forms a message and its answer have in the brief, from before the specification's 1.0: less is required, and the
//! answer is bare.
//!
//! Owns: what may be left out and what it then is. Must never know: Kafka records, JSON-RPC, what a send does.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{Body, is_object, read, status, write};
use crate::{
    call::{Event, Reply, RequestKey},
    error::{Error, ErrorKind},
    types::{
        Json, Message, Metadata, Part, Role, SendMessageConfiguration, SendMessageRequest,
        SendMessageResponse,
    },
};

/// A send as the brief has it: the specification's, with less of it required.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Brief {
    tenant: Option<Arc<str>>,
    #[serde(default, deserialize_with = "said")]
    message: Option<Said>,
    #[serde(alias = "context_id")]
    context_id: Option<Arc<str>>,
    #[serde(alias = "task_id")]
    task_id: Option<Arc<str>>,
    configuration: Option<SendMessageConfiguration>,
    metadata: Option<Metadata>,
}

/// A message as the brief has it: every field may be absent, and one text may stand for the parts.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    #[serde(alias = "message_id")]
    message_id: Option<Arc<str>>,
    #[serde(alias = "context_id")]
    context_id: Option<Arc<str>>,
    #[serde(alias = "task_id")]
    task_id: Option<Arc<str>>,
    #[serde(default, deserialize_with = "role")]
    role: Role,
    parts: Option<Vec<Part>>,
    text: Option<Arc<str>>,
    metadata: Option<Metadata>,
    extensions: Option<Vec<Arc<str>>>,
    #[serde(alias = "reference_task_ids")]
    reference_task_ids: Option<Vec<Arc<str>>>,
}

/// Reads a send and fills in what it leaves out; by `key` it is the same at each delivery.
///
/// # Errors
/// [`ErrorKind::InvalidParams`] when it is no send, naming the field.
pub(super) fn decode(params: &str, key: &RequestKey) -> Result<SendMessageRequest, Error> {
    if !is_object(params) {
        return Err(Error::new(ErrorKind::InvalidParams, "The params must be a JSON object."));
    }
    let brief: Brief = read(params)?;
    let message = brief.message.map(|said| Message {
        context_id: set(said.context_id).or(set(brief.context_id)),
        task_id: set(said.task_id).or(set(brief.task_id)),
        message_id: set(said.message_id).unwrap_or_else(|| key.id("message")),
        role: if said.role == Role::Unspecified { Role::User } else { said.role },
        parts: said
            .parts
            .filter(|parts| !parts.is_empty())
            .unwrap_or_else(|| set(said.text).map(Part::text).into_iter().collect()),
        metadata: said.metadata,
        extensions: said.extensions.unwrap_or_default(),
        reference_task_ids: said.reference_task_ids.unwrap_or_default(),
    });
    Ok(SendMessageRequest {
        tenant: set(brief.tenant),
        message: message.unwrap_or_default(),
        configuration: brief.configuration,
        metadata: brief.metadata,
    })
}

/// An empty text is the same as none, as everywhere in the protocol.
fn set(text: Option<Arc<str>>) -> Option<Arc<str>> {
    text.filter(|text| !text.is_empty())
}

/// A message, or the text of one.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Said>, D::Error> {
    struct SaidVisitor;

    impl<'de> Visitor<'de> for SaidVisitor {
        type Value = Option<Said>;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a message or a text")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Option<Said>, E> {
            Ok(None)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<Said>, E> {
            Ok(Some(Said { text: Some(text.into()), ..Said::default() }))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<Said>, A::Error> {
            Said::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_any(SaidVisitor)
}

/// A role as the specification writes it, or as the brief's time did.
fn role<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
    let json = Json::deserialize(deserializer)?;
    match json.as_str() {
        r#""user""# => Ok(Role::User),
        r#""agent""# => Ok(Role::Agent),
        _ => json.to().map_err(de::Error::custom),
    }
}

/// A reply without anything around the task or the message.
struct Bare<'a>(&'a Reply);

impl Serialize for Bare<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Reply::Sent(SendMessageResponse::Task(task)) => task.serialize(serializer),
            Reply::Sent(SendMessageResponse::Message(message)) => message.serialize(serializer),
            other => Body(other).serialize(serializer),
        }
    }
}

/// Adds an answer to `out`: the bare task, the bare message, or `{"error": {code, message, data}}`.
pub(super) fn write_response(out: &mut Vec<u8>, outcome: &Result<Reply, Error>) {
    write_bare(out, outcome.as_ref().map(Bare));
}

/// Adds an event to `out`. No request in this form asks for a stream; the form is whole all the same.
pub(super) fn write_event(out: &mut Vec<u8>, item: &Result<Event, Error>) {
    write_bare(out, item.as_ref().map(|event| &event.response));
}

fn write_bare<T: Serialize>(out: &mut Vec<u8>, outcome: Result<T, &Error>) {
    match outcome.map(|value| write(out, &value)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => out.extend(status::bare_error(&error)),
        Err(error) => out.extend(status::bare_error(error)),
    }
}
