//! What a failure means to those who try again: `retry` a call, `resume` a stream.
//!
//! Owns: which calls may be made again after which failure, how long to wait before, what a broken
//! stream is and where a stream ends. Must never know: who tries again, bytes.
//!
//! A read may always be made again. A message may be carried out twice by an agent that does not
//! know the first one's answer was lost: it is only sent again when it surely never left, or under
//! an idempotency key of the caller's, by which the agent knows it again.

use std::{error::Error as _, future::Future, time::Duration};

use uuid::Uuid;

use super::Parameters;
use crate::{
    call::Call,
    error::{Error, ErrorKind},
    types::{StreamResponse, TaskState},
};

/// What that comes to, or [`ErrorKind::DeadlineExceeded`] with this sentence after that time.
pub(super) async fn within<T>(
    timeout: Duration,
    sentence: &'static str,
    answering: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let answer = tokio::time::timeout(timeout, answering).await;
    answer.unwrap_or_else(|_| Err(Error::new(ErrorKind::DeadlineExceeded, sentence)))
}

/// Whether a call that failed so may be made again.
pub(super) fn may_retry(parameters: &Parameters, call: &Call, error: &Error) -> bool {
    let safe = match call {
        Call::SendMessage(_) | Call::SendStreamingMessage(_) => {
            parameters.idempotency_key.is_some()
        }
        // A second cancel is refused, and a second configuration is another one.
        Call::CancelTask(_) | Call::CreateTaskPushNotificationConfig(_) => false,
        _ => true,
    };
    error.is_retriable() && (safe || never_sent(error))
}

/// How long to wait before the next try: 100 ms, twice as long each time, up to 5 s; less by up to
/// a half, so that not all clients of an agent that comes back ask at once.
pub(super) fn backoff(tries: u32) -> Duration {
    let longest = 100 * 2_u64.pow(tries.saturating_sub(1).min(6));
    let less = u64::from(Uuid::new_v4().as_bytes()[0]) * longest.min(5000) / 512;
    Duration::from_millis(longest.min(5000) - less)
}

/// Whether the request that failed so was surely never seen by the agent.
fn never_sent(error: &Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<reqwest::Error>());
    source.is_some_and(reqwest::Error::is_connect)
}

/// Whether an event is its stream's last, as the protocol has it: an answer without a task, a
/// terminal state, and, where the stream answers a message, the question that comes of it. The
/// answer to it is another message, with a stream of its own.
pub(super) fn ends_stream(of_send: bool, response: &StreamResponse) -> bool {
    match response {
        StreamResponse::Message(_) => true,
        StreamResponse::Task(task) => task.status.state.is_terminal(),
        StreamResponse::StatusUpdate(update) => {
            let state = update.status.state;
            state.is_terminal() || (of_send && state == TaskState::InputRequired)
        }
        StreamResponse::ArtifactUpdate(_) => false,
    }
}

/// Whether the stream broke, or the way to it; all else is the agent's word.
pub(super) fn is_break(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::DeadlineExceeded)
}
