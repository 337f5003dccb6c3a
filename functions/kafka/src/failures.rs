//! Records that failed and may be retried.
//!
//! Owns: how often and since when each has failed in this process, and when it is given up. Must
//! never know: why.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use a2a_core::wire::kafka::Record;
use tokio::time::Instant;

/// When a record is given up whose failure is retriable, such as an unavailable store. Until then it
/// is redelivered; then it is a dead letter, its client gets an error, and its partition goes on.
///
/// Both count from the first attempt at the record in this process, never from the time it was
/// produced: a backlog is not given up. A function's environment sees only its own attempts; the
/// event source's `MaximumRetryAttempts` and `MaximumRecordAgeInSeconds` are the outer bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GiveUp {
    /// After how many attempts that failed; none is never.
    pub attempts: Option<u32>,
    /// How long after the first attempt; none is never. Not at the first failure, however late.
    pub age: Option<Duration>,
}

impl Default for GiveUp {
    /// A store's failover, or a deployment that is rolled back, is outlived: a hundred attempts take
    /// a quarter of an hour, with the store's retries and the backoff. After an hour no client waits
    /// for an answer any more, but an operator should know.
    fn default() -> Self {
        Self { attempts: Some(100), age: Some(Duration::from_secs(3600)) }
    }
}

/// How often a record has failed, and since when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failures {
    /// How often.
    pub(crate) attempts: u32,
    since: Instant,
}

/// A record's position.
type Position = (String, i32, i64);

/// The records that have failed.
#[derive(Debug, Default)]
pub(crate) struct FailedRecords(Mutex<HashMap<Position, Failures>>);

impl FailedRecords {
    /// How many are remembered. A function's environment may never see a record again.
    const MAX: usize = 10_000;

    /// Counts a failure of an attempt that began then. Answers all failures of this record.
    pub(crate) fn count(&self, record: &Record, began: Instant) -> Failures {
        let mut failed = self.lock();
        if failed.len() >= Self::MAX {
            failed.clear();
        }
        let first = Failures { attempts: 0, since: began };
        let failures = failed.entry(position(record)).or_insert(first);
        failures.attempts += 1;
        *failures
    }

    /// The record is done.
    pub(crate) fn forget(&self, record: &Record) {
        let mut failed = self.lock();
        if !failed.is_empty() {
            failed.remove(&position(record));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Position, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    /// Whether the record is given up now.
    pub(crate) fn exceed(self, GiveUp { attempts, age }: GiveUp) -> bool {
        let often = attempts.is_some_and(|most| self.attempts >= most);
        let long = age.is_some_and(|most| self.attempts > 1 && self.since.elapsed() > most);
        often || long
    }
}

fn position(record: &Record) -> Position {
    (record.topic.clone(), record.partition, record.offset)
}
