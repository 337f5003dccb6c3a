//! Answers on their way to the producer.
//!
//! Owns: sending them in bursts while the agent answers at once, and each one immediately when it
//! takes its time. Every send wakes the producer's thread; for an agent that answers in
//! microseconds the waking costs more than the answer. Must never know: records, batches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use a2a_core::kafka::Outgoing;

use crate::producer::{Acknowledgement, Producer};

/// How many answers go together at most.
const BURST: usize = 64;

/// The answers of one partition's batch, each with the index of its record, in order.
pub(crate) struct Outbox {
    producer: Arc<dyn Producer>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    waiting: Vec<(usize, Outgoing)>,
    sent: Vec<(usize, Acknowledgement)>,
    direct: bool,
}

impl Outbox {
    pub(crate) fn new(producer: Arc<dyn Producer>) -> Self {
        Self { producer, inner: Mutex::default() }
    }

    /// Takes an answer to the record of that index.
    pub(crate) fn put(&self, index: usize, answer: Outgoing) {
        let mut inner = self.lock();
        inner.waiting.push((index, answer));
        if inner.direct || inner.waiting.len() >= BURST {
            inner.send(&*self.producer);
        }
    }

    /// From here on the agent takes its time: what waits is sent, and each further answer at once.
    pub(crate) fn open(&self) {
        let mut inner = self.lock();
        inner.direct = true;
        inner.send(&*self.producer);
    }

    /// From here on answers come quickly again.
    pub(crate) fn close(&self) {
        self.lock().direct = false;
    }

    /// Everything sent, what still waited included, with its acknowledgements.
    pub(crate) fn finish(self) -> Vec<(usize, Acknowledgement)> {
        let mut inner = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        inner.send(&*self.producer);
        inner.sent
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn send(&mut self, producer: &dyn Producer) {
        let sent = self.waiting.drain(..).map(|(index, answer)| (index, producer.send(answer)));
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

    #[test]
    fn quick_answers_go_together_and_slow_ones_at_once() {
        let counter = Arc::new(Counter::default());
        let sent = || *counter.0.lock().unwrap();
        let outbox = Outbox::new(Arc::clone(&counter) as Arc<dyn Producer>);
        outbox.put(0, answer());
        assert_eq!(sent(), 0, "it waits for company");
        outbox.open();
        assert_eq!(sent(), 1, "nothing waits while the agent takes its time");
        outbox.put(1, answer());
        assert_eq!(sent(), 2);
        outbox.close();
        for _ in 0..BURST {
            outbox.put(2, answer());
        }
        assert_eq!(sent(), 2 + BURST, "no more than a burst waits");
        outbox.put(3, answer());
        let indices: Vec<usize> = outbox.finish().into_iter().map(|(index, _)| index).collect();
        assert_eq!((sent(), indices.len()), (3 + BURST, 3 + BURST));
        assert!(indices.is_sorted());
    }
}
