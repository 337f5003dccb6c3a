//! THE fold: what a task's entries make of it.
//!
//! Owns: what each entry means for the task and its head. Nothing else changes a [`Task`]. Must
//! never know: transports, executors, what may be admitted (that is `admit`'s).

use std::sync::Arc;

use crate::{
    call::{Cursor, Version},
    types::{Artifact, Message, Task, TaskArtifactUpdateEvent, TaskState, TaskStatus},
};

use super::{
    entry::{self, Entry, Submitted},
    head::{Head, Phase},
    journal::Slot,
    work::Work,
};

/// A journal folded: the task, and what else is known by its entries.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    /// The task, once a message made one.
    pub task: Task,
    /// Where the fold stands.
    pub cursor: Cursor,
    /// The slot that holds the current status's message, if it has one.
    pub message_at: Option<Version>,
    /// The slots that the task's history is told by.
    pub history_at: Vec<Version>,
    /// The attempt at the newest message that is under way; none when no run is at work.
    pub attempt: Option<u32>,
    /// The process that has it in hand, where that is known.
    pub host: Option<Arc<str>>,
    /// The work on the newest message, all attempts at it taken together.
    pub work: Work,
    /// How many messages were admitted.
    pub messages: u32,
    /// The answer of a journal that holds no task.
    pub reply: Option<Arc<Message>>,
    /// The task whose message was sent under the request's key, in a journal that is only the key's.
    pub used_for: Option<Arc<str>>,
}

/// How many slots a head names: it is written again at every change.
const MOST_IN_HEAD: usize = 64;

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
                if !counts {
                    fold.work.apply(entry);
                } else {
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
        if entry.tells_history() && self.history_at.last() != Some(&cursor.version) {
            self.history_at.push(cursor.version);
        }
        self.work.apply(entry);
        match entry {
            Entry::Submitted(submitted) => self.submit(submitted),
            Entry::Started(started) => {
                self.attempt = Some(started.attempt);
                self.host.clone_from(&started.host);
            }
            Entry::Status(event) => self.set_status(&event.status),
            Entry::Artifact(event) => self.add_artifact(event),
            Entry::Heartbeat(_)
            | Entry::CancelRequested(_)
            | Entry::Step(_)
            | Entry::Within(_)
            | Entry::Unknown(_) => {}
            Entry::Released(_) => (self.attempt, self.host) = (None, None),
            Entry::KeyUsed(used) => {
                self.used_for = Some(Arc::clone(&used.task_id));
                self.task.status.timestamp = Some(used.at);
            }
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
        self.message_at = None;
        self.task.history.push(Arc::clone(&submitted.message));
        self.messages += 1;
    }

    fn set_status(&mut self, status: &TaskStatus) {
        let old = std::mem::replace(&mut self.task.status, status.clone());
        self.task.history.extend(old.message);
        self.message_at = status.message.is_some().then_some(self.cursor.version);
        if entry::ends_run(status.state) {
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
    /// there is a reply. Nothing is owed where there never was a message.
    pub fn is_settled(&self) -> bool {
        let state = self.task.status.state;
        let answered = self.reply.is_some() || self.used_for.is_some();
        answered || state.is_terminal() || state.is_interrupted()
    }

    /// The head after these entries, which need not be applied yet: known before the append, so
    /// that both are written in one step.
    pub fn head_after(&self, owner: &Arc<str>, entries: &[Entry]) -> Head {
        let mut context_id = &self.task.context_id;
        let mut status = TaskStatus { message: None, ..self.task.status };
        let (mut message_at, mut host) = (self.message_at, self.host.as_ref());
        let next = self.cursor.version + 1;
        let told = entries.iter().any(Entry::tells_history).then_some(next);
        let history_at = Vec::from_iter(self.history_at.iter().copied().chain(told));
        let history_at = (history_at.len() <= MOST_IN_HEAD).then_some(history_at);
        let mut answered = self.reply.is_some();
        for entry in entries {
            match entry {
                Entry::Submitted(first) if status.state == TaskState::Unspecified => {
                    context_id = first.message.context_id.as_ref().unwrap_or(context_id);
                    let timestamp = Some(first.at);
                    status = TaskStatus { state: TaskState::Submitted, message: None, timestamp };
                }
                Entry::Submitted(_) => message_at = None,
                Entry::Status(event) => {
                    let TaskStatus { state, ref message, timestamp } = event.status;
                    status = TaskStatus { state, message: None, timestamp };
                    message_at = message.is_some().then_some(next);
                }
                Entry::Replied(_) => answered = true,
                Entry::KeyUsed(used) => {
                    answered = true;
                    status.timestamp = Some(used.at);
                }
                Entry::Started(started) => host = started.host.as_ref(),
                Entry::Released(_) => host = None,
                Entry::Artifact(_)
                | Entry::Heartbeat(_)
                | Entry::CancelRequested(_)
                | Entry::Step(_)
                | Entry::Within(_)
                | Entry::Unknown(_) => {}
            }
        }
        let phase = match status.state {
            _ if answered => Phase::Answered,
            state if state.is_terminal() => Phase::Finished,
            state if state.is_interrupted() => Phase::Waiting,
            _ => Phase::Running,
        };
        let (owner, context_id) = (Arc::clone(owner), Arc::clone(context_id));
        let host = host.filter(|_| phase == Phase::Running).cloned();
        Head { owner, context_id, status, message_at, history_at, host, phase }
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
