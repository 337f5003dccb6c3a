//! Whether what happened in a [`simulation`](crate::simulation) was right, judged by the journals.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use a2a_core::{
    Event, Part, SendMessageResponse, StreamResponse, Task, TaskState,
    store::Journal,
    task::{Cursor, Entry, Fold, Head, Phase, Slot},
};

use crate::{
    chaos_store::Acknowledged,
    simulation::Sim,
    world::{history, parts_text, short, status_text, told},
};

/// What was seen and told while it happened.
#[derive(Default)]
pub(crate) struct Record {
    /// What must never be, found on the spot.
    pub(crate) wrong: Vec<String>,
    /// Task, message and attempt.
    pub(crate) executed: BTreeSet<(Arc<str>, Arc<str>, u32)>,
    pub(crate) said: Vec<Said>,
    /// Tasks of which somebody was told that they are canceled.
    pub(crate) canceled: Vec<Arc<str>>,
    /// Tasks of which somebody was told that they have ended.
    pub(crate) ended: Vec<Arc<str>>,
    /// By request key: what blocking deliveries were answered.
    pub(crate) replies: BTreeMap<String, Vec<SendMessageResponse>>,
    pub(crate) heard: Vec<Heard>,
}

/// A task as somebody was told of it.
pub(crate) struct Said {
    pub(crate) what: &'static str,
    pub(crate) task: Task,
    /// The journal's versions when it was asked and when it was answered.
    pub(crate) between: Option<(u64, u64)>,
}

/// A stream with all its continuations.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    pub(crate) id: Option<Arc<str>>,
    pub(crate) events: Vec<Event>,
    /// Whether there was nothing more to come.
    pub(crate) whole: bool,
    /// How long its reader waits at least.
    pub(crate) patience: Duration,
}

type Journals = BTreeMap<Arc<str>, Journal>;

