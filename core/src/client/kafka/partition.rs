//! Which partition of an agent's topic a request goes to.
//!
//! Owns: that a request that is short never waits for this client's work. Must never know: what is
//! asked.
//!
//! A partition is answered in order, and what an agent works on holds up its partition. So work
//! goes to all partitions but the first, in turn, and what is short to the first: a task is shown,
//! and canceled, however many are being worked on. Where somebody else holds up the first one, what
//! is short is sent to another when it is sent again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    producer::{FutureProducer, Producer},
};

use crate::call::Call;

/// How long a broker may take to say how many partitions a topic has.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
/// How long that is believed.
const METADATA_MAX_AGE: Duration = Duration::from_secs(60);

/// How long a request holds up its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// It is answered at once.
    Short,
    /// Until the agent has done its work.
    Work,
}

impl Pace {
    pub(super) fn of(call: &Call) -> Self {
        match call {
            Call::SendMessage(_) | Call::SendStreamingMessage(_) | Call::SubscribeToTask(_) => {
                Self::Work
            }
            _ => Self::Short,
        }
    }

    /// The partition, of so many, for the request of that number, when it has been sent so often
    /// before.
    pub(super) fn partition(self, number: u64, before: u64, count: i32) -> i32 {
        let of = |turn: u64, count: i32| {
            let count = u64::try_from(count).unwrap_or(1).max(1);
            i32::try_from(turn % count).unwrap_or(0)
        };
        match self {
            Self::Short => of(before, count),
            Self::Work if count > 1 => 1 + of(number, count - 1),
            Self::Work => 0,
        }
    }
}

/// How many partitions topics have, as far as that is known, and since when.
#[derive(Default)]
pub(super) struct Partitions(Mutex<HashMap<String, (i32, Instant)>>);

impl Partitions {
    /// How many that topic has, as it was told lately, or as a broker tells this producer now.
    pub(super) async fn count<C: ClientContext + 'static>(
        &self,
        topic: &str,
        producer: impl FnOnce() -> FutureProducer<C>,
    ) -> Option<i32> {
        let known = self.lock().get(topic).copied();
        if let Some((count, at)) = known
            && at.elapsed() < METADATA_MAX_AGE
        {
            return Some(count);
        }
        let (producer, name) = (producer(), topic.to_owned());
        let told = tokio::task::spawn_blocking(move || {
            let metadata = producer.client().fetch_metadata(Some(&name), METADATA_TIMEOUT).ok()?;
            i32::try_from(metadata.topics().first()?.partitions().len()).ok()
        });
        let told = told.await.ok().flatten().filter(|count| *count > 0);
        let count = told.or(known.map(|(count, _)| count))?;
        self.lock().insert(topic.to_owned(), (count, Instant::now()));
        Some(count)
    }

    /// What is known of that topic is wrong.
    pub(super) fn forget(&self, topic: &str) {
        self.lock().remove(topic);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (i32, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_has_a_partition_to_itself() {
        let partitions =
            |pace: Pace, count| Vec::from_iter((0..4).map(|it| pace.partition(it, 0, count)));
        assert_eq!(partitions(Pace::Work, 3), [1, 2, 1, 2]);
        assert_eq!(partitions(Pace::Work, 2), [1, 1, 1, 1]);
        assert_eq!(partitions(Pace::Short, 3), [0, 0, 0, 0]);
        assert_eq!([partitions(Pace::Work, 1), partitions(Pace::Short, 1)], [[0; 4], [0; 4]]);
        // Sent again, it goes where it has not been.
        let again = Vec::from_iter((0..4).map(|before| Pace::Short.partition(7, before, 3)));
        assert_eq!(again, [0, 1, 2, 0]);
        assert_eq!(Pace::Work.partition(7, 0, 3), Pace::Work.partition(7, 1, 3));
    }
}
