//! Where journals are kept.
//!
//! A writer appends "after version N, these entries"; the store takes slot N + 1 for one writer and
//! answers [`AppendError::Conflict`] to the others. A reader reads a head with the slots after a
//! version, or follows them with [`TaskStore::tail`].
//!
//! | file | what |
//! |---|---|
//! | this one | the contract: [`TaskStore`], what goes in and out, [`StoreError`] |
//! | `open` | which store a URL names |
//! | `agent` | the part of a store that belongs to one of several agents |
//! | `memory` | in this process |
//! | `dynamodb`, `postgres`, `redis` | in that database |
//! | `codec` | entries and heads as bytes, the same in every database |
//! | `feed` | one reader of a journal for all its followers in this process |
//! | `totals` | how many tasks a list has, for a few seconds |
//! | `conformance` | the suite that holds every store to the contract |
//!
//! Owns: the contract between a writer of tasks and a database, and what can go wrong there. Must
//! never know: states, rules, transports; a [`Head`] tells a store what it may list and drop.

mod agent;
#[cfg(any(feature = "dynamodb", feature = "postgres", feature = "redis"))]
mod codec;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(feature = "dynamodb")]
mod dynamodb;
#[cfg(any(feature = "dynamodb", feature = "postgres", feature = "redis"))]
mod feed;
mod memory;
mod open;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "dynamodb", feature = "postgres"))]
mod totals;

#[cfg(any(feature = "dynamodb", feature = "postgres", feature = "redis"))]
use std::time::{SystemTime, UNIX_EPOCH};
use std::{collections::HashMap, error::Error as StdError, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream, StreamExt};

use crate::{
    error::{Error, ErrorKind},
    task::{Entry, Head, Slot, TaskKey, Version},
    types::{TaskState, Timestamp},
};

pub use agent::AgentStore;
#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoDbStore;
pub use memory::MemoryStore;
pub use open::{open, prepare};
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;

/// An append: "after version N, these entries".
#[derive(Clone, Debug)]
pub struct Change {
    /// Whose journal.
    pub key: TaskKey,
    /// How many appends the writer has seen. It takes the slot after that, if it is free.
    pub after: Version,
    /// What to record; at least one entry.
    pub entries: Arc<[Entry]>,
    /// The new head, if it changes. Always there at the first append.
    pub head: Option<Head>,
}

/// A journal as read: its head, and slots in order.
#[derive(Clone, Debug)]
pub struct Journal {
    /// The head, no older than the last of the slots.
    pub head: Head,
    /// The slots that were asked for.
    pub slots: Vec<Slot>,
    /// Whether there are more after them.
    pub more: bool,
}

/// How much of a journal is read at once: about so much, and at least one slot where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// Slots.
    pub slots: usize,
    /// Bytes as they are stored.
    pub bytes: usize,
}

impl ReadLimit {
    /// One slot.
    pub const SLOT: Self = Self { slots: 1, bytes: 0 };
    /// What a reader of the whole journal reads at once.
    pub const PAGE: Self = Self { slots: 4_096, bytes: 1 << 20 };
    /// What a follower reads at once: it may be slow, and one of many.
    pub const POLL: Self = Self { slots: 256, bytes: 256 << 10 };

    /// How many of slots with so many bytes each are within it.
    pub(crate) fn fit(self, slots: impl Iterator<Item = usize>) -> usize {
        let mut left = self.bytes;
        let mut fits = |bytes| {
            let fits = bytes <= left;
            left = left.saturating_sub(bytes);
            fits
        };
        slots
            .enumerate()
            .take(self.slots)
            .take_while(|(at, bytes)| fits(*bytes) || *at == 0)
            .count()
    }
}

/// Which tasks to list: those of one owner, newest status first, ties by id.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// The tenant; empty for none.
    pub tenant: Arc<str>,
    /// Whose tasks.
    pub owner: Arc<str>,
    /// Only those of this context.
    pub context_id: Option<Arc<str>>,
    /// Only those in this state.
    pub state: Option<TaskState>,
    /// Only those whose status is from this time or later.
    pub since: Option<Timestamp>,
    /// Only those after this position.
    pub after: Option<ListPosition>,
    /// At most this many.
    pub limit: u32,
}

