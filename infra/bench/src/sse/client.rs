//! The client of many streams, some at a time.
//!
//! It takes the lines from the socket as they are: between them stand the sizes of HTTP's chunks,
//! which are no events. A chunk that cut a line in two would fail the check of the events.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::events::Events;
use crate::http::client;
use crate::requests::Request;

/// Bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// One request for a stream, who answers it, and how long each stream must be.
pub(crate) struct Streams {
    address: String,
    request: Request,
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
        Self { address: address.to_owned(), request, chunks }
    }

    /// Reads `streams` streams, `at_a_time` of them at any moment. Connecting is not measured.
    pub(crate) async fn run(&self, streams: usize, at_a_time: usize) -> Result<Measured> {
        let mut connections = Vec::with_capacity(streams);
        for _ in 0..streams {
            connections.push(client::connect(&self.address).await?);
        }
        let began = Instant::now();
        let events = stream::iter(connections).map(|connection| self.read(connection));
        let events = events.buffer_unordered(at_a_time);
        let events = events.try_fold(0, async |sum, events| Ok(sum + events)).await?;
        Ok(Measured { events, chunks: streams * self.chunks, time: began.elapsed() })
    }

    /// Asks for a stream and reads it to its end; answers how many events it had.
    async fn read(&self, mut connection: TcpStream) -> Result<usize> {
        client::send(&mut connection, &self.request).await?;
        let (mut events, mut unread) = (Events::default(), Vec::with_capacity(BUFFER));
        while connection.read_buf(&mut unread).await.context("a stream broke")? > 0 {
            // Whole lines at a time: a string for each would cost more than the servers' work.
            let whole = unread.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let lines = std::str::from_utf8(&unread[..whole])?;
            lines
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .try_for_each(|data| events.event(data))?;
            unread.drain(..whole);
        }
        events.finish(self.chunks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests;
    use tokio::net::TcpListener;

    async fn streams(asked: usize, wanted: usize) -> Result<Measured> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        tokio::spawn(crate::http::limit::serve(listener));
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