/// Panics with what is wrong.
pub(crate) fn of(sim: &Sim, journals: &Journals) {
    let record = sim.record();
    let mut wrong = record.wrong.clone();
    acknowledged(sim, journals, &mut wrong);
    for (id, journal) in journals {
        let found = told_right(id, journal, &record).into_iter().chain(one_story(id, journal));
        wrong.extend(found.map(|what| format!("{id}: {what}: {}", outline(&journal.slots))));
    }
    for (key, replies) in &record.replies {
        if replies.iter().any(|reply| *reply != replies[0]) {
            let replies: Vec<_> = replies.iter().map(|reply| brief(reply, journals)).collect();
            wrong.push(format!("{key} was answered in different ways:\n{}", replies.join("\n")));
        }
    }
    for id in &record.canceled {
        if journals[id].head.status.state != TaskState::Canceled {
            wrong.push(format!("{id} was canceled once: {}", outline(&journals[id].slots)));
        }
    }
    for id in &record.ended {
        if !journals[id].head.status.state.is_terminal() {
            wrong.push(format!("{id} had ended once: {}", outline(&journals[id].slots)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An acknowledged append is in its slot, a refused one is not, and none is there twice.
fn acknowledged(sim: &Sim, journals: &Journals, wrong: &mut Vec<String>) {
    let book = sim.chaos.book.lock().unwrap();
    for appended in &*book {
        let change = &appended.change;
        let slots = journals.get(&change.key.id).map_or(&[][..], |journal| &journal.slots);
        let mine = |slot: &&Slot| Arc::ptr_eq(&slot.entries, &change.entries);
        let places: Vec<u64> = slots.iter().filter(mine).map(|slot| slot.version).collect();
        let heartbeat = change.entries.iter().all(|entry| matches!(entry, Entry::Heartbeat(_)));
        if heartbeat && change.head.is_some() {
            wrong.push(format!("{}: a heartbeat changes its head", change.key.id));
        }
        // It was tried before, with an unknown outcome.
        let unsure = || {
            book.iter().any(|other| {
                other.outcome == Acknowledged::Unknown
                    && Arc::ptr_eq(&other.change.entries, &change.entries)
            })
        };
        let there = places.contains(&(change.after + 1));
        let right = match appended.outcome {
            Acknowledged::Done => there,
            Acknowledged::Refused => !there || unsure(),
            Acknowledged::Unknown => true,
        };
        if !right || places.len() > 1 {
            let (key, outcome) = (&change.key.id, appended.outcome);
            wrong.push(format!("{key}: {outcome:?} after {}, found at {places:?}", change.after));
        }
    }
}

/// What a journal says by itself: one outcome, one runner at a time, none left behind.
fn one_story(id: &Arc<str>, journal: &Journal) -> Vec<String> {
    let mut wrong = Vec::new();
    let fold = Fold::replay(Arc::clone(id), &journal.slots);
    let claimed = journal.head.phase == Phase::Claimed;
    if !fold.is_settled() && !claimed {
        wrong.push("it was left behind".to_owned());
    }
    let head = Head { phase: journal.head.phase, ..fold.head_after(&journal.head.owner, &[]) };
    if !claimed && fold.reply.is_none() && journal.head != head {
        wrong.push(format!("its head is {:?}", journal.head));
    }
    let (mut ended, mut attempt, mut settled) = (false, 0, true);
    let (mut runner, mut steps) = (Runner::default(), BTreeSet::new());
    for entry in journal.slots.iter().flat_map(|slot| slot.entries.iter()) {
        if ended {
            wrong.push("something comes after its end".to_owned());
        }
        match entry {
            Entry::Submitted(_) if !settled => wrong.push("a message out of turn".to_owned()),
            Entry::Submitted(_) => {
                (attempt, settled) = (0, false);
                steps.clear();
            }
            Entry::Started(started) => {
                if started.attempt != attempt + 1 || settled {
                    wrong.push(format!("attempt {} is out of turn", started.attempt));
                }
                (attempt, runner) = (started.attempt, Runner::default());
            }
            Entry::Status(event) => {
                let state = event.status.state;
                ended = state.is_terminal();
                settled = ended || state.is_interrupted();
                let text = event.status.message.as_ref().map(|message| message.text());
                wrong.extend(text.and_then(|text| runner.says(&text)));
            }
            Entry::Artifact(event) => {
                wrong.extend(runner.says(&parts_text(&event.artifact.parts)));
            }
            Entry::Replied(message) => {
                (ended, settled) = (true, true);
                wrong.extend(runner.says(&message.text()));
            }
            Entry::KeyUsed(_) => ended = true,
            Entry::Step(step) if !steps.insert(Arc::clone(&step.name)) => {
                wrong.push(format!("the step {} is done twice", step.name));
            }
            _ => {}
        }
    }
    wrong
}

/// The runner that began last: what it says is whole, in order, and of no other runner.
#[derive(Default)]
struct Runner {
    number: Option<u64>,
    said: u64,
}

impl Runner {
    fn says(&mut self, text: &str) -> Option<String> {
        // The handler's own sentences have no such number.
        let (number, said) = text.split_once(':')?;
        let (number, said) = (number.parse().ok()?, said.parse::<u64>().ok()?);
        let right = *self.number.get_or_insert(number) == number && said == self.said;
        self.said = said + 1;
        (!right).then(|| format!("{text} comes out of turn"))
    }
}

/// What was told of a task was true at some time, and in the right one.
fn told_right(id: &Arc<str>, journal: &Journal, record: &Record) -> Vec<String> {
    let mut wrong = Vec::new();
    let stood = stood(id, &journal.slots);
    for said in record.said.iter().filter(|said| said.task.id == *id) {
        let in_time = |at: &(Cursor, Task)| match said.between {
            Some((from, until)) => (from..=until).contains(&at.0.version),
            None => true,
        };
        if !stood.iter().any(|at| in_time(at) && at.1 == said.task) {
            let status = &said.task.status;
            wrong.push(format!("{} told of {status:?} {:?}", said.what, said.task.artifacts));
        }
    }
    for heard in record.heard.iter().filter(|heard| heard.id.as_ref() == Some(id)) {
        wrong.extend(heard_right(heard, &journal.slots, &stood));
    }
    wrong
}

/// The task after each entry.
fn stood(id: &Arc<str>, slots: &[Slot]) -> Vec<(Cursor, Task)> {
    let mut stood = Vec::new();
    let mut fold = Fold::new(Arc::clone(id));
    for (place, slot) in slots.iter().enumerate() {
        for (index, entry) in (0..).zip(slot.entries.iter()) {
            let cursor = Cursor { version: slot.version, index };
            fold.apply(cursor, entry);
            if matches!(entry, Entry::Started(started) if started.attempt > 1) {
                // What the attempt before recorded no longer counts.
                let mut until = slots[..=place].to_vec();
                until[place].entries = slot.entries[..=index as usize].into();
                fold = Fold::replay(Arc::clone(id), &until);
            }
            stood.push((cursor, fold.task.clone()));
        }
    }
    stood
}

/// A stream begins with the task as it stood, and misses and repeats nothing.
fn heard_right(heard: &Heard, slots: &[Slot], stood: &[(Cursor, Task)]) -> Option<String> {
    let first = heard.events.first()?;
    let at = first.cursor?;
    let task_at = |at: Cursor| stood.iter().find(|stood| stood.0 == at).map(|stood| &stood.1);
    let StreamResponse::Task(task) = &first.response else {
        return Some(format!("a stream began with {}", told(first)));
    };
    if task_at(at) != Some(&**task) {
        return Some(format!("a stream began at {at} with another task: {task:?}"));
    }
    let mut expected = Vec::new();
    for slot in slots {
        // The claim of another attempt is one event, told where the claim ends.
        let anew = |it: &Entry| matches!(it, Entry::Started(started) if started.attempt > 1);
        let anew = slot.entries.iter().any(anew);
        for (index, entry) in (0..).zip(slot.entries.iter()) {
            let cursor = Cursor { version: slot.version, index };
            let ends = slot.entries.len() == index as usize + 1;
            let response = match entry {
                _ if cursor <= at || (anew && !ends) => continue,
                _ if anew => StreamResponse::Task(Box::new(task_at(cursor)?.clone())),
                Entry::Status(event) => StreamResponse::StatusUpdate(Arc::clone(event)),
                Entry::Artifact(event) => StreamResponse::ArtifactUpdate(Arc::clone(event)),
                Entry::Replied(message) => StreamResponse::Message(Arc::clone(message)),
                _ => continue,
            };
            expected.push((cursor, response));
        }
    }
    let rest = &heard.events[1..];
    let same = rest.iter().zip(&expected).all(|(event, expected)| {
        (event.cursor, &event.response) == (Some(expected.0), &expected.1)
    });
    let right = same && rest.len() <= expected.len();
    if right && (!heard.whole || rest.len() == expected.len()) {
        return None;
    }
    let cursors: Vec<_> = heard.events.iter().map(|it| it.cursor.unwrap_or_default()).collect();
    let told: Vec<_> = heard.events.iter().map(told).collect();
    Some(format!("a stream (whole: {}) told {told:?} at {cursors:?}", heard.whole))
}

/// A journal in one line.
pub(crate) fn outline(slots: &[Slot]) -> String {
    let entry = |entry: &Entry| match entry {
        Entry::Submitted(it) => format!("[{}]", it.message.text()),
        Entry::Started(it) => format!("#{}", it.attempt),
        Entry::Status(it) => {
            let text = it.status.message.as_ref().map(|it| it.text()).unwrap_or_default();
            format!("{:?} {text}", it.status.state)
        }
        Entry::Artifact(it) => {
            let texts: Vec<_> = it.artifact.parts.iter().filter_map(Part::as_text).collect();
            texts.concat()
        }
        Entry::Heartbeat(_) => "~".to_owned(),
        Entry::Released(_) => "released".to_owned(),
        Entry::KeyUsed(it) => format!("key of a message to {}", it.task_id),
        Entry::CancelRequested(_) => "x".to_owned(),
        Entry::Replied(it) => format!("reply {}", it.text()),
        other => format!("{other:?}"),
    };
    let slot = |slot: &Slot| slot.entries.iter().map(entry).collect::<Vec<_>>().join(", ");
    slots.iter().map(slot).collect::<Vec<_>>().join(" | ")
}

/// An answer in one line, and what it is to be compared with.
fn brief(reply: &SendMessageResponse, journals: &Journals) -> String {
    match reply {
        SendMessageResponse::Message(message) => format!("reply {}", message.text()),
        SendMessageResponse::Task(task) => {
            let made: Vec<_> = task.artifacts.iter().map(|it| parts_text(&it.parts)).collect();
            let slots = journals.get(&task.id).map_or(&[][..], |journal| &journal.slots);
            let (said, state) = (status_text(task), short(task.status.state));
            format!("{state} {said} {made:?} {:?} of {}", history(task), outline(slots))
        }
    }
}
