//! The journal of a task, and THE fold that makes a task of it.
//!
//! Owns: what is recorded, in which order, and what it means for the task. Nothing else changes a
//! [`Task`]. Pure: no clock, no store, no runtime. Must never know: transports, executors, what may
//! be admitted (that is `admit`'s).

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::types::{
    Artifact, Message, Metadata, Part, PartContent, Task, TaskArtifactUpdateEvent, TaskState,
    TaskStatus, TaskStatusUpdateEvent, Timestamp,
};

/// How many appends a journal holds; 0 before the first. An append "after N" takes slot N+1: the
/// slot is the lock.
pub type Version = u64;

/// A place in a journal: the append, and the entry within it from 0. Written `12-3`; an event's id
/// on every stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The append's slot, from 1.
    pub version: Version,
    /// The entry within the append, from 0.
    pub index: u32,
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}-{}", self.version, self.index)
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        text.split_once('-')
            .filter(|(version, index)| digits(version) && digits(index))
            .and_then(|(version, index)| {
                Some(Self { version: version.parse().ok()?, index: index.parse().ok()? })
            })
            .ok_or("expected an event id such as 12-3")
    }
}

/// Which task: ids are unique within a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskKey {
    /// The tenant; empty for none.
    pub tenant: Arc<str>,
    /// The task's id.
    pub id: Arc<str>,
}

/// One recorded fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Entry {
    /// A message was admitted; the first one makes the task.
    Submitted(Submitted),
    /// A runner began to work on the newest message.
    Started(Started),
    /// The state changed.
    Status(Arc<TaskStatusUpdateEvent>),
    /// An artifact was made or grew.
    Artifact(Arc<TaskArtifactUpdateEvent>),
    /// The message was answered without a task: what stands before in this journal is no task.
    Replied(Arc<Message>),
}

impl Entry {
    /// Roughly how many bytes it holds: its texts, bytes and data. What limits count.
    pub fn weight(&self) -> usize {
        match self {
            Self::Submitted(submitted) => weight_of_message(&submitted.message),
            Self::Started(_) => 0,
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

    /// Whether the head changes with it.
    pub fn changes_head(&self) -> bool {
        match self {
            Self::Submitted(_) | Self::Status(_) | Self::Replied(_) => true,
            // What the attempt before it recorded is taken back.
            Self::Started(started) => started.attempt > 1,
            Self::Artifact(_) => false,
        }
    }

    /// Whether the work on the newest message ends with it.
    pub fn ends_run(&self) -> bool {
        match self {
            Self::Status(event) => ends_run(event.status.state),
            Self::Replied(_) => true,
            _ => false,
        }
    }
}

/// After AUTH_REQUIRED the agent may go on by itself (specification section 7.6); the rest are ends
/// of a run.
fn ends_run(state: TaskState) -> bool {
    state.is_terminal() || state == TaskState::InputRequired
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

/// A message, and what is to be known about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Submitted {
    /// The message, with its task's and context's ids filled in.
    pub message: Arc<Message>,
    /// The request's key, by which a second delivery of it is recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Arc<str>>,
    /// When.
    pub at: Timestamp,
}

/// A runner's claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// Whose: unique, so that two runners' claims of the same instant differ.
    pub runner: Arc<str>,
    /// 1 at first; more when an earlier runner died or was fenced off. What earlier attempts at
    /// the same message recorded no longer counts.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
}

/// One append: its slot and its entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Its place, from 1.
    pub version: Version,
    /// What was recorded, at least one entry.
    pub entries: Arc<[Entry]>,
}

/// The one row per task that lists read. It is written in the same atomic step as the entries that
/// change it, and can be made again from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// Whose task; callers of another owner never learn of it.
    pub owner: Arc<str>,
    /// The task's conversation.
    pub context_id: Arc<str>,
    /// The current status. Its time orders lists, newest first.
    pub status: TaskStatus,
    /// What the store may do with it.
    pub phase: Phase,
}

/// What a store needs to know of a task's life, which is little.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Claimed by a runner that has recorded nothing: not listed; whoever sent the message sends
    /// it again if nothing comes of it.
    Claimed,
    /// In progress: listed, kept; somebody is at work on it, or it was given up.
    Running,
    /// Waiting for its client: listed; may be dropped where space runs out.
    Waiting,
    /// Ended: listed, never changes again; may be dropped, or expire.
    Finished,
    /// Answered without a task: not listed; may be dropped, or expire.
    Answered,
}

impl Phase {
    /// Whether a list shows it.
    pub fn is_listed(self) -> bool {
        matches!(self, Self::Running | Self::Waiting | Self::Finished)
    }

    /// Whether a store may let it expire, some time after its status: a finished task, and what
    /// never became a task. A task that may go on never expires.
    pub fn may_expire(self) -> bool {
        matches!(self, Self::Claimed | Self::Finished | Self::Answered)
    }
}

/// A journal folded: the task, and what else is known by its entries.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    /// The task, once a message made one.
    pub task: Task,
    /// Where the fold stands.
    pub cursor: Cursor,
    /// The attempt at the newest message that is under way; none when nobody is at work.
    pub attempt: Option<u32>,
    /// How many messages were admitted.
    pub messages: u32,
    /// The answer of a journal that holds no task.
    pub reply: Option<Arc<Message>>,
}

impl Fold {
    /// The fold of a whole journal. `id` is the task's. What attempts that were fenced off recorded
    /// is left out.
    pub fn replay(id: Arc<str>, slots: &[Slot]) -> Self {
        Self::replay_until(id, slots, |_, _| false).0
    }

