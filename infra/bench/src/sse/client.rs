//! The client of many streams: a few connections share a number of streams between them.
//!
//! It reads about a million events a second, which is above our servers and below the bare event
//! stream: that limit's rate is the client's own. Most of it is hyper's client, which hands each
//! chunk of a body from the connection's task to the reader's; to check an event takes a fifth.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use tokio::task::JoinSet;

use super::events::Events;
use crate::http::client::Connection;
use crate::requests::Request;

/// One request for a stream, who answers it, and how long each stream must be.
pub(crate) struct Streams {
    address: Arc<str>,
    request: Arc<Request>,
    chunks: usize,
}

/// What a number of streams came to.
pub(crate) struct Measured {
    events: usize,
    chunks: usize,
    time: Duration,
}

impl Measured {
    /// Events a second.
    pub(crate) fn rate(&self) -> f64 {
        self.events as f64 / self.time.as_secs_f64()
    }

    /// What a chunk took.
    pub(crate) fn micros_per_chunk(&self) -> f64 {
        self.time.as_secs_f64() * 1e6 / self.chunks as f64
    }
}

impl Streams {
    /// Nothing is sent yet.
    pub(crate) fn new(address: &str, request: Request, chunks: usize) -> Self {
        Self { address: address.into(), request: request.into(), chunks }
    }

    /// Reads `streams` streams, `at_a_time` of them at any moment. Connecting is not measured.
    pub(crate) async fn run(&self, streams: usize, at_a_time: usize) -> Result<Measured, String> {
        let mut connections = Vec::new();
        for _ in 0..at_a_time.min(streams) {
            connections.push(Connection::open(&self.address).await?);
        }
        let left = Arc::new(AtomicUsize::new(streams));
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for connection in connections {
            tasks.spawn(drain(connection, Arc::clone(&self.request), self.chunks, left.clone()));
        }
        let mut events = 0;
        while let Some(task) = tasks.join_next().await {
            events += task.map_err(|error| format!("a stream's task: {error}"))??;
        }
        Ok(Measured { events, chunks: streams * self.chunks, time: began.elapsed() })
    }
}

/// Takes streams while any are left; answers how many events they had.
async fn drain(
    mut connection: Connection,
    request: Arc<Request>,
    chunks: usize,
    left: Arc<AtomicUsize>,
) -> Result<usize, String> {
    let mut count = 0;
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
        let mut body = connection.ask(&request).await?;
        let (mut events, mut unread) = (Events::default(), Vec::new());
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() else { continue };
            unread.extend_from_slice(&data);
            // Whole lines at a time: a string for each would cost more than the servers' work.
            let whole = unread.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let lines = std::str::from_utf8(&unread[..whole]).map_err(|error| error.to_string())?;
            lines
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .try_for_each(|data| events.event(data))?;
            unread.drain(..whole);
        }
        count += events.finish(chunks)?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests;
    use tokio::net::TcpListener;

    async fn streams(asked: usize, wanted: usize) -> Result<Measured, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        tokio::spawn(super::super::server::serve(listener));
        Streams::new(&address, requests::raw_stream(asked), wanted).run(7, 3).await
    }

    #[tokio::test]
    async fn the_raw_server_streams_whole_streams() {
        let measured = streams(20, 20).await.expect("whole streams");
        assert_eq!((measured.events, measured.chunks), (7 * 22, 7 * 20));
        assert!(measured.micros_per_chunk() > 0.0);
    }

    #[tokio::test]
    async fn another_length_than_asked_is_an_error() {
        assert!(streams(20, 21).await.is_err());
        assert!(streams(0, 1).await.is_err());
    }
}
