//! Ours: the seam between the benchmark and the project.
//!
//! It owns what the driver cannot know by itself: how our two servers are started, and by which
//! words the agent behind them is told what to answer. The agent of these servers must answer
//! [`prompt`]'s text with what [`Ask`] says, out of a memory store.

use tokio::net::TcpListener;

use crate::cli::Route;

/// What the agent is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ask {
    /// One message, no task.
    Message,
    /// A completed task with one artifact.
    Task,
    /// A completed task with one artifact that comes in this many chunks, [`chunk`] by [`chunk`].
    Stream(usize),
}

/// The text of the user's message that asks for it.
pub(crate) fn prompt(ask: Ask) -> String {
    match ask {
        Ask::Message => "message".to_owned(),
        Ask::Task => "task".to_owned(),
        Ask::Stream(chunks) => format!("stream {chunks}"),
    }
}

/// The text of a stream's chunk: 64 bytes that hold its number, so that order can be checked.
pub(crate) fn chunk(number: usize) -> String {
    format!("{CHUNK_MARK}{number:06} {:.<51}", "")
}

/// What stands before a chunk's six digits.
pub(crate) const CHUNK_MARK: &str = "chunk-";

/// Serves our agent over HTTP, both bindings, on a listener that is already bound. Runs until the
/// process is killed; an answer is an error. Connections want TCP_NODELAY, as the limit sets it.
pub(crate) async fn serve_http(listener: TcpListener) -> Result<(), String> {
    drop(listener);
    Err(NOT_PLUGGED_IN.to_owned())
}

/// Runs our Kafka path from `route.requests` to `route.replies` with the settings of
/// [`crate::kafka::settings`]; each reply has its request's key. Calls `ready` once it is
/// consuming, and runs until the process is killed.
pub(crate) async fn serve_kafka(route: &Route, ready: impl FnOnce()) -> Result<(), String> {
    let _ = (route, ready);
    Err(NOT_PLUGGED_IN.to_owned())
}

const NOT_PLUGGED_IN: &str = "our server is not plugged in (infra/bench/src/subjects.rs)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_64_bytes_and_holds_its_number() {
        for number in [0, 199, 9_999] {
            let text = chunk(number);
            assert_eq!(text.len(), 64);
            assert!(text.starts_with(&format!("chunk-{number:06}")), "{text}");
        }
    }
}