    /// The fold up to and with the first entry for which `stop` says so, given the fold with that
    /// entry applied; and whether there was one.
    pub fn replay_until(
        id: Arc<str>,
        slots: &[Slot],
        mut stop: impl FnMut(&Self, &Entry) -> bool,
    ) -> (Self, bool) {
        let mut fold = Self::new(id);
        let fenced = fenced(slots);
        let mut position = 0;
        for slot in slots {
            for (index, entry) in (0..).zip(slot.entries.iter()) {
                let cursor = Cursor { version: slot.version, index };
                let counts = !fenced.iter().any(|range| range.contains(&position));
                position += 1;
                if counts {
                    fold.apply(cursor, entry);
                    if stop(&fold, entry) {
                        return (fold, true);
                    }
                }
            }
        }
        (fold, false)
    }

    /// The fold of an empty journal.
    pub fn new(id: Arc<str>) -> Self {
        Self { task: Task { id, ..Task::default() }, ..Self::default() }
    }

    /// Adds one entry. Work is proportional to the entry, and to how many artifacts there
    /// are, never to what they hold.
    pub fn apply(&mut self, cursor: Cursor, entry: &Entry) {
        self.cursor = cursor;
        match entry {
            Entry::Submitted(submitted) => self.submit(submitted),
            Entry::Started(started) => self.attempt = Some(started.attempt),
            Entry::Status(event) => self.set_status(&event.status),
            Entry::Artifact(event) => self.add_artifact(event),
            Entry::Replied(message) => {
                self.reply = Some(Arc::clone(message));
                self.attempt = None;
            }
        }
    }

    fn submit(&mut self, submitted: &Submitted) {
        if self.messages == 0 {
            self.task.context_id = submitted.message.context_id.clone().unwrap_or_default();
            let timestamp = Some(submitted.at);
            self.task.status = TaskStatus { state: TaskState::Submitted, message: None, timestamp };
        }
        // What the agent said last becomes history before the answer to it does.
        self.task.history.extend(self.task.status.message.take());
        self.task.history.push(Arc::clone(&submitted.message));
        self.messages += 1;
    }

    fn set_status(&mut self, status: &TaskStatus) {
        let old = std::mem::replace(&mut self.task.status, status.clone());
        self.task.history.extend(old.message);
        if ends_run(status.state) {
            self.attempt = None;
        }
    }

    /// Section 4.2.2, and for what it leaves open the specification's pull request 2173: nothing is
    /// ever dropped.
    fn add_artifact(&mut self, event: &TaskArtifactUpdateEvent) {
        let id = &event.artifact.artifact_id;
        let known =
            self.task.artifacts.iter_mut().rev().find(|artifact| artifact.artifact_id == *id);
        match known {
            Some(artifact) if event.append => extend(artifact, &event.artifact),
            Some(artifact) => artifact.clone_from(&event.artifact),
            None => self.task.artifacts.push(event.artifact.clone()),
        }
    }

    /// Whether the journal made a task that callers can see.
    pub fn is_task(&self) -> bool {
        self.messages > 0 && self.reply.is_none()
    }

    /// Whether the newest message has its answer: the task has ended or waits for its client, or
    /// there is a reply.
    pub fn is_settled(&self) -> bool {
        let state = self.task.status.state;
        self.reply.is_some() || state.is_terminal() || state.is_interrupted()
    }

    /// The head after these entries, which need not be applied yet: known before the append, so
    /// that both are written in one step.
    pub fn head_after(&self, owner: &Arc<str>, entries: &[Entry]) -> Head {
        let mut context_id = &self.task.context_id;
        let mut status = self.task.status.clone();
        let mut answered = self.reply.is_some();
        for entry in entries {
            match entry {
                Entry::Submitted(first) if status.state == TaskState::Unspecified => {
                    context_id = first.message.context_id.as_ref().unwrap_or(context_id);
                    let timestamp = Some(first.at);
                    status = TaskStatus { state: TaskState::Submitted, message: None, timestamp };
                }
                Entry::Submitted(_) => status.message = None,
                Entry::Status(event) => status = event.status.clone(),
                Entry::Replied(_) => answered = true,
                Entry::Started(_) | Entry::Artifact(_) => {}
            }
        }
        let phase = match status.state {
            _ if answered => Phase::Answered,
            state if state.is_terminal() => Phase::Finished,
            state if state.is_interrupted() => Phase::Waiting,
            _ => Phase::Running,
        };
        Head { owner: Arc::clone(owner), context_id: Arc::clone(context_id), status, phase }
    }
}

fn extend(artifact: &mut Artifact, piece: &Artifact) {
    artifact.parts.extend(piece.parts.iter().cloned());
    for extension in &piece.extensions {
        if !artifact.extensions.contains(extension) {
            artifact.extensions.push(Arc::clone(extension));
        }
    }
    for (field, value) in
        [(&mut artifact.name, &piece.name), (&mut artifact.description, &piece.description)]
    {
        if value.is_some() {
            field.clone_from(value);
        }
    }
    if let Some(metadata) = &piece.metadata {
        let old = artifact.metadata.take();
        artifact.metadata = Some(old.map_or_else(|| metadata.clone(), |old| old.merged(metadata)));
    }
}

/// The runs of positions, counted over all entries, that belong to attempts which a later attempt
/// at the same message took over.
fn fenced(slots: &[Slot]) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut begun = None;
    let entries = slots.iter().flat_map(|slot| slot.entries.iter());
    for (position, entry) in entries.enumerate() {
        match entry {
            Entry::Submitted(_) => begun = None,
            Entry::Started(_) => {
                if let Some(from) = begun.replace(position) {
                    ranges.push(from..position);
                }
            }
            _ => {}
        }
    }
    ranges
}
