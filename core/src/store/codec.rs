//! Entries and heads as bytes, the same in every database.
//!
//! Owns: their encoding, which is JSON, and what is said of bytes that are neither. Must never
//! know: where they are kept.

use std::sync::Arc;

use super::StoreError;
use crate::task::{Entry, Head, TaskKey, Version};

/// The entries of one slot.
pub(crate) fn encode_entries(entries: &[Entry]) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(entries).map_err(|error| {
        StoreError::broken("an entry cannot be written as JSON").with_source(error)
    })
}

/// The entries of that slot.
pub(crate) fn decode_entries(
    key: &TaskKey,
    version: Version,
    bytes: &[u8],
) -> Result<Arc<[Entry]>, StoreError> {
    let entries: Vec<Entry> = serde_json::from_slice(bytes)
        .map_err(|error| corrupt(key, &format!("slot {version}")).with_source(error))?;
    if entries.is_empty() {
        return Err(corrupt(key, &format!("slot {version}")));
    }
    Ok(entries.into())
}

/// A head.
pub(crate) fn encode_head(head: &Head) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(head)
        .map_err(|error| StoreError::broken("a head cannot be written as JSON").with_source(error))
}

/// The head of that journal.
pub(crate) fn decode_head(key: &TaskKey, bytes: &[u8]) -> Result<Head, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| corrupt(key, "head").with_source(error))
}

/// The head of a task that a list is about to show: one that cannot be read is left out and
/// named in the log.
pub(crate) fn readable(key: &TaskKey, head: Result<Head, StoreError>) -> Option<Head> {
    head.inspect_err(|error| tracing::error!(task = %key.id, %error, "a list leaves out a task"))
        .ok()
}

/// Of something in that journal that is not what was written: the message names it for the log.
pub(crate) fn corrupt(key: &TaskKey, what: &str) -> StoreError {
    StoreError::broken(format!("the {what} of the task {:?} is corrupt", key.id))
}
