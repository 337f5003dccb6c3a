//! What may be done to a task, decided from its journal alone.
//!
//! Owns: new or continue, refuse when finished, whether a request is redelivered, what may be
//! canceled, how a history is cut. Pure: journals and requests in, decisions out.

use std::sync::Arc;

use super::{
    entry::{Entry, Submitted},
    fold::Fold,
    journal::Slot,
};
use crate::{
    call::Caller,
    error::{Error, ErrorKind},
    limits::Limits,
    types::{Message, Task},
};

/// What is to be done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Record it and begin to work on it.
    Begin,
    /// It is recorded, but its work was not finished: start this attempt.
    Restart(u32),
    /// It is recorded and was begun too often: fail the task.
    GiveUp,
    /// It is recorded and answered: answer the same.
    Answered,
    /// It is recorded, and an earlier delivery of it is being served.
    Join,
    /// A run is at work on the task: wait for the turn.
    Wait,
}

/// Decides about a message to the task whose journal this is.
pub(crate) fn message(
    slots: &[Slot],
    fold: &Fold,
    message: &Message,
    caller: &Caller,
    limits: &Limits,
) -> Result<Admission, Error> {
    if let Some(recorded) = recorded(slots, caller) {
        if recorded.message_id != message.message_id || recorded.parts != message.parts {
            return Err(key_is_taken());
        }
        return Ok(redelivered(slots, fold, caller, limits));
    }
    if fold.used_for.is_some() {
        return Err(key_is_taken());
    }
    let task = &fold.task;
    if let Some(context_id) = message.context_id.as_ref().filter(|id| **id != task.context_id) {
        return Err(Error::invalid_field(
            "message.contextId",
            format!("is {context_id:?}, but the task belongs to {:?}", task.context_id),
        ));
    }
    match task.status.state {
        state if state.is_terminal() => Err(Error::new(
            ErrorKind::UnsupportedOperation,
            format!(
                "The task {:?} has ended ({}); send the message without its id to begin a new one.",
                task.id,
                state.name()
            ),
        )),
        state if state.is_interrupted() => Ok(Admission::Begin),
        _ => Ok(Admission::Wait),
    }
}

/// The request's key stands for another request.
pub(crate) fn key_is_taken() -> Error {
    let sentence = "Another message was sent under this request's key.";
    Error::new(ErrorKind::InvalidRequest, sentence)
}

/// The message an earlier delivery of this request recorded.
fn recorded<'a>(slots: &'a [Slot], caller: &Caller) -> Option<&'a Message> {
    let key = caller.key.as_ref()?.as_str();
    slots.iter().flat_map(|slot| slot.entries.iter()).find_map(|entry| match entry {
        Entry::Submitted(submitted) if submitted.request.as_ref() == Some(key) => {
            Some(&*submitted.message)
        }
        _ => None,
    })
}

fn redelivered(slots: &[Slot], fold: &Fold, caller: &Caller, limits: &Limits) -> Admission {
    if answered(&fold.task.id, slots, caller).1 {
        return Admission::Answered;
    }
    // A living run is joined, whoever runs it; one that is not shows no sign of life for a lease.
    match fold.work.released {
        true => next_attempt(fold, limits),
        false => Admission::Join,
    }
}

/// Which attempt is the next at work that is an orphan: none after too many that came to nothing, or
/// after the agent's whole time.
pub(crate) fn next_attempt(fold: &Fold, limits: &Limits) -> Admission {
    let work = &fold.work;
    match work.lost() >= limits.attempts || work.spent() >= limits.run_time {
        true => Admission::GiveUp,
        false => Admission::Restart(work.attempt + 1),
    }
}

/// Whether the newest of these slots that tells of a run tells that it was released.
pub(crate) fn is_released(slots: &[Slot]) -> bool {
    let entries = slots.iter().rev().flat_map(|slot| slot.entries.iter().rev());
    let told = entries.into_iter().find_map(|entry| match entry {
        Entry::Released(_) => Some(true),
        Entry::Started(_) | Entry::Submitted(_) => Some(false),
        entry => entry.ends_run().then_some(false),
    });
    told.unwrap_or(false)
}

