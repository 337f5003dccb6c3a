//! How large an answer may be.
//!
//! Owns: measuring tasks as they are written, what fits on a page, and the words in place of what is
//! too large. Must never know: what is asked for, stores, transports.

use std::io::{self, Write};

use crate::{
    error::{Error, ErrorKind},
    types::Task,
};

/// No JSON of a task has more bytes for each that it weighs.
const MOST_PER_BYTE: usize = 6;

/// A task that may be answered.
///
/// # Errors
/// [`ErrorKind::TooLarge`] when its JSON has more than `most` bytes.
pub(super) fn within(task: &Task, most: usize) -> Result<(), Error> {
    // Nearly every task is far from it, and is not written for this.
    if task.weight() * MOST_PER_BYTE <= most || json_bytes(task, most).is_some() {
        return Ok(());
    }
    let id = &*task.id;
    Err(Error::new(
        ErrorKind::TooLarge,
        format!(
            "The task {id:?} is over the limit of {most} bytes for an answer; ask for less of it \
             (historyLength, includeArtifacts), or subscribe after its first event (Last-Event-ID \
             1-0) to have it in pieces."
        ),
    )
    .with("taskId", id))
}

/// The room that is left on a page.
pub(super) struct Room {
    left: usize,
    /// Whether what is on it was measured, and not only estimated.
    exact: bool,
}

impl Room {
    /// A page of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        Self { left: bytes, exact: false }
    }

    /// Whether the task fits behind those that are on the page, which it then is.
    pub(super) fn add(&mut self, page: &[Task], task: &Task) -> bool {
        let estimate = task.weight() * MOST_PER_BYTE;
        if !self.exact && estimate > self.left {
            let estimated = page.iter().map(|it| it.weight() * MOST_PER_BYTE).sum::<usize>();
            let bytes = page.iter().filter_map(|it| json_bytes(it, usize::MAX)).sum::<usize>();
            (self.left, self.exact) = ((self.left + estimated).saturating_sub(bytes), true);
        }
        let bytes = if self.exact { json_bytes(task, self.left) } else { Some(estimate) };
        self.left -= bytes.unwrap_or(self.left);
        bytes.is_some()
    }
}

/// How many bytes a task has as JSON, with what parts it from the next; none if more than `most`.
fn json_bytes(task: &Task, most: usize) -> Option<usize> {
    let mut left = Left(most);
    serde_json::to_writer(&mut left, task).ok()?;
    left.write_all(b",").ok()?;
    Some(most - left.0)
}

/// Takes so many bytes, and keeps none.
struct Left(usize);

impl Write for Left {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::arbitrary;

    proptest! {
        #[test]
        fn no_json_is_larger_than_it_may_be(task in arbitrary::task()) {
            let bytes = serde_json::to_vec(&task).unwrap().len() + 1;
            prop_assert!(bytes <= task.weight() * MOST_PER_BYTE, "{bytes} of {}", task.weight());
            prop_assert_eq!(json_bytes(&task, usize::MAX), Some(bytes));
            prop_assert_eq!(json_bytes(&task, bytes), Some(bytes));
            prop_assert_eq!(json_bytes(&task, bytes - 1), None);
        }

        #[test]
        fn a_page_is_within_its_bytes(
            tasks in prop::collection::vec(arbitrary::task(), 0..8), most in 0..20_000_usize,
        ) {
            let (mut room, mut page) = (Room::new(most), Vec::new());
            for task in &tasks {
                if !room.add(&page, task) {
                    break;
                }
                page.push(task.clone());
            }
            let bytes = |tasks: &[Task]| {
                tasks.iter().map(|it| serde_json::to_vec(it).unwrap().len() + 1).sum::<usize>()
            };
            prop_assert!(bytes(&page) <= most);
            if page.len() < tasks.len() {
                prop_assert!(bytes(&tasks[..=page.len()]) > most, "it ended too early");
            }
        }
    }
}
