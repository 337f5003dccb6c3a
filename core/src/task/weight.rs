//! Roughly how much entries hold.
//!
//! Owns: what limits count. Must never know: the limits, how entries are stored.

use std::sync::Arc;

use super::entry::{Entry, Step};
use crate::types::{Artifact, Message, Metadata, Part, PartContent};

impl Entry {
    /// Roughly how many bytes it holds: its texts, bytes and data. What limits count.
    pub fn weight(&self) -> usize {
        match self {
            Self::Submitted(submitted) => {
                let modes = submitted.configuration.iter().flat_map(|it| &it.accepted_output_modes);
                weight_of_message(&submitted.message)
                    + weight_of_metadata(&submitted.metadata)
                    + weight_of_texts(modes.chain(&submitted.extensions))
            }
            Self::Started(_)
            | Self::Heartbeat(_)
            | Self::Released(_)
            | Self::KeyUsed(_)
            | Self::CancelRequested(_) => 0,
            Self::Step(step) => step.weight(),
            Self::Within(within) => weight_of_texts(within.steps.iter()),
            Self::Unknown(unknown) => unknown.content.as_str().len(),
            Self::Status(event) => {
                let message = event.status.message.as_deref().map_or(0, weight_of_message);
                message + weight_of_metadata(&event.metadata)
            }
            Self::Artifact(event) => {
                let Artifact { name, description, parts, metadata, extensions, artifact_id } =
                    &event.artifact;
                let texts = [name, description].into_iter().flatten().chain(extensions);
                weight_of_texts(texts.chain([artifact_id]))
                    + weight_of_parts(parts)
                    + weight_of_metadata(metadata)
                    + weight_of_metadata(&event.metadata)
            }
            Self::Replied(reply) => weight_of_message(reply),
        }
    }
}

impl Step {
    /// Roughly how many bytes it holds.
    pub(crate) fn weight(&self) -> usize {
        weight_of_texts([&self.name].into_iter()) + self.value.as_str().len()
    }
}

fn weight_of_message(message: &Message) -> usize {
    let Message { message_id, parts, metadata, extensions, reference_task_ids, .. } = message;
    let texts = extensions.iter().chain(reference_task_ids).chain([message_id]);
    weight_of_texts(texts) + weight_of_parts(parts) + weight_of_metadata(metadata)
}

fn weight_of_parts(parts: &[Part]) -> usize {
    /// What a part takes beside its content: many empty parts are not free.
    const PART: usize = 100;
    let content = |part: &Part| match &part.content {
        PartContent::Text(text) | PartContent::Url(text) => text.len(),
        PartContent::Raw(bytes) => bytes.len(),
        PartContent::Data(data) => data.as_str().len(),
    };
    let beside = |part: &Part| {
        let texts = [&part.filename, &part.media_type];
        weight_of_texts(texts.into_iter().flatten()) + weight_of_metadata(&part.metadata)
    };
    parts.iter().map(|part| PART + content(part) + beside(part)).sum()
}

fn weight_of_texts<'a>(texts: impl Iterator<Item = &'a Arc<str>>) -> usize {
    /// What a text takes beside its bytes: many empty texts are not free either.
    const TEXT: usize = 48;
    texts.map(|text| TEXT + text.len()).sum()
}

fn weight_of_metadata(metadata: &Option<Metadata>) -> usize {
    metadata.as_ref().map_or(0, |metadata| metadata.json().as_str().len())
}
