//! Whether a call was recorded before.
//!
//! Owns: looking for an earlier delivery of a call in the journal that it is recorded in. Must never
//! know: credentials, transports.

use std::sync::Arc;

use super::state::Engine;
use crate::{
    call::{Call, IdempotencyKey},
    error::Error,
    task::{Entry, TaskKey},
};

impl Engine {
    /// Whether a message or a cancel was recorded for that owner under that key. What reads leaves
    /// nothing behind.
    pub(crate) async fn is_recorded(
        &self,
        owner: &Arc<str>,
        call: &Call,
        key: &IdempotencyKey,
    ) -> Result<bool, Error> {
        let id = match call {
            Call::SendMessage(request) | Call::SendStreamingMessage(request) => {
                let named = request.message.task_id.clone();
                named.unwrap_or_else(|| key.id("task"))
            }
            Call::CancelTask(request) => Arc::clone(&request.id),
            _ => return Ok(false),
        };
        let task = TaskKey::new(call.tenant(), &id);
        let Some(journal) = self.store.read(&task, 0).await? else { return Ok(false) };
        let mut entries = journal.slots.iter().flat_map(|slot| slot.entries.iter());
        let is_recorded = entries.any(|entry| match entry {
            Entry::Submitted(submitted) => submitted.request.as_ref() == Some(key.as_str()),
            Entry::CancelRequested(cancel) => cancel.request == *key.as_str(),
            _ => false,
        });
        Ok(journal.head.owner == *owner && is_recorded)
    }
}
