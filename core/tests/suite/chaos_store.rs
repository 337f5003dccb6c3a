//! A store that fails in every way a database may, by a seed: throttled, away, slow, written but
//! not acknowledged, overtaken by a writer from elsewhere. It keeps a book of what it answered.
//!
//! Each instance has a connection of its own. A dead instance's leads nowhere: nothing it asks is
//! ever answered, so whatever is left of it in this process changes nothing any more.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use a2a_core::{
    MemoryStore, TaskStore, Timestamp, async_trait,
    store::{AppendError, Change, Journal, ListPage, ListQuery, ReadLimit, Running, StoreError},
    task::{Entry, Head, Heartbeat, TaskKey, Version},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Chance from a seed (splitmix64): the same seed, the same rolls.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.roll();
        dice
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }
}

/// How often an operation meets a fault, of a thousand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// Refused, and nothing done.
    pub(crate) throttled: u64,
    /// Done, and the answer lost.
    pub(crate) lost: u64,
    /// Somebody else takes the slot first.
    pub(crate) overtaken: u64,
    /// As slow as a lease is long, and slower.
    pub(crate) slow: u64,
}

/// A time in which the store is unavailable to all instances, or to one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) from: Instant,
    pub(crate) until: Instant,
    pub(crate) instance: Option<usize>,
}

/// What became of an append, as its writer knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acknowledged {
    Done,
    /// Refused: it must not be there.
    Refused,
    /// Failed, or its waiter was dropped: it is there as a whole, or not at all.
    Unknown,
}

#[derive(Debug)]
pub(crate) struct Appended {
    pub(crate) change: Change,
    pub(crate) outcome: Acknowledged,
}

/// The store, which all connections share.
pub(crate) struct Chaos {
    /// What is really kept; for the checks.
    pub(crate) kept: Arc<MemoryStore>,
    pub(crate) book: Mutex<Vec<Appended>>,
    dice: Mutex<Dice>,
    faults: Faults,
    outages: Vec<Outage>,
    healed: AtomicBool,
}

impl Chaos {
    pub(crate) fn new(dice: Dice, faults: Faults, outages: Vec<Outage>) -> Self {
        Self {
            kept: Arc::default(),
            book: Mutex::default(),
            dice: Mutex::new(dice),
            faults,
            outages,
            healed: AtomicBool::new(false),
        }
    }

    /// From here on nothing fails.
    pub(crate) fn heal(&self) {
        self.healed.store(true, Ordering::SeqCst);
    }

    fn meets(&self, of_thousand: u64) -> bool {
        let rolled = self.dice.lock().unwrap().below(1_000);
        rolled < of_thousand && !self.healed.load(Ordering::SeqCst)
    }

    fn is_unavailable(&self, instance: usize) -> bool {
        let now = Instant::now();
        let meets = |outage: &Outage| {
            let mine = outage.instance.is_none_or(|one| one == instance);
            mine && (outage.from..outage.until).contains(&now)
        };
        !self.healed.load(Ordering::SeqCst) && self.outages.iter().any(meets)
    }

    /// What one way over the network takes.
    fn pause(&self) -> Duration {
        let slow = self.meets(self.faults.slow);
        let mut dice = self.dice.lock().unwrap();
        match dice.below(100) {
            _ if slow => dice.millis(8_000),
            0..50 => Duration::ZERO,
            50..97 => dice.millis(6),
            _ => dice.millis(200),
        }
    }
}

/// An instance's way to the store.
pub(crate) struct Connection {
    pub(crate) chaos: Arc<Chaos>,
    pub(crate) instance: usize,
    /// Canceled when the instance dies.
    pub(crate) dead: CancellationToken,
}

impl Connection {
    async fn pass(&self) {
        match self.chaos.pause() {
            Duration::ZERO => tokio::task::yield_now().await,
            pause => tokio::time::sleep(pause).await,
        }
        if self.dead.is_cancelled() {
            std::future::pending::<()>().await;
        }
    }

    /// On the way there.
    async fn ask(&self) -> Result<(), StoreError> {
        self.pass().await;
        if self.chaos.is_unavailable(self.instance) {
            return Err(StoreError::unavailable("away"));
        }
        match self.chaos.meets(self.chaos.faults.throttled) {
            true => Err(StoreError::unavailable("throttled")),
            false => Ok(()),
        }
    }

    /// On the way back.
    async fn answer<T>(&self, answer: T) -> Result<T, StoreError> {
        self.pass().await;
        let lost = self.chaos.meets(self.chaos.faults.lost);
        match lost || self.chaos.is_unavailable(self.instance) {
            true => Err(StoreError::unavailable("the answer was lost")),
            false => Ok(answer),
        }
    }

    /// Another writer comes first, with something that changes nothing.
    async fn be_overtaken(&self, change: &Change) {
        if change.after == 0 || !self.chaos.meets(self.chaos.faults.overtaken) {
            return;
        }
        let at = Timestamp::from_millis(0);
        let heartbeat = Entry::Heartbeat(Heartbeat { runner: "elsewhere".into(), at });
        let other = Change { entries: [heartbeat].into(), head: None, ..change.clone() };
        // If it is refused, so is the change.
        let _ = self.chaos.kept.append(other).await;
    }
}

#[async_trait]
impl TaskStore for Connection {
    async fn append(&self, change: Change) -> Result<(), AppendError> {
        let place = {
            let mut book = self.chaos.book.lock().unwrap();
            book.push(Appended { change: change.clone(), outcome: Acknowledged::Unknown });
            book.len() - 1
        };
        let set = |outcome| self.chaos.book.lock().unwrap()[place].outcome = outcome;
        self.ask().await?;
        self.be_overtaken(&change).await;
        let appended = self.chaos.kept.append(change).await;
        match self.answer(appended).await? {
            Ok(()) => set(Acknowledged::Done),
            Err(error) => {
                set(Acknowledged::Refused);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn read_page(
        &self,
        key: &TaskKey,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Option<Journal>, StoreError> {
        self.ask().await?;
        let read = self.chaos.kept.read_page(key, after, limit).await?;
        self.answer(read).await
    }

    async fn head(&self, key: &TaskKey) -> Result<Option<Head>, StoreError> {
        self.ask().await?;
        let head = self.chaos.kept.head(key).await?;
        self.answer(head).await
    }

    async fn list(&self, query: &ListQuery) -> Result<ListPage, StoreError> {
        self.ask().await?;
        let page = self.chaos.kept.list(query).await?;
        self.answer(page).await
    }

    async fn running(
        &self,
        after: Option<&Running>,
        limit: u32,
        except: &[Arc<str>],
    ) -> Result<Vec<Running>, StoreError> {
        self.ask().await?;
        let running = self.chaos.kept.running(after, limit, except).await?;
        self.answer(running).await
    }

    // `tail` is the contract's default, which polls, and so fails as `read` does.
}
