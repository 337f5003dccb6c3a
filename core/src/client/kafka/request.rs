//! One request on its way: under one correlation id, as often as it takes.
//!
//! Owns: when it is sent, when it is sent again, and what silence means at the end. Must never
//! know: what the answer says, streams.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{
    KafkaTransport,
    cluster::{Record, Unsent},
    partition::Pace,
    pending::PendingRequest,
    reply_consumer::{Assignment, ReplyConsumer},
};
use crate::error::{Error, ErrorKind};

/// The pause before the next try after a broker did not take the request.
const RETRY_BACKOFF: Duration = Duration::from_millis(200);

/// A request and how far it has come.
pub(super) struct Request {
    transport: KafkaTransport,
    pending: PendingRequest,
    record: Arc<Record>,
    pace: Pace,
    /// How often it was sent.
    copies: u64,
    /// After how much silence it is sent again.
    interval: Duration,
    sending: Option<BoxFuture<'static, Result<(), Unsent>>>,
    /// When it is sent next.
    at: Instant,
    /// Whether a broker has it.
    reached: bool,
    last_error: Option<String>,
    /// Held while a refusal is listened for.
    refusals: Option<Arc<ReplyConsumer>>,
}

impl Request {
    /// A request that is sent as soon as its answer cannot be missed.
    pub(super) fn new(
        transport: &KafkaTransport,
        pending: PendingRequest,
        record: Record,
        pace: Pace,
        interval: Duration,
    ) -> Self {
        Self {
            transport: transport.clone(),
            pending,
            record: Arc::new(record),
            pace,
            copies: 0,
            interval,
            sending: None,
            at: Instant::now(),
            reached: false,
            last_error: None,
            refusals: None,
        }
    }

    /// What its answers' keys say.
    pub(super) fn number(&self) -> u64 {
        self.pending.number
    }

    /// Its key.
    pub(super) fn id(&self) -> &str {
        &self.record.key
    }

    /// Sends it, and again after each interval, for as long as this is awaited: until there is an
    /// answer. The correlation id stays the same, and so does the idempotency key, so that the
    /// agent executes it once. May be dropped and called again at any time.
    ///
    /// # Errors
    /// It ends only when the request cannot be sent at all.
    pub(super) async fn send(&mut self) -> Error {
        self.transport.replies.ready().await;
        loop {
            if self.sending.is_none() {
                tokio::time::sleep_until(self.at).await;
                self.listen().await;
                self.transport.replies.look();
                let cluster = &self.transport.cluster;
                let count = cluster.partitions(&self.record.topic).await;
                let partition = count.map(|it| self.pace.partition(self.number(), self.copies, it));
                self.copies += 1;
                self.sending = Some(self.transport.cluster.produce(&self.record, partition));
            }
            let Some(sending) = &mut self.sending else { continue };
            let sent = sending.await;
            self.sending = None;
            match sent {
                Ok(()) => {
                    self.reached = true;
                    self.at = Instant::now() + self.interval;
                }
                Err(Unsent::Refused(error)) => return error,
                Err(Unsent::Unavailable(sentence)) => {
                    self.last_error = Some(sentence);
                    self.at = Instant::now() + RETRY_BACKOFF;
                }
            }
        }
    }

    /// Sees to it that a refusal of the reply topic is heard, as far as that can be.
    async fn listen(&mut self) {
        if self.refusals.is_none() {
            let KafkaTransport { refusals, cluster, .. } = &self.transport;
            self.refusals = refusals.reply_consumer(cluster, self.reached);
        }
        if let Some(replies) = &self.refusals {
            replies.tried().await;
        }
    }

    /// It is answered, and so is not refused any more.
    pub(super) fn answered(&mut self) {
        self.refusals = None;
    }

    /// Waits another interval before it is sent again: its answer is known to be under way.
    pub(super) fn postpone(&mut self) {
        if self.reached {
            self.at = Instant::now() + self.interval;
        }
    }

    /// Why there is no answer after that time.
    pub(super) fn gave_up(&self, after: Duration) -> Error {
        let unavailable = |why: Option<String>| {
            let why = why.unwrap_or_else(|| self.transport.cluster.unreachable());
            Error::new(ErrorKind::Unavailable, why)
        };
        match self.transport.replies.assignment() {
            Assignment::Unavailable(why) => unavailable(why),
            Assignment::Ready if !self.reached => unavailable(self.last_error.clone()),
            Assignment::Ready => {
                let seconds = after.as_secs_f64();
                let address = &self.transport.address;
                let on = if address.asks_for_replies {
                    format!(" on the topic {}", address.replies)
                } else {
                    String::new()
                };
                let sentence = format!("The agent did not answer{on} within {seconds} seconds.");
                Error::new(ErrorKind::DeadlineExceeded, sentence)
            }
        }
    }
}