/// A position in a list: the last task before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPosition {
    /// Its status's time.
    pub at: Timestamp,
    /// Its id.
    pub id: Arc<str>,
}

impl ListPosition {
    /// Where a task stands by its head.
    pub(crate) fn of(id: &Arc<str>, head: &Head) -> Self {
        Self { at: head.status.timestamp.unwrap_or_default(), id: Arc::clone(id) }
    }
}

/// A page of a list.
#[derive(Clone, Debug, Default)]
pub struct ListPage {
    /// Ids and heads, in order.
    pub rows: Vec<(Arc<str>, Head)>,
    /// Where the next page begins; none on the last one.
    pub next: Option<ListPosition>,
    /// How many tasks the query finds, over all pages.
    pub total: u64,
}

/// A journal that is running: see [`TaskStore::running`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Running {
    /// Whose journal.
    pub key: TaskKey,
    /// The process that has the run in hand, as its head says; none where no one has, or where the
    /// store would have to look for it.
    pub host: Option<Arc<str>>,
}

impl Running {
    /// The hosts of more than a quarter of a page of that size: whether they live is said by few of
    /// their tasks, and to leave the others out costs a store less than to tell them.
    pub(crate) fn large_hosts(page: &[Self], size: usize) -> Vec<Arc<str>> {
        let mut counts = HashMap::<_, usize>::new();
        for host in page.iter().filter_map(|running| running.host.as_ref()) {
            *counts.entry(host).or_default() += 1;
        }
        let large = counts.into_iter().filter(|(_, count)| *count > size / 4);
        large.map(|(host, _)| Arc::clone(host)).collect()
    }
}

/// A journal as it grows: see [`TaskStore::tail`].
pub type Tail = BoxStream<'static, Result<Slot, StoreError>>;

/// Keeps journals. Every method may be called from many tasks at once.
///
/// The contract, which one suite of tests holds every store to: an append is atomic, and of many
/// writers after the same version exactly one succeeds; what was acknowledged is read by every
/// later read; a refused append wrote nothing; listing shows heads whose phase [is
/// listed](crate::task::Phase::is_listed). A store that expires journals expires those whose
/// phase [may](crate::task::Phase::may_expire), and shows none that has expired.
#[async_trait]
pub trait TaskStore: Send + Sync + 'static {
    /// Takes the slot after `change.after`.
    ///
    /// # Errors
    /// [`AppendError::Conflict`] when the slot is taken, [`AppendError::TooLarge`] when the entries
    /// do not fit; nothing was written then. After [`AppendError::Store`] the append may have
    /// happened or not, but never in part.
    async fn append(&self, change: Change) -> Result<(), AppendError>;

    /// The head, and the slots after that version up to a limit. `None` when there is no such
    /// journal.
    ///
    /// # Errors
    /// When the database fails.
    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError>;

    /// The head, and all slots after that version, page by page. `None` when there is no such
    /// journal.
    ///
    /// # Errors
    /// When the database fails.
    async fn read(&self, key: &TaskKey, after: Version) -> Result<Option<Journal>, StoreError> {
        let (mut slots, mut last) = (Vec::new(), after);
        loop {
            let page = self.read_page(key, last, ReadLimit::PAGE).await?;
            let Some(mut page) = page else { return Ok(None) };
            last = page.slots.last().map_or(last, |slot| slot.version);
            slots.append(&mut page.slots);
            if !page.more {
                return Ok(Some(Journal { slots, ..page }));
            }
        }
    }

    /// Some of the slots after that version, where there are any: perhaps a moment late, so that it
    /// may cost less than [`read_page`](Self::read_page).
    ///
    /// # Errors
    /// When the database fails.
    async fn poll(&self, key: &TaskKey, after: Version) -> Result<Vec<Slot>, StoreError> {
        let page = self.read_page(key, after, ReadLimit::POLL).await?;
        Ok(page.map_or_else(Vec::new, |page| page.slots))
    }

    /// The head, and the newest slot's version: perhaps a moment late, so that it may cost less than
    /// [`read_page`](Self::read_page). `None` when there is no such journal.
    ///
    /// The default reads the whole journal.
    ///
    /// # Errors
    /// When the database fails.
    async fn newest(&self, key: &TaskKey) -> Result<Option<(Head, Version)>, StoreError> {
        let journal = self.read(key, 0).await?;
        let version = |journal: &Journal| journal.slots.last().map_or(0, |slot| slot.version);
        Ok(journal.map(|journal| (journal.head.clone(), version(&journal))))
    }

    /// The head alone. `None` when there is no such journal.
    ///
    /// # Errors
    /// When the database fails.
    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError>;

    /// The tasks a query finds.
    ///
    /// # Errors
    /// When the database fails.
    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError>;

    /// Journals whose phase is [`Running`](crate::task::Phase::Running), of all tenants and
    /// owners: those after that one in the store's own order, as many as the limit, or fewer at the
    /// end. A journal that begins or stops running meanwhile, or changes its host, may be in it or not.
    /// Those of the hosts named in `except` are not asked for: a store may leave them out, and does
    /// where that saves it work. What looks for orphans reads it page by page.
    ///
    /// # Errors
    /// When the database fails.
    async fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError>;

    /// The slots after that version, those there are and then each new one as it comes. It never
    /// ends by itself; an error is its last item. A slow reader
    /// delays no other and misses nothing.
    ///
    /// The default polls, with pauses from 20 ms to 1 s.
    fn tail(self: Arc<Self>, key: TaskKey, after: Version) -> Tail {
        tail(self, key, after)
    }
}

