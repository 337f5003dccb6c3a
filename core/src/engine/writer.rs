//! One writer's hold on one journal.
//!
//! Owns: appending on top of what was read, reading on after a conflict, and retrying while the store
//! is unavailable. Must never know: executors, callers.

use std::{sync::Arc, time::Duration};

use futures_util::stream::BoxStream;
use tokio::time::Instant;

use crate::{
    store::{AppendError, Change, StoreError, TaskStore},
    task::{Cursor, Entry, Fold, Phase, Slot, TaskKey},
};

/// A journal as this writer knows it, and the entries it has yet to append.
pub(crate) struct Writer {
    pub(crate) store: Arc<dyn TaskStore>,
    pub(crate) key: TaskKey,
    pub(crate) owner: Arc<str>,
    /// What is recorded, folded.
    pub(crate) fold: Fold,
    /// What goes before the next entries, in the same append: a new task is first written with
    /// what came of it.
    pub(crate) pending: Vec<Entry>,
    /// Whether lists show the journal, or it is new; not, while only the start of a run is recorded.
    pub(crate) listed: bool,
    /// The newest slot that this writer appended.
    pub(crate) written: Option<Slot>,
    /// How often an append is tried while other writers take the slot.
    pub(crate) tries: u32,
    /// How long an append is retried while the store is unavailable.
    pub(crate) outage: Duration,
}

/// Retries with exponential backoff, up to a time.
struct Retry {
    until: Instant,
    pause: Duration,
}

impl Retry {
    fn new(longest: Duration) -> Self {
        Self { until: Instant::now() + longest, pause: Duration::from_millis(25) }
    }

    fn is_in_time(&self) -> bool {
        Instant::now() < self.until
    }

    async fn pause(&mut self) {
        const LONGEST: Duration = Duration::from_secs(1);
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST);
    }
}

impl Writer {
    /// Records these entries after the pending ones, as one append, and folds them. On a conflict
    /// they are recorded on top of the other writers' slots, if `on_top` agrees to each.
    ///
    /// # Errors
    /// [`AppendError::Conflict`] when it does not; the fold has those slots then. The store's own
    /// conflicts never get here.
    pub(crate) async fn append(
        &mut self,
        entries: Vec<Entry>,
        listed: bool,
        on_top: fn(&Slot) -> bool,
    ) -> Result<(), AppendError> {
        let mut all = std::mem::take(&mut self.pending);
        let pending = all.len();
        all.extend(entries);
        let entries: Arc<[Entry]> = all.into();
        let mut retry = Retry::new(self.outage);
        let mut tries = self.tries;
        loop {
            let failed = match self.store.append(self.change(&entries, listed)).await {
                Ok(()) => {
                    self.listed = listed;
                    let slot = Slot { version: self.fold.cursor.version + 1, entries };
                    self.fold_in(&slot);
                    self.written = Some(slot);
                    return Ok(());
                }
                Err(AppendError::Conflict) if tries == 0 => {
                    let sentence = "other writers were always first";
                    return Err(AppendError::Store(StoreError::unavailable(sentence)));
                }
                Err(AppendError::Conflict) => {
                    tries -= 1;
                    match self.catch_up(&entries, on_top).await {
                        Ok(true) => continue,
                        Ok(false) => {
                            self.listed = listed;
                            return Ok(());
                        }
                        Err(failed) => failed,
                    }
                }
                Err(AppendError::TooLarge) => {
                    self.pending = entries[..pending].to_vec();
                    return Err(AppendError::TooLarge);
                }
                Err(failed) => failed,
            };
            match failed {
                AppendError::Store(error) if error.is_retriable() && retry.is_in_time() => {
                    tracing::warn!(task = %self.key.id, %error, "an append is retried");
                    retry.pause().await;
                }
                failed => return Err(failed),
            }
        }
    }

    /// Reads the other writers' slots. Answers whether the append is still to be done: it is not when a
    /// lost acknowledgement hid that it was done already.
    async fn catch_up(
        &mut self,
        mine: &Arc<[Entry]>,
        on_top: fn(&Slot) -> bool,
    ) -> Result<bool, AppendError> {
        let after = self.fold.cursor.version;
        let read = self.store.read(&self.key, after).await.map_err(AppendError::Store)?;
        let mut missing = true;
        for slot in read.map_or_else(Vec::new, |journal| journal.slots) {
            let is_mine = missing && slot.entries == *mine;
            missing &= !is_mine;
            let allowed = is_mine || on_top(&slot);
            self.fold_in(&slot);
            if !allowed {
                return Err(AppendError::Conflict);
            }
        }
        Ok(missing)
    }

    /// Adds a slot that is recorded to the fold.
    pub(crate) fn fold_in(&mut self, slot: &Slot) {
        for (index, entry) in (0..).zip(slot.entries.iter()) {
            self.fold.apply(Cursor { version: slot.version, index }, entry);
        }
    }

    /// The slots after those that are folded, as they come.
    pub(crate) fn tail(&self) -> BoxStream<'static, Result<Slot, StoreError>> {
        Arc::clone(&self.store).tail(self.key.clone(), self.fold.cursor.version)
    }

    fn change(&self, entries: &Arc<[Entry]>, listed: bool) -> Change {
        let newly_listed = !self.listed && listed;
        let changed = newly_listed || entries.iter().any(Entry::changes_head);
        let head = changed.then(|| {
            let mut head = self.fold.head_after(&self.owner, entries);
            if !listed && head.phase == Phase::Running {
                (head.phase, head.host) = (Phase::Claimed, None);
            }
            head
        });
        Change {
            key: self.key.clone(),
            after: self.fold.cursor.version,
            entries: Arc::clone(entries),
            head,
        }
    }
}

/// Whether a run goes on after another writer's slot: not when the task has ended with it, and not
/// when another attempt has started.
pub(super) fn keeps_run(slot: &Slot) -> bool {
    !slot.entries.iter().any(|entry| entry.ends_run() || matches!(entry, Entry::Started(_)))
}
