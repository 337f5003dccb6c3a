//! Answers between the consumer, which never waits, and the caller, who may take their time.
//!
//! Owns: the order of the answers to one call, that each event is kept once, and how much is kept.
//! Must never know: what they say.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::correlation::CorrelationId;
use crate::{task::Cursor, wire::kafka::client::EventHeaders};

/// How many answers wait for their reader at most.
const REPLIES_LIMIT: usize = 256;
/// How many bytes of answers wait at most; a larger single one still does.
const BYTES_LIMIT: usize = 1 << 20;

/// An answer as it came.
#[derive(Debug)]
pub(super) struct ReplyRecord {
    /// Which request it answers.
    pub(super) id: CorrelationId,
    /// Which topic it came on.
    pub(super) topic: Arc<str>,
    /// Where it stands in its stream.
    pub(super) headers: EventHeaders,
    /// JSON.
    pub(super) value: Vec<u8>,
}

/// The answers to one call that nobody has read yet. It has one reader.
#[derive(Debug, Default)]
pub(super) struct ReplyQueue {
    inner: Mutex<Inner>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<ReplyRecord>,
    bytes: usize,
    /// The last event that was taken: a stream's events come in order.
    seen: Option<Cursor>,
    overflowed: bool,
}

impl ReplyQueue {
    /// An empty one for what comes after that event.
    pub(super) fn after(seen: Option<Cursor>) -> Self {
        Self { inner: Mutex::new(Inner { seen, ..Inner::default() }), news: Notify::new() }
    }

    /// Takes an answer, after all that came before it; a redelivered event is passed over, unless it
    /// says that its stream has ended, which may be news. Over the
    /// limit the reader has fallen behind: from here on nothing is taken until they know. Answers
    /// whether what comes next may be taken.
    pub(super) fn put(&self, reply: ReplyRecord) -> bool {
        let mut inner = self.lock();
        let cursor = reply.headers.cursor;
        let is_seen = cursor.is_some() && cursor <= inner.seen;
        if !inner.overflowed && is_seen && !reply.headers.last {
            return true;
        }
        let bytes = inner.bytes + reply.value.len();
        let room =
            inner.waiting.is_empty() || inner.waiting.len() < REPLIES_LIMIT && bytes <= BYTES_LIMIT;
        inner.overflowed |= !room;
        let taken = !inner.overflowed;
        if taken {
            inner.bytes = bytes;
            inner.seen = cursor.max(inner.seen);
            inner.waiting.push_back(reply);
        }
        drop(inner);
        self.news.notify_one();
        taken
    }

    /// The next answer; none, once, when all that was taken is read and something was not.
    pub(super) async fn next(&self) -> Option<ReplyRecord> {
        loop {
            if let Some(next) = self.take() {
                return next;
            }
            self.news.notified().await;
        }
    }

    fn take(&self) -> Option<Option<ReplyRecord>> {
        let mut inner = self.lock();
        if let Some(reply) = inner.waiting.pop_front() {
            inner.bytes -= reply.value.len();
            return Some(Some(reply));
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

    fn id(number: u64) -> CorrelationId {
        CorrelationId::of_key(format!("{number:032x}").as_bytes()).unwrap()
    }

    fn reply(number: u64, bytes: usize) -> ReplyRecord {
        let (topic, headers) = ("replies".into(), EventHeaders::default());
        ReplyRecord { id: id(number), topic, headers, value: vec![b' '; bytes] }
    }

    #[test]
    fn an_overflow_is_told_after_all_that_was_taken() {
        let queue = ReplyQueue::default();
        let taken = (0..300).filter(|number| queue.put(reply(*number, 1))).count();
        assert_eq!(taken, REPLIES_LIMIT);
        for number in 0..256 {
            assert!(!queue.put(reply(1000, 1)), "nothing is taken after a gap");
            let next = queue.next().now_or_never().expect("it waits");
            assert_eq!(next.map(|it| it.id), Some(id(number)));
        }
        assert!(queue.next().now_or_never().expect("the reader is told").is_none());
        assert!(queue.next().now_or_never().is_none(), "once");
        assert!(queue.put(reply(7, 1)));
    }

    #[test]
    fn a_redelivered_event_is_passed_over() {
        let event = |version| {
            let cursor = Some(Cursor { version, index: 0 });
            ReplyRecord { headers: EventHeaders { cursor, last: false }, ..reply(version, 1) }
        };
        let ended = |version| {
            let headers = EventHeaders { last: true, ..event(version).headers };
            ReplyRecord { headers, ..event(version) }
        };
        let queue = ReplyQueue::after(Some(Cursor { version: 1, index: 5 }));
        for version in [1, 2, 3, 1, 2, 3, 4] {
            assert!(queue.put(event(version)));
        }
        let next = || queue.next().now_or_never().flatten().map(|next| next.id);
        assert_eq!([next(), next(), next()], [2, 3, 4].map(|it| Some(id(it))));
        assert_eq!(next(), None);
        // The end of its stream is not.
        assert!(queue.put(ended(3)) && queue.put(event(4)) && queue.put(event(5)));
        assert_eq!([next(), next()], [3, 5].map(|it| Some(id(it))));
    }

    #[test]
    fn bytes_are_bounded_but_one_answer_always_goes() {
        let queue = ReplyQueue::default();
        assert!(queue.put(reply(0, 5 * BYTES_LIMIT)));
        assert!(!queue.put(reply(1, 1)));
        assert!(queue.next().now_or_never().flatten().is_some());
        assert!(queue.next().now_or_never().expect("the reader is told").is_none());
        assert!(queue.put(reply(2, BYTES_LIMIT)));
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let queue = ReplyQueue::default();
        let (next, taken) = tokio::join!(queue.next(), async { queue.put(reply(3, 1)) });
        assert!(taken && next.is_some_and(|next| next.id == id(3)));
    }
}
