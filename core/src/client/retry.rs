//! Calls that are repeated where that is safe.
//!
//! Owns: which calls may be repeated after which failure, and how long to wait before. Must never
//! know: what breaks, bytes.
//!
//! A read may always be repeated. A message may be carried out twice by an agent that does not
//! know the first one's answer was lost: it is only repeated when it surely never left, or under an
//! idempotency key of the caller's, by which the agent knows it again.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use super::{Parameters, Transport, http, resume};
use crate::{
    call::{Call, Reply},
    error::{Error, ErrorKind},
};

/// A transport whose calls are repeated, and whose streams are continued.
#[derive(Debug)]
pub(super) struct Retrying(pub(super) Arc<dyn Transport>);

#[async_trait]
impl Transport for Retrying {
    async fn call(&self, parameters: &Parameters, call: Call) -> Result<Reply, Error> {
        let trying = tried(&*self.0, parameters, &call);
        let reply =
            tokio::time::timeout(parameters.timeout, trying).await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::DeadlineExceeded, "The agent did not answer in time."))
            })?;
        Ok(match reply {
            Reply::Events(events) => Reply::Events(resume::continued(
                Arc::clone(&self.0),
                parameters.clone(),
                call,
                events,
            )),
            reply => reply,
        })
    }
}

/// Makes a call until it is answered, or fails in a way that stays.
pub(super) async fn tried(
    transport: &dyn Transport,
    parameters: &Parameters,
    call: &Call,
) -> Result<Reply, Error> {
    let mut tries = 1;
    loop {
        match transport.call(parameters, call.clone()).await {
            Err(error) if tries < parameters.tries && may_repeat(parameters, call, &error) => {
                tracing::debug!(%error, tries, "a call is made again");
            }
            outcome => return outcome,
        }
        tokio::time::sleep(pause(tries)).await;
        tries += 1;
    }
}

/// Whether a call that failed so may be made again.
pub(super) fn may_repeat(parameters: &Parameters, call: &Call, error: &Error) -> bool {
    let repeatable = match call {
        Call::SendMessage(_) | Call::SendStreamingMessage(_) => {
            parameters.idempotency_key.is_some()
        }
        // A second cancel is refused, and a second configuration is another one.
        Call::CancelTask(_) | Call::CreateTaskPushNotificationConfig(_) => false,
        _ => true,
    };
    error.is_retriable() && (repeatable || http::never_sent(error))
}

/// How long to wait before the next try: 100 ms, twice as long each time, up to 5 s; less by up to
/// a half, so that not all clients of an agent that comes back ask at once.
pub(super) fn pause(tries: u32) -> Duration {
    let longest = 100 * 2_u64.pow(tries.saturating_sub(1).min(6));
    let less = u64::from(Uuid::new_v4().as_bytes()[0]) * longest.min(5000) / 512;
    Duration::from_millis(longest.min(5000) - less)
}
