//! Roughly how much entries hold.
//!
//! Owns: what limits count. Must never know: the limits, how entries are stored.

use std::sync::Arc;

use super::entry::{Entry, Step, Submitted};
use crate::types::{Artifact, Message, Metadata, Part, PartContent, Task};

impl Entry {
    /// Roughly how many bytes it holds: its texts, bytes and data. What limits count.
    pub fn weight(&self) -> usize {
        match self {
            Self::Submitted(submitted) => submitted.weight(),
            Self::Started(_) | Self::Heartbeat(_) | Self::Released(_) => 0,
            Self::KeyUsed(used) => used.task_id.len(),
            Self::CancelRequested(cancel) => cancel.request.len(),
            Self::Step(step) => step.weight(),
            Self::Within(within) => weight_of_texts(within.steps.iter()),
            Self::Unknown(unknown) => unknown.content.as_str().len(),
            Self::Status(event) => {
                let message = event.status.message.as_deref().map_or(0, weight_of_message);
                message + weight_of_metadata(&event.metadata)
            }
            Self::Artifact(event) => {
                weight_of_artifact(&event.artifact) + weight_of_metadata(&event.metadata)
            }
            Self::Replied(reply) => weight_of_message(reply),
        }
    }
}

impl Submitted {
    fn weight(&self) -> usize {
        let Self { message, request, configuration, metadata, extensions, trace, .. } = self;
        let modes = configuration.iter().flat_map(|it| &it.accepted_output_modes);
        let trace = trace.iter().flat_map(|it| [Some(&it.parent), it.state.as_ref()]).flatten();
        let reply_to = self.reply_to.iter().map(|it| it.topic.len() + it.key.len());
        let texts = modes.chain(extensions).chain(request).chain(trace).chain(&self.transport);
        weight_of_message(message)
            + weight_of_metadata(metadata)
            + weight_of_texts(texts)
            + reply_to.sum::<usize>()
    }
}

impl Task {
    /// Roughly how many bytes it holds. No JSON of it has more than six times as many: a byte of a text
    /// is written with six at most.
    pub(crate) fn weight(&self) -> usize {
        /// What stands around a task's texts.
        const TASK: usize = 128;
        let Self { id, context_id, status, artifacts, history, metadata } = self;
        let messages = history.iter().chain(&status.message).map(|it| weight_of_message(it));
        TASK + id.len()
            + context_id.len()
            + weight_of_metadata(metadata)
            + messages.sum::<usize>()
            + artifacts.iter().map(weight_of_artifact).sum::<usize>()
    }
}

impl Step {
    /// Roughly how many bytes it holds.
    pub(crate) fn weight(&self) -> usize {
        weight_of_texts([&self.name].into_iter()) + self.value.as_str().len()
    }
}

fn weight_of_message(message: &Message) -> usize {
    let Message { message_id, context_id, task_id, extensions, reference_task_ids, .. } = message;
    let ids = [context_id, task_id].into_iter().flatten().chain([message_id]);
    weight_of_texts(extensions.iter().chain(reference_task_ids).chain(ids))
        + weight_of_parts(&message.parts)
        + weight_of_metadata(&message.metadata)
}

fn weight_of_artifact(artifact: &Artifact) -> usize {
    let Artifact { name, description, parts, metadata, extensions, artifact_id } = artifact;
    let texts = [name, description].into_iter().flatten().chain(extensions);
    weight_of_texts(texts.chain([artifact_id]))
        + weight_of_parts(parts)
        + weight_of_metadata(metadata)
}

fn weight_of_parts(parts: &[Part]) -> usize {
    /// What a part takes beside its content: many empty parts are not free.
    const PART: usize = 120;
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
