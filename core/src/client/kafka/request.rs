//! One request on its way: under one correlation id, as often as it takes.
//!
//! Owns: when it is sent, when it is sent again, and what silence means at the end. Must never
//! know: what the answer says, streams.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};

use super::{
    cluster::{Record, Unsent},
    connection::Connection,
    correlation::CorrelationId,
    partition::Pace,
    pending::PendingRequest,
    reply_consumer::{Assignment, ReplyConsumer},
    reply_queue::ReplyQueue,
};
use crate::{
    call::{Call, Reply},
    client::{Parameters, behalf::may_travel},
    env::Env,
    error::{Error, ErrorKind},
    types::Timestamp,
    wire::kafka::client::{self, Beside},
};

/// The pause before the next try after a broker did not take the request.
const RETRY_BACKOFF: Duration = Duration::from_millis(200);

/// A request and how far it has come.
pub(super) struct Request {
    connection: Connection,
    pending: PendingRequest,
    record: Arc<Record>,
    pace: Pace,
    opened: std::time::Instant,
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
    /// A request that is sent as soon as its answer cannot be missed, whose answers go into that
    /// queue.
    pub(super) fn open(
        connection: &Connection,
        queue: &Arc<ReplyQueue>,
        parameters: &Parameters,
        call: &Call,
    ) -> Result<Self, Error> {
        let pending = connection.cluster.pending.open(queue);
        let key = pending.id.to_string();
        let idempotency_key = match &parameters.idempotency_key {
            Some(key) => Some(&**key),
            // Its own retries need one.
            None => matches!(
                call,
                Call::SendMessage(_) | Call::SendStreamingMessage(_) | Call::CancelTask(_)
            )
            .then_some(&*key),
        };
        let authorization = match &parameters.credentials {
            Some(credentials) => {
                may_travel(connection.options.may_bear)?;
                Some(credentials.expose().to_owned())
            }
            None => connection.options.bearer.as_ref().map(|token| format!("Bearer {token}")),
        };
        let beside = Beside {
            extensions: &parameters.extensions,
            idempotency_key,
            resume: parameters.resume,
            traceparent: parameters.traceparent.as_deref(),
            reply_to: connection.address.asks_for_replies.then_some(&*connection.address.replies),
            deadline: deadline(parameters, call),
            authorization: authorization.as_deref(),
        };
        let encoded = client::encode(&key, call, &beside).ok_or_else(|| {
            let sentence = "This call is none that is made over Kafka.";
            Error::new(ErrorKind::UnsupportedOperation, sentence)
        })?;
        let client::Request { value, headers } = encoded;
        let topic = connection.address.requests.clone();
        let record = Record { topic, key, value: Some(value), headers };
        Ok(Self {
            connection: connection.clone(),
            pending,
            record: Arc::new(record),
            pace: Pace::of(call),
            opened: std::time::Instant::now(),
            copies: 0,
            interval: connection.interval(parameters),
            sending: None,
            at: Instant::now(),
            reached: false,
            last_error: None,
            refusals: None,
        })
    }

    /// What its answers' keys say.
    pub(super) fn correlation_id(&self) -> CorrelationId {
        self.pending.id
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
        self.connection.replies.ready().await;
        loop {
            if self.sending.is_none() {
                tokio::time::sleep_until(self.at).await;
                // Its answer may be among what cannot be read. So may the next one have been.
                if let Some(why) = self.unreadable().filter(|_| self.copies > 1) {
                    return Error::new(ErrorKind::Unavailable, why);
                }
                self.listen().await;
                self.connection.replies.look();
                let cluster = &self.connection.cluster;
                let count = cluster.partitions(&self.record.topic).await;
                let partition =
                    count.map(|it| self.pace.partition(self.pending.turn, self.copies, it));
                self.copies += 1;
                self.sending = Some(self.connection.cluster.produce(&self.record, partition));
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
            let Connection { refusals, cluster, .. } = &self.connection;
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

    /// Why an answer that has come may not have been read.
    fn unreadable(&self) -> Option<String> {
        self.connection.replies.passed_over_since(self.opened)
    }

    /// Why there is no answer after that time.
    pub(super) fn gave_up(&self, after: Duration) -> Error {
        let unavailable = |why: Option<String>| {
            let why = why.unwrap_or_else(|| self.connection.cluster.unreachable());
            Error::new(ErrorKind::Unavailable, why)
        };
        match self.connection.replies.assignment() {
            Assignment::Unavailable(why) => unavailable(why),
            Assignment::Ready if !self.reached => unavailable(self.last_error.clone()),
            Assignment::Ready if self.unreadable().is_some() => unavailable(self.unreadable()),
            Assignment::Ready => {
                let seconds = after.as_secs_f64();
                let address = &self.connection.address;
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

/// Makes a call that has one answer.
///
/// # Errors
/// The agent's refusal, or why there is no answer.
pub(super) async fn unary(
    connection: &Connection,
    parameters: &Parameters,
    call: &Call,
) -> Result<Reply, Error> {
    let queue = Arc::default();
    let mut request = Request::open(connection, &queue, parameters, call)?;
    let reply = tokio::select! {
        biased;
        reply = queue.next() => reply,
        error = request.send() => return Err(error),
        () = sleep(parameters.timeout) => return Err(request.gave_up(parameters.timeout)),
    };
    let reply = reply.ok_or_else(|| Error::internal("an empty reply queue overflowed"))?;
    connection.heard(&reply);
    client::decode(request.id(), call.reply_kind(), &reply.value)
}

/// From when on nobody waits for the answer. What outlives its answer has none: a stream goes on
/// for as long as it is heard, and so does work whose answer is wanted at once.
fn deadline(parameters: &Parameters, call: &Call) -> Option<Timestamp> {
    let outlives = match call {
        Call::SendMessage(request) => {
            request.configuration.as_ref().is_some_and(|it| it.return_immediately)
        }
        call => call.is_streaming(),
    };
    let timeout = i64::try_from(parameters.timeout.as_millis()).unwrap_or(i64::MAX);
    let at = || Timestamp::from_millis(Env::system().now().as_millis().saturating_add(timeout));
    (!outlives).then(at)
}