/// The journal as it stood when this request was answered, and whether it was: what came later is
/// another request's. An answer is given when an append is done, so all of that append is in it.
pub(crate) fn answered(id: &Arc<str>, slots: &[Slot], caller: &Caller) -> (Fold, bool) {
    let key = caller.key.as_ref().map(|key| key.as_str());
    let mut mine = false;
    let answers = |slot: &Slot| {
        let mut settled = false;
        for entry in slot.entries.iter() {
            match entry {
                Entry::Submitted(submitted) => mine = submitted.request.as_ref() == key,
                Entry::Status(event) => {
                    let state = event.status.state;
                    settled = state.is_terminal() || state.is_interrupted();
                }
                Entry::Replied(_) => settled = true,
                _ => {}
            }
        }
        mine && settled
    };
    let answer = slots.iter().position(answers);
    let until = answer.map_or(slots.len(), |answer| answer + 1);
    (Fold::replay(Arc::clone(id), &slots[..until]), answer.is_some())
}

/// The journal as it stood when work on this request first began: where its stream starts.
pub(crate) fn begun(id: &Arc<str>, slots: &[Slot], caller: &Caller) -> Fold {
    let key = caller.key.as_ref().map(|key| key.as_str());
    let mut mine = false;
    let start = slots.iter().position(|slot| {
        slot.entries.iter().any(|entry| match entry {
            Entry::Submitted(submitted) => {
                mine = submitted.request.as_ref() == key;
                false
            }
            Entry::Started(_) => mine,
            _ => false,
        })
    });
    let until = start.map_or(slots.len(), |start| start + 1);
    Fold::replay(Arc::clone(id), &slots[..until])
}

/// The newest message that was recorded.
pub(crate) fn newest(slots: &[Slot]) -> Option<&Submitted> {
    let entries = slots.iter().rev().flat_map(|slot| slot.entries.iter().rev());
    entries.into_iter().find_map(|entry| match entry {
        Entry::Submitted(submitted) => Some(&**submitted),
        _ => None,
    })
}

/// The journal as it stood when its newest message was recorded, and the task before that, if
/// there was one: what the next attempt at it starts from. A message that is being worked on is
/// always the newest.
pub(crate) fn restart(id: &Arc<str>, slots: &[Slot]) -> (Fold, Option<Task>) {
    let is_message = |entry: &Entry| matches!(entry, Entry::Submitted(_));
    let newest = slots.iter().rposition(|slot| slot.entries.iter().any(is_message));
    let newest = newest.unwrap_or_default();
    let until = &slots[..slots.len().min(newest + 1)];
    let count = until.iter().flat_map(|slot| slot.entries.iter()).filter(|it| is_message(it));
    let count = count.count();
    let (fold, _) = Fold::replay_until(Arc::clone(id), until, |fold, _| {
        usize::try_from(fold.messages).is_ok_and(|messages| messages == count)
    });
    let before = &slots[..newest];
    let task = (!before.is_empty()).then(|| Fold::replay(Arc::clone(id), before).task);
    (fold, task)
}

/// Whether a task may be canceled (section 3.1.5).
pub(crate) fn cancel(task: &Task) -> Result<(), Error> {
    let state = task.status.state;
    if !state.is_terminal() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::TaskNotCancelable,
        format!("The task {:?} has ended already ({}).", task.id, state.name()),
    )
    .with("taskId", &*task.id))
}

/// The task as it stood when an earlier delivery of this request had canceled it, if one has.
pub(crate) fn canceled(id: &Arc<str>, slots: &[Slot], caller: &Caller) -> Option<Task> {
    let key = caller.key.as_ref()?.as_str();
    let is_mine =
        |entry: &Entry| matches!(entry, Entry::CancelRequested(cancel) if cancel.request == *key);
    let slot = slots.iter().position(|slot| slot.entries.iter().any(is_mine))?;
    Some(Fold::replay(Arc::clone(id), &slots[..=slot]).task)
}

/// Cuts a history to its newest messages (section 3.2.4).
pub(crate) fn trim_history(task: &mut Task, length: Option<i32>) {
    let keep = length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(0));
    let surplus = task.history.len().saturating_sub(keep);
    task.history.drain(..surplus);
}
