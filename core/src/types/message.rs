//! Messages and their parts.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
};

use super::{
    Json, Metadata,
    proto::{self, ProtoEnum, nullable, text, unset},
};

/// Who speaks (specification section 4.1.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// Not said; refused in a request.
    #[default]
    Unspecified,
    /// The client.
    User,
    /// The server.
    Agent,
}

impl ProtoEnum for Role {
    const EXPECTING: &'static str = "ROLE_USER or ROLE_AGENT";
    const VALUES: &'static [(Self, &'static str, i64)] = &[
        (Self::Unspecified, "ROLE_UNSPECIFIED", 0),
        (Self::User, "ROLE_USER", 1),
        (Self::Agent, "ROLE_AGENT", 2),
    ];
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::VALUES[*self as usize].1)
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        proto::enumeration(deserializer)
    }
}

/// One turn of a conversation (specification section 4.1.4).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Message {
    /// Made by the sender; required.
    #[serde(alias = "message_id", deserialize_with = "nullable")]
    pub message_id: Arc<str>,
    /// The conversation it belongs to; a server makes one where it is absent.
    #[serde(alias = "context_id", deserialize_with = "text", skip_serializing_if = "unset")]
    pub context_id: Option<Arc<str>>,
    /// The task it continues; absent to begin a new one.
    #[serde(alias = "task_id", deserialize_with = "text", skip_serializing_if = "unset")]
    pub task_id: Option<Arc<str>>,
    /// Who speaks; required.
    pub role: Role,
    /// What is said; at least one part.
    #[serde(deserialize_with = "nullable")]
    pub parts: Vec<Part>,
    /// Data of extensions, keyed by their URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// URIs of the extensions that shaped this message.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "unset")]
    pub extensions: Vec<Arc<str>>,
    /// Other tasks the message refers to.
    #[serde(
        alias = "reference_task_ids",
        deserialize_with = "nullable",
        skip_serializing_if = "unset"
    )]
    pub reference_task_ids: Vec<Arc<str>>,
}

impl Message {
    /// A user's message with these parts.
    pub fn user(message_id: impl Into<Arc<str>>, parts: Vec<Part>) -> Self {
        Self { message_id: message_id.into(), role: Role::User, parts, ..Self::default() }
    }

    /// The text parts, joined by line breaks.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.parts.iter().filter_map(Part::as_text).collect();
        texts.join("\n")
    }
}

/// One piece of content (specification section 4.1.6).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// The content itself.
    #[serde(flatten)]
    pub content: PartContent,
    /// Data of extensions, keyed by their URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// A name for the content, for example `report.pdf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<Arc<str>>,
    /// The content's media type, for example `text/markdown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<Arc<str>>,
}

/// The four kinds of content; a part holds exactly one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PartContent {
    /// Text.
    Text(Arc<str>),
    /// Bytes, base64 on the wire.
    #[serde(serialize_with = "proto::write_base64")]
    Raw(Bytes),
    /// Where the content can be fetched.
    Url(Arc<str>),
    /// Any JSON value, `null` included.
    Data(Json),
}

impl Part {
    /// A text part.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        PartContent::Text(text.into()).into()
    }

    /// A part holding bytes.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        PartContent::Raw(bytes.into()).into()
    }

    /// A part that says where its content is.
    pub fn url(url: impl Into<Arc<str>>) -> Self {
        PartContent::Url(url.into()).into()
    }

    /// A part holding JSON.
    pub fn data(value: &serde_json::Value) -> Self {
        // A `Value` is always written as JSON, so there is no error to hand on.
        Json::new(value)
            .map_or_else(|_| Self::text(value.to_string()), |json| PartContent::Data(json).into())
    }

    /// The same part with a file name.
    #[must_use]
    pub fn named(mut self, filename: impl Into<Arc<str>>) -> Self {
        self.filename = Some(filename.into());
        self
    }

    /// The same part with a media type.
    #[must_use]
    pub fn typed(mut self, media_type: impl Into<Arc<str>>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }

    /// The text of a text part.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            PartContent::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<PartContent> for Part {
    fn from(content: PartContent) -> Self {
        Self { content, metadata: None, filename: None, media_type: None }
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PartVisitor)
    }
}

/// Written by hand: a part is a "oneof", and a derived enum would read it into a tree first and
/// lose exact numbers.
struct PartVisitor;

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum PartField {
    Text,
    Raw,
    Url,
    Data,
    Metadata,
    Filename,
    #[serde(alias = "media_type")]
    MediaType,
    #[serde(other)]
    Unknown,
}

impl<'de> Visitor<'de> for PartVisitor {
    type Value = Part;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a part: an object with one of text, raw, url, data")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Part, A::Error> {
        let mut content = None;
        let (mut metadata, mut filename, mut media_type) = (None, None, None);
        while let Some(field) = map.next_key()? {
            let found = match field {
                PartField::Text => map.next_value::<Option<Arc<str>>>()?.map(PartContent::Text),
                PartField::Url => map.next_value::<Option<Arc<str>>>()?.map(PartContent::Url),
                PartField::Raw => match map.next_value::<Option<std::borrow::Cow<'de, str>>>()? {
                    Some(text) => {
                        let bytes = proto::decode_base64(&text).map_err(de::Error::custom)?;
                        Some(PartContent::Raw(bytes))
                    }
                    None => None,
                },
                PartField::Data => Some(PartContent::Data(map.next_value()?)),
                PartField::Metadata => {
                    metadata = map.next_value()?;
                    None
                }
                PartField::Filename => {
                    proto::Text(filename) = map.next_value()?;
                    None
                }
                PartField::MediaType => {
                    proto::Text(media_type) = map.next_value()?;
                    None
                }
                PartField::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                    None
                }
            };
            if found.is_some() && std::mem::replace(&mut content, found).is_some() {
                return Err(de::Error::custom("a part holds only one of text, raw, url, data"));
            }
        }
        let content = content
            .ok_or_else(|| de::Error::custom("a part must hold one of text, raw, url, data"))?;
        Ok(Part { content, metadata, filename, media_type })
    }
}