fn tail<S: TaskStore + ?Sized>(store: Arc<S>, key: TaskKey, after: Version) -> Tail {
    const SHORTEST: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_secs(1);
    let reads = stream::unfold(Some((after, SHORTEST)), move |state| {
        let (store, key) = (Arc::clone(&store), key.clone());
        async move {
            let (after, mut pause) = state?;
            loop {
                let slots = match store.poll(&key, after).await {
                    Ok(slots) => slots,
                    Err(error) => return Some((vec![Err(error)], None)),
                };
                if let Some(last) = slots.last() {
                    let next = (last.version, SHORTEST);
                    return Some((slots.into_iter().map(Ok).collect(), Some(next)));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            }
        }
    });
    reads.flat_map(stream::iter).boxed()
}

/// This process's clock, which expiry goes by in every database: whether a journal has expired is a
/// matter of days.
#[cfg(any(feature = "dynamodb", feature = "postgres", feature = "redis"))]
fn now_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Why an append was refused.
#[derive(Debug)]
pub enum AppendError {
    /// The slot is taken: read on, and decide again.
    Conflict,
    /// The entries do not fit.
    TooLarge,
    /// The database failed.
    Store(StoreError),
}

impl From<StoreError> for AppendError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Conflict => formatter.write_str("another writer has taken the slot"),
            Self::TooLarge => formatter.write_str("the entries are too large for the store"),
            Self::Store(error) => error.fmt(formatter),
        }
    }
}

impl StdError for AppendError {}

/// The database failed.
#[derive(Debug)]
pub struct StoreError {
    message: String,
    retriable: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// The database is unavailable, busy or full: a retry may succeed.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { message: message.into(), retriable: true, source: None }
    }

    /// The database cannot do this, now or later: a corrupt entry, a missing permission.
    pub fn broken(message: impl Into<String>) -> Self {
        Self { message: message.into(), retriable: false, source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether a retry may succeed.
    pub fn is_retriable(&self) -> bool {
        self.retriable
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        if error.is_retriable() {
            return Self::new(
                ErrorKind::Unavailable,
                "The task store is not available; try again.",
            )
            .with_source(error);
        }
        Self::internal(error)
    }
}
