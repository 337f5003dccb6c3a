//! Answers on their way to the producer.
//!
//! Owns: that answers which are there at about the same time are sent together, and that none waits
//! for work that takes its time. Each send may wake the producer's thread and become a request of
//! its own to the broker; for an agent that answers in microseconds that costs more than the answer.
//! Must never know: records, what becomes of a batch.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use a2a_core::kafka::Outgoing;
use tokio::task::unconstrained;

use crate::producer::{Acknowledgement, Producer};

/// How many answers are collected at most before they are sent.
const MAX_BATCH: usize = 256;
/// How long an answer lingers at most while other records are worked on. A batch that is answered at
/// once takes less, and so is sent in one piece.
const LINGER: Duration = Duration::from_millis(5);

/// Which record an answer is to: its partition's index in the event, and its own in the partition.
pub(crate) type RecordIndex = (usize, usize);

/// The answers of an invocation, those of each record in order.
pub(crate) struct Outbox {
    producer: Arc<dyn Producer>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// How many partitions are worked on at this very moment.
    busy: usize,
    waiting: Vec<(RecordIndex, Outgoing)>,
    /// Since when the first of them waits.
    since: Option<Instant>,
    sent: Vec<(RecordIndex, Acknowledgement)>,
}

impl Outbox {
    pub(crate) fn new(producer: Arc<dyn Producer>) -> Self {
        Self { producer, inner: Mutex::default() }
    }

    /// Takes an answer.
    pub(crate) fn put(&self, record: RecordIndex, answer: Outgoing) {
        let mut inner = self.lock();
        inner.waiting.push((record, answer));
        let since = *inner.since.get_or_insert_with(Instant::now);
        if inner.waiting.len() >= MAX_BATCH || since.elapsed() >= LINGER {
            inner.send(&*self.producer);
        }
    }

    /// Does the work on a partition. What it has said is sent when it pauses. When it is done
    /// without a pause, that waits for the others that are worked on at this very moment.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        // Large, and moved into a task. Unconstrained: that the runtime makes a task pause which has
        // been at work for long would be taken for a pause of the agent's.
        let mut work = Box::pin(unconstrained(work));
        poll_fn(|context| {
            let _busy = Busy::on(self);
            let polled = work.as_mut().poll(context);
            if polled.is_pending() {
                self.lock().send(&*self.producer);
            }
            polled
        })
        .await
    }

    /// Sends what still waits, and gives back what was sent.
    pub(crate) fn finish(&self) -> Vec<(RecordIndex, Acknowledgement)> {
        let mut inner = self.lock();
        inner.send(&*self.producer);
        std::mem::take(&mut inner.sent)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A partition that is worked on.
struct Busy<'a>(&'a Outbox);

impl<'a> Busy<'a> {
    fn on(outbox: &'a Outbox) -> Self {
        outbox.lock().busy += 1;
        Self(outbox)
    }
}

/// Also when the work breaks off.
impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.busy -= 1;
        if inner.busy == 0 {
            inner.send(&*self.0.producer);
        }
    }
}

impl Inner {
    fn send(&mut self, producer: &dyn Producer) {
        self.since = None;
        let sent = self.waiting.drain(..).map(|(record, answer)| (record, producer.send(answer)));
        self.sent.extend(sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts what reaches it.
    #[derive(Default)]
    struct Counter(Mutex<usize>);

    impl Producer for Counter {
        fn send(&self, _: Outgoing) -> Acknowledgement {
            *self.0.lock().unwrap() += 1;
            Box::pin(async { Ok(()) })
        }
    }

    fn answer() -> Outgoing {
        Outgoing { topic: String::new(), key: None, value: Vec::new(), headers: Vec::new() }
    }

    fn outbox() -> (Outbox, impl Fn() -> usize) {
        let counter = Arc::new(Counter::default());
        let sent = Arc::clone(&counter);
        (Outbox::new(counter), move || *sent.0.lock().unwrap())
    }

    #[tokio::test]
    async fn quick_answers_go_together_and_slow_ones_at_once() {
        let (outbox, sent) = outbox();
        outbox
            .during(async {
                outbox.put((0, 0), answer());
                outbox.put((0, 1), answer());
                assert_eq!(sent(), 0, "they linger");
                tokio::task::yield_now().await;
                assert_eq!(sent(), 2, "nothing waits while the agent takes its time");
                outbox.put((0, 2), answer());
            })
            .await;
        assert_eq!(sent(), 3, "nor when the work is done");
        let sent: Vec<RecordIndex> =
            outbox.finish().into_iter().map(|(record, _)| record).collect();
        assert_eq!(sent, [(0, 0), (0, 1), (0, 2)]);
    }

    #[tokio::test]
    async fn a_pause_of_the_runtimes_is_none() {
        let (outbox, sent) = outbox();
        let works_for_long = async {
            outbox.put((0, 0), answer());
            for _ in 0..1000 {
                tokio::task::consume_budget().await;
            }
            assert_eq!(sent(), 0, "the agent has not paused");
        };
        outbox.during(works_for_long).await;
        assert_eq!(sent(), 1);
    }

    #[tokio::test]
    async fn the_last_to_be_done_sends_for_all() {
        let (outbox, sent) = outbox();
        let other = Busy::on(&outbox);
        let pauses = async {
            outbox.put((0, 0), answer());
            tokio::task::yield_now().await;
            assert_eq!(sent(), 1, "a pause leaves nothing unsent");
            outbox.put((0, 1), answer());
        };
        outbox.during(pauses).await;
        assert_eq!(sent(), 1, "another partition is about to say more");
        drop(other);
        assert_eq!(sent(), 2);
    }

    #[test]
    fn no_answer_lingers_for_long_and_no_more_than_a_batch() {
        let (outbox, sent) = outbox();
        let _other = Busy::on(&outbox);
        outbox.put((0, 0), answer());
        std::thread::sleep(LINGER);
        outbox.put((0, 1), answer());
        assert_eq!(sent(), 2, "the first has lingered for too long");
        let before = Instant::now();
        (0..MAX_BATCH).for_each(|index| outbox.put((0, index), answer()));
        let in_time = before.elapsed() < LINGER;
        assert!(sent() == 2 + MAX_BATCH || !in_time, "a full batch is sent");
        outbox.put((1, 0), answer());
        assert_eq!(
            (outbox.finish().len(), sent()),
            (3 + MAX_BATCH, 3 + MAX_BATCH),
            "the rest at the end"
        );
    }
}
