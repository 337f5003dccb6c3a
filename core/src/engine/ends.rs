//! When the time of a run, or of who waits for one, is over.
//!
//! Owns: its two ends. The agent's own is its fault; its host's is nobody's. Must never know: what is
//! recorded then.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::state::{Engine, now};
use crate::{
    call::Caller,
    error::{Error, ErrorKind},
};

/// What a task fails with whose agent had all of its time.
pub(super) const OUT_OF_TIME: &str = "The agent ran out of time.";

/// The ends of a run's time.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    /// An agent that is not done by then has failed.
    deadline: Instant,
    /// What is not done by then is released for the next attempt: the host's end, where it is known.
    cut: Option<Instant>,
    /// The same, once the host says so.
    release: CancellationToken,
}

/// Which end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// The agent's own.
    OutOfTime,
    /// Its host's.
    Cut,
}

impl Ends {
    /// Which end has come, the earlier first.
    pub(crate) fn over(&self) -> Option<Over> {
        if self.release.is_cancelled() {
            return Some(Over::Cut);
        }
        let now = now();
        let cut = self.cut.filter(|cut| *cut <= self.deadline && *cut <= now);
        cut.map(|_| Over::Cut).or((now >= self.deadline).then_some(Over::OutOfTime))
    }

    /// Whether its host's end has come.
    pub(crate) fn is_cut(&self) -> bool {
        self.release.is_cancelled() || self.cut.is_some_and(|cut| cut <= now())
    }

    /// The first end, as far as it is known.
    pub(crate) fn first(&self) -> Instant {
        self.cut.map_or(self.deadline, |cut| cut.min(self.deadline))
    }

    /// Waits for the first end.
    pub(crate) async fn come(&self) {
        let timer = tokio::time::sleep_until(self.first().into());
        tokio::select! {
            () = timer => {}
            () = self.release.cancelled() => {}
        }
    }

    /// Waits for its host's end.
    pub(crate) async fn cut(&self) {
        let Some(cut) = self.cut else { return self.release.cancelled().await };
        tokio::select! {
            () = tokio::time::sleep_until(cut.into()) => {}
            () = self.release.cancelled() => {}
        }
    }

    /// What the work comes to, if that is in time.
    pub(crate) async fn bound<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.come() => None,
        }
    }
}

impl Engine {
    /// The ends of a run that begins now, after attempts that had so much time.
    pub(super) fn ends(&self, caller: &Caller, spent: Duration) -> Ends {
        let mut ends = self.ends_of_join(caller);
        ends.deadline = ends.deadline.min(within(self.limits.run_time.saturating_sub(spent)));
        if let Some(of_client) = self.expiry(caller) {
            ends.deadline = ends.deadline.min(of_client);
        }
        ends
    }

    /// The ends of waiting for the run of an earlier delivery. The client's own deadline is none of
    /// them: that run ends by it, or falls silent. So much before the caller's, that what comes of
    /// it can be recorded.
    pub(super) fn ends_of_join(&self, caller: &Caller) -> Ends {
        let margin = self.limits.deadline_margin;
        let before = |at: Instant| at.checked_sub(margin).unwrap_or(at);
        let longest = within(self.limits.run_time);
        Ends {
            deadline: caller.deadline.map_or(longest, |at| before(at).min(longest)),
            cut: caller.cut.map(before),
            release: self.release.clone(),
        }
    }

    /// When the client stops waiting for the answer, by its own word.
    pub(super) fn expiry(&self, caller: &Caller) -> Option<Instant> {
        let left = caller.expires?.as_millis().saturating_sub(self.env.now().as_millis());
        now().checked_add(Duration::from_millis(left.try_into().unwrap_or(0)))
    }

    /// Whether the client has stopped waiting for the answer.
    pub(crate) fn is_expired(&self, caller: &Caller) -> bool {
        caller.expires.is_some_and(|at| at <= self.env.now())
    }
}

/// What the waiter for a run is told that was released.
pub(super) fn interrupted() -> Error {
    let sentence = "The server stopped before the agent was done; the work goes on at a retry.";
    Error::new(ErrorKind::Unavailable, sentence)
}

/// What is told to who waited for another's run for as long as there was time.
pub(super) fn still_at_work() -> Error {
    let sentence = "The agent is still at work on this task; try again later.";
    Error::new(ErrorKind::Unavailable, sentence)
}

fn within(time: Duration) -> Instant {
    /// As good as never.
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);
    now() + time.min(LONGEST)
}
