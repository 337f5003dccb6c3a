//! Which task an answer is about.
//!
//! Owns: finding it in a call, a reply and an event, and whether an event takes the place of what was
//! told of it. Must never know: records, topics.

use std::sync::Arc;

use crate::{
    call::{Call, Caller, Cursor, Event, Reply},
    error::{Error, ErrorKind},
    types::{SendMessageResponse, StreamResponse},
};

/// The metadata of an error that names a task.
pub(super) const TASK_ID: &str = "taskId";

/// What is said in place of an answer that no topic takes: where it is of a task, its id, by which it
/// can be had in pieces.
pub(super) fn too_large(task: Option<Arc<str>>) -> Error {
    let error = Error::new(ErrorKind::TooLarge, "The answer is larger than a topic takes.");
    match task {
        Some(task) => error.with(TASK_ID, &*task),
        None => error,
    }
}

/// The task that a reply is.
pub(super) fn task_of_reply(reply: Reply) -> Option<Arc<str>> {
    match reply {
        Reply::Task(task) | Reply::Sent(SendMessageResponse::Task(task)) => Some(task.id),
        _ => None,
    }
}

/// The task that an event is of.
pub(super) fn task_of_event(event: &Event) -> Option<Arc<str>> {
    match &event.response {
        StreamResponse::Task(task) => Some(Arc::clone(&task.id)),
        StreamResponse::StatusUpdate(event) => Some(Arc::clone(&event.task_id)),
        StreamResponse::ArtifactUpdate(event) => Some(Arc::clone(&event.task_id)),
        StreamResponse::Message(_) => None,
    }
}

/// The task a call is about: the one it names, or the one its message begins.
pub(super) fn task_of_call(call: &Call, caller: &Caller) -> Option<Arc<str>> {
    match call {
        Call::SendMessage(request) | Call::SendStreamingMessage(request) => {
            let begun = || caller.key.as_ref().map(|key| key.id("task"));
            request.message.task_id.clone().or_else(begun)
        }
        Call::GetTask(request) => Some(Arc::clone(&request.id)),
        Call::CancelTask(request) => Some(Arc::clone(&request.id)),
        Call::SubscribeToTask(request) => Some(Arc::clone(&request.id)),
        _ => None,
    }
}

/// Whether an event takes the place of what its reader was told: a task after other events is one
/// whose work began anew.
pub(super) fn restarts(event: &Event, told: Option<Cursor>) -> bool {
    matches!(event.response, StreamResponse::Task(_)) && told.is_some() && event.cursor > told
}
