//! A reply as the bindings have it: JSON-RPC's `result`, HTTP+JSON's body.
//!
//! Owns: writing it, reading it back, and the words for an answer that is none. Must never know:
//! envelopes, streams, what an error's code is (that is [`status`](super::status)'s).

use std::{fmt::Display, sync::Arc};

use futures_util::{StreamExt, stream};
use serde::{
    Deserialize, Serialize, Serializer,
    de::DeserializeOwned,
    ser::{Error as _, SerializeMap},
};

use super::{is_object, newer, shortened, without_position};
use crate::{
    call::{Event, Events, Reply, ReplyKind},
    error::{Error, ErrorKind},
    types::{KnownEvent, StreamResponse},
};

/// A reply to be written.
pub(super) struct Body<'a>(pub(super) &'a Reply);

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Reply::Sent(response) => response.serialize(serializer),
            Reply::Task(task) => task.serialize(serializer),
            Reply::Tasks(page) => page.serialize(serializer),
            Reply::PushConfig(config) => config.serialize(serializer),
            Reply::PushConfigs(page) => page.serialize(serializer),
            Reply::Nothing => serializer.serialize_map(Some(0))?.end(),
            Reply::Card(card) => card.serialize(serializer),
            Reply::Events(_) => Err(S::Error::custom("a stream is written event by event")),
        }
    }
}

/// Reads what [`Body`] wrote. What answers a stream all at once is its only event.
///
/// # Errors
/// [`ErrorKind::InvalidAgentResponse`] when it is no such reply.
pub(super) fn read_reply(kind: ReplyKind, text: &str) -> Result<Reply, Error> {
    Ok(match kind {
        ReplyKind::Sent => Reply::Sent(read_newer(text)?),
        ReplyKind::Task => Reply::Task(read_newer(text)?),
        ReplyKind::Tasks => Reply::Tasks(read_newer(text)?),
        ReplyKind::PushConfig => Reply::PushConfig(read_newer(text)?),
        ReplyKind::PushConfigs => Reply::PushConfigs(read_newer(text)?),
        ReplyKind::Nothing => Reply::Nothing,
        ReplyKind::Card => Reply::Card(Arc::new(read_newer(text)?)),
        ReplyKind::Events => {
            let event = Event { cursor: None, response: read_newer(text)?, last: true };
            Reply::Events(Events(stream::iter([Ok(event)]).boxed()))
        }
    })
}

/// Reads one event of a stream; none of a kind that is not known here.
///
/// # Errors
/// As [`read`].
pub(super) fn read_event(text: &str) -> Result<Option<StreamResponse>, Error> {
    read_newer::<KnownEvent>(text).map(|event| event.0)
}

/// Reads a `T`, also as a newer server writes it.
///
/// # Errors
/// As [`read`].
pub(super) fn read_newer<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let read_again =
        |error| newer::without_the_unknown(text).and_then(|it| read(&it).ok()).ok_or(error);
    read(text).or_else(read_again)
}

/// The answer as text.
///
/// # Errors
/// [`ErrorKind::InvalidAgentResponse`] when it is not UTF-8, as JSON must be.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(unreadable)
}

/// Reads a `T` from the text of a JSON object.
///
/// # Errors
/// [`ErrorKind::InvalidAgentResponse`] naming the field when it is no `T`.
pub(super) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    // serde would take an array for a struct, field by field.
    if !is_object(text) {
        return Err(unreadable("it is no JSON object"));
    }
    serde_json::from_str(text).map_err(|error| explain::<T>(text, &error))
}

/// Reads again what could not be read, to say where.
#[cold]
fn explain<'a, T: Deserialize<'a>>(text: &'a str, error: &serde_json::Error) -> Error {
    let mut json = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
        Err(error) if error.inner().is_data() && error.path().to_string() != "." => {
            unreadable(format!("{} is wrong: {}", error.path(), without_position(error.inner())))
        }
        _ => unreadable(without_position(error)),
    }
}

/// The error for an answer that is none.
pub(super) fn unreadable(reason: impl Display) -> Error {
    let reason = reason.to_string();
    let message = format!("The agent's answer cannot be read: {}.", shortened(&reason));
    Error::new(ErrorKind::InvalidAgentResponse, message)
}
