//! Which steps of the newest message's work are done.
//!
//! Owns: finding their values, and what was told inside each, in the journal, over all attempts: an
//! attempt that was fenced off has done its steps all the same. Must never know: what a value means.

use std::{collections::HashMap, sync::Arc};

use super::{
    entry::{Entry, Within},
    journal::Slot,
};
use crate::types::Json;

/// The steps that are done, by their names.
pub(crate) type DoneSteps = HashMap<Arc<str>, DoneStep>;

/// What a step came to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DoneStep {
    pub(crate) value: Json,
    /// What the agent told inside it.
    pub(crate) told: Vec<Entry>,
}

/// The steps of the newest message's work that are done.
pub(crate) fn done(slots: &[Slot]) -> DoneSteps {
    let is_message = |slot: &Slot| slot.entries.iter().any(|it| matches!(it, Entry::Submitted(_)));
    let newest = slots.iter().rposition(is_message).unwrap_or_default();
    let mut done = DoneSteps::new();
    let mut told: HashMap<&str, Vec<Entry>> = HashMap::new();
    for slot in &slots[newest.min(slots.len())..] {
        let mut within: &[Arc<str>] = &[];
        for entry in slot.entries.iter() {
            match entry {
                // What it told before it was done is told anew.
                Entry::Started(_) => told.clear(),
                Entry::Within(Within { steps }) => within = steps,
                Entry::Step(step) => {
                    let told = told.remove(&*step.name).unwrap_or_default();
                    let value = step.value.clone();
                    done.entry(Arc::clone(&step.name)).or_insert(DoneStep { value, told });
                }
                Entry::Status(_) | Entry::Artifact(_) => {
                    for step in within {
                        told.entry(step).or_default().push(entry.clone());
                    }
                }
                _ => {}
            }
        }
    }
    done
}
