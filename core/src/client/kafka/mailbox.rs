//! Answers between the consumer, which never waits, and the caller, who may take their time.
//!
//! Owns: the order of the answers to one call, that each event is kept once, and how much is kept.
//! Must never know: what they say.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{task::Cursor, wire::kafka::client::EventHeaders};

/// How many answers wait for their reader at most.
const MOST: usize = 256;
/// How many bytes of answers wait at most; a larger single one still does.
const MOST_BYTES: usize = 1 << 20;

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Which request it answers.
    pub(super) number: u64,
    /// Which topic it came on.
    pub(super) topic: Arc<str>,
    /// Where it stands in its stream.
    pub(super) place: EventHeaders,
    /// JSON.
    pub(super) value: Vec<u8>,
}

/// The answers to one call that nobody has read yet. It has one reader.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    inner: Mutex<Inner>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Arrival>,
    bytes: usize,
    /// The last event that was taken: a stream's events come in order.
    seen: Option<Cursor>,
    overflowed: bool,
}

impl Mailbox {
    /// An empty one for what comes after that event.
    pub(super) fn after(seen: Option<Cursor>) -> Self {
        Self { inner: Mutex::new(Inner { seen, ..Inner::default() }), news: Notify::new() }
    }

    /// Takes an answer, after all that came before it; an event that has come before is passed
    /// over. Without room for it the reader has fallen behind: from here on nothing is taken until
    /// they know. Answers whether what comes next may be taken.
    pub(super) fn put(&self, arrival: Arrival) -> bool {
        let mut inner = self.lock();
        let cursor = arrival.place.cursor;
        if !inner.overflowed && cursor.is_some() && cursor <= inner.seen {
            return true;
        }
        let bytes = inner.bytes + arrival.value.len();
        let room = inner.waiting.is_empty() || inner.waiting.len() < MOST && bytes <= MOST_BYTES;
        inner.overflowed |= !room;
        let taken = !inner.overflowed;
        if taken {
            inner.bytes = bytes;
            inner.seen = cursor.or(inner.seen);
            inner.waiting.push_back(arrival);
        }
        drop(inner);
        self.news.notify_one();
        taken
    }

    /// The next answer; none, once, when all that was taken is read and something was not.
    pub(super) async fn next(&self) -> Option<Arrival> {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.news.notified().await;
        }
    }

    fn take(&self) -> Option<Option<Arrival>> {
        let mut inner = self.lock();
        if let Some(arrival) = inner.waiting.pop_front() {
            inner.bytes -= arrival.value.len();
            return Some(Some(arrival));
        }
        std::mem::take(&mut inner.overflowed).then_some(None)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn arrival(number: u64, bytes: usize) -> Arrival {
        let (topic, place) = ("replies".into(), EventHeaders::default());
        Arrival { number, topic, place, value: vec![b' '; bytes] }
    }

    #[test]
    fn what_has_no_room_is_told_after_all_that_has() {
        let mailbox = Mailbox::default();
        let taken = (0..300).filter(|number| mailbox.put(arrival(*number, 1))).count();
        assert_eq!(taken, MOST);
        for number in 0..256 {
            assert!(!mailbox.put(arrival(1000, 1)), "nothing is taken after a gap");
            let next = mailbox.next().now_or_never().expect("it waits");
            assert_eq!(next.map(|it| it.number), Some(number));
        }
        assert!(mailbox.next().now_or_never().expect("the reader is told").is_none());
        assert!(mailbox.next().now_or_never().is_none(), "once");
        assert!(mailbox.put(arrival(7, 1)));
    }

    #[test]
    fn an_event_that_comes_again_is_passed_over() {
        let event = |version| {
            let cursor = Some(Cursor { version, index: 0 });
            Arrival { place: EventHeaders { cursor, last: false }, ..arrival(version, 1) }
        };
        let mailbox = Mailbox::after(Some(Cursor { version: 1, index: 5 }));
        for version in [1, 2, 3, 1, 2, 3, 4] {
            assert!(mailbox.put(event(version)));
        }
        let next = || mailbox.next().now_or_never().flatten().map(|next| next.number);
        assert_eq!([next(), next(), next(), next()], [Some(2), Some(3), Some(4), None]);
    }

    #[test]
    fn bytes_are_bounded_but_one_answer_always_goes() {
        let mailbox = Mailbox::default();
        assert!(mailbox.put(arrival(0, 5 * MOST_BYTES)));
        assert!(!mailbox.put(arrival(1, 1)));
        assert!(mailbox.next().now_or_never().flatten().is_some());
        assert!(mailbox.next().now_or_never().expect("the reader is told").is_none());
        assert!(mailbox.put(arrival(2, MOST_BYTES)));
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let mailbox = Mailbox::default();
        let (next, taken) = tokio::join!(mailbox.next(), async { mailbox.put(arrival(3, 1)) });
        assert!(taken && next.is_some_and(|next| next.number == 3));
    }
}
