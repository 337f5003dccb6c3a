//! One writer's hold on one journal.
//!
//! Owns: appending on top of what was seen, and learning what others wrote when the slot was taken.
//! Must never know: executors, callers, what an entry is for.

use std::{sync::Arc, time::Duration};

use futures_util::stream::BoxStream;
use tokio::time::Instant;

use crate::{
    store::{AppendError, Change, StoreError, TaskStore},
    task::{Cursor, Entry, Fold, Phase, Slot, TaskKey},
};

/// A journal as this writer knows it, and the entries it has yet to append.
pub(crate) struct Ledger {
    pub(crate) store: Arc<dyn TaskStore>,
    pub(crate) key: TaskKey,
    pub(crate) owner: Arc<str>,
    /// What is recorded, folded.
    pub(crate) fold: Fold,
    /// What goes before the next entries, in the same append: a new task is first written with
    /// what came of it.
    pub(crate) pending: Vec<Entry>,
    /// Whether the journal is claimed, but not listed: nothing has come of it yet.
    pub(crate) claimed: bool,
    /// How often an append is tried while others are ahead.
    pub(crate) tries: u32,
    /// How long it is tried while the store is away.
    pub(crate) patience: Duration,
}

/// Why nothing was appended.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Others wrote first; the fold has it now.
    Overtaken,
    /// The entries do not fit the store.
    TooLarge,
    /// The store failed, also after trying again.
    Store(StoreError),
}

/// Trying again, more and more slowly, up to a time.
struct Retry {
    until: Instant,
    pause: Duration,
}

impl Retry {
    fn new(patience: Duration) -> Self {
        Self { until: Instant::now() + patience, pause: Duration::from_millis(25) }
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

impl Ledger {
    /// Records these entries after the pending ones, as one append, and folds them. When others
    /// wrote meanwhile and `on_top` agrees that it does not matter, they are recorded on top of
    /// that.
    pub(crate) async fn append(
        &mut self,
        entries: Vec<Entry>,
        listed: bool,
        on_top: fn(&Slot) -> bool,
    ) -> Result<(), Refused> {
        let mut all = std::mem::take(&mut self.pending);
        let pending = all.len();
        all.extend(entries);
        let entries: Arc<[Entry]> = all.into();
        let mut retry = Retry::new(self.patience);
        let mut tries = self.tries;
        loop {
            let refused = match self.store.append(self.change(&entries, listed)).await {
                Ok(()) => {
                    self.claimed = !listed;
                    self.fold_in(&Slot { version: self.fold.cursor.version + 1, entries });
                    return Ok(());
                }
                Err(AppendError::Conflict) if tries == 0 => {
                    let sentence = "other writers were always first";
                    return Err(Refused::Store(StoreError::unavailable(sentence)));
                }
                Err(AppendError::Conflict) => {
                    tries -= 1;
                    match self.catch_up(&entries, on_top).await {
                        Ok(true) => continue,
                        Ok(false) => {
                            self.claimed = !listed;
                            return Ok(());
                        }
                        Err(refused) => refused,
                    }
                }
                Err(AppendError::TooLarge) => {
                    self.pending = entries[..pending].to_vec();
                    return Err(Refused::TooLarge);
                }
                Err(AppendError::Store(error)) => Refused::Store(error),
            };
            match refused {
                Refused::Store(error) if error.is_retriable() && retry.is_in_time() => {
                    tracing::warn!(task = %self.key.id, %error, "an append is tried again");
                    retry.pause().await;
                }
                refused => return Err(refused),
            }
        }
    }

    /// Reads what others wrote. Answers whether the append is still to be done: it is not when a
    /// lost acknowledgement hid that it was done already.
    async fn catch_up(
        &mut self,
        mine: &Arc<[Entry]>,
        on_top: fn(&Slot) -> bool,
    ) -> Result<bool, Refused> {
        let after = self.fold.cursor.version;
        let read = self.store.read(&self.key, after).await.map_err(Refused::Store)?;
        let mut missing = true;
        for slot in read.map_or_else(Vec::new, |journal| journal.slots) {
            let is_mine = missing && slot.entries == *mine;
            missing &= !is_mine;
            let allowed = is_mine || on_top(&slot);
            self.fold_in(&slot);
            if !allowed {
                return Err(Refused::Overtaken);
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

    /// What others will write from here on.
    pub(crate) fn tail(&self) -> BoxStream<'static, Result<Slot, StoreError>> {
        Arc::clone(&self.store).tail(self.key.clone(), self.fold.cursor.version)
    }

    fn change(&self, entries: &Arc<[Entry]>, listed: bool) -> Change {
        let first_listing = self.claimed && listed;
        let changed = first_listing || entries.iter().any(Entry::changes_head);
        let head = changed.then(|| {
            let mut head = self.fold.head_after(&self.owner, entries);
            if !listed && head.phase == Phase::Running {
                head.phase = Phase::Claimed;
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
