//! The forms a message and its answer have in the brief, from before the specification's 1.0: less
//! is required, and the answer is bare.
//!
//! Owns: what may be left out and what it then is. Must never know: Kafka records, JSON-RPC, what a
//! send does.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{answer::Body, is_object, read, status, write};
use crate::{
    call::{Event, IdempotencyKey, Reply},
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
pub(super) fn decode(params: &str, key: &IdempotencyKey) -> Result<SendMessageRequest, Error> {
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

/// Adds an event to `out`. No request in this form asks for a stream; the form is whole all the
/// same.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;
    use crate::{types::Task, wire::arbitrary};

    fn key() -> IdempotencyKey {
        IdempotencyKey::new("a|agent.data.requests|0|7|1")
    }

    fn message(params: &str) -> Message {
        decode(params, &key()).unwrap().message
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let said = |context_id: Option<&str>, task_id: Option<&str>| Message {
            message_id: key().id("message"),
            context_id: context_id.map(Arc::from),
            task_id: task_id.map(Arc::from),
            role: Role::User,
            parts: vec![Part::text("hi")],
            ..Message::default()
        };
        for (params, expected) in [
            (r#"{"message":"hi"}"#, said(None, None)),
            (r#"{"message":"h\u0069","context_id":"c"}"#, said(Some("c"), None)),
            (
                r#"{"task_id":"t","contextId":"c","message":{"text":"hi"}}"#,
                said(Some("c"), Some("t")),
            ),
            (
                r#"{"taskId":"t","message":{"parts":[{"text":"hi"}],"task_id":""}}"#,
                said(None, Some("t")),
            ),
            // As written for the specification's 0.3.
            (
                r#"{"message":{"kind":"message","role":"user","parts":[{"kind":"text","text":"hi"}],
                    "messageId":null},"configuration":{"blocking":true}}"#,
                said(None, None),
            ),
            // What the message says itself counts.
            (
                r#"{"context_id":"other","message":
                    {"text":"no","contextId":"c","parts":[{"text":"hi"}],"role":1}}"#,
                said(Some("c"), None),
            ),
        ] {
            assert_eq!(message(params), expected, "{params}");
        }
        assert_eq!(message(r#"{"message":{"role":"agent","message_id":"m"}}"#).role, Role::Agent);
        assert_eq!(&*message(r#"{"message":{"role":"agent","message_id":"m"}}"#).message_id, "m");
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        // So that the handler says what is missing.
        for params in ["{}", r#"{"message":null,"context_id":"c"}"#] {
            assert_eq!(message(params), Message::default());
        }
        for params in [r#"{"message":""}"#, r#"{"message":{"text":"","parts":[]}}"#] {
            assert_eq!(message(params).parts, []);
        }
    }

    #[test]
    fn faults_are_named_by_path() {
        for (params, message) in [
            (r#"{"message":{"parts":[{}]}}"#, "message.parts[0] is wrong: a part must hold one of"),
            (
                r#"{"message":{"role":"boss"}}"#,
                "message.role is wrong: invalid value: string \"boss\", expected ROLE_USER or ROLE_AGENT",
            ),
            (
                r#"{"message":5}"#,
                "message is wrong: invalid type: integer `5`, expected a message or a text",
            ),
            (
                r#"{"message":[]}"#,
                "message is wrong: invalid type: sequence, expected a message or",
            ),
            (r#"{"message":"a","metadata":[]}"#, "metadata is wrong: expected a JSON object"),
            ("[]", "The params must be a JSON object."),
            ("\"hi\"", "The params must be a JSON object."),
        ] {
            let error = decode(params, &key()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidParams, "{params}");
            assert!(error.message().starts_with(message), "{params}: {error}");
        }
    }

    #[test]
    fn answers_are_bare() {
        let task = || Box::new(Task { id: "t".into(), ..Task::default() });
        let said = Arc::new(Message { message_id: "m".into(), ..Message::default() });
        let bare = r#"{"id":"t","status":{"state":"TASK_STATE_UNSPECIFIED"}}"#;
        let error = Err(Error::task_not_found("t"));
        for (outcome, expected) in [
            (Ok(Reply::Sent(SendMessageResponse::Task(task()))), bare),
            (Ok(Reply::Task(task())), bare),
            (
                Ok(Reply::Sent(SendMessageResponse::Message(said))),
                r#"{"messageId":"m","role":"ROLE_UNSPECIFIED","parts":[]}"#,
            ),
            (
                error,
                r#"{"error":{"code":-32001,"message":"There is no task \"t\".","data":[{"@type""#,
            ),
        ] {
            let mut out = Vec::new();
            write_response(&mut out, &outcome);
            let written = String::from_utf8(out).unwrap();
            assert!(written.starts_with(expected), "{written}");
        }
    }

    proptest! {
        /// The brief's form takes what the specification's does.
        #[test]
        fn a_whole_send_is_kept(send in arbitrary::send()) {
            let mut expected = send.clone();
            if expected.message.role == Role::Unspecified {
                expected.message.role = Role::User;
            }
            let params = serde_json::to_string(&send).unwrap();
            prop_assert_eq!(decode(&params, &key()).unwrap(), expected);
        }

        #[test]
        fn any_event_can_be_written(event in arbitrary::event()) {
            let mut out = Vec::new();
            write_event(&mut out, &Ok(event));
            prop_assert!(serde_json::from_slice::<IgnoredAny>(&out).is_ok());
        }
    }
}
