//! The load: one request over and over on keep-alive connections for a fixed time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Connection;
use crate::stats::Sample;

/// One request, who answers it, and on how many connections at once.
pub(crate) struct Load {
    address: Arc<str>,
    request: Arc<[u8]>,
    expected: &'static str,
    connections: usize,
}

impl Load {
    /// Nothing is sent yet. `expected` is what the first answer of each connection must hold.
    pub(crate) fn new(
        address: &str,
        request: &[u8],
        expected: &'static str,
        connections: usize,
    ) -> Self {
        Self { address: address.into(), request: request.into(), expected, connections }
    }

    /// Sends for this long; answers how many requests a second were answered, and their latency.
    pub(crate) async fn run(&self, time: Duration) -> Result<Sample, String> {
        let mut connections = Vec::new();
        for _ in 0..self.connections {
            connections.push(self.connect().await?);
        }
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for connection in connections {
            tasks.spawn(repeat(connection, Arc::clone(&self.request), began + time));
        }
        let mut latencies = Vec::new();
        while let Some(task) = tasks.join_next().await {
            latencies.extend(task.map_err(|error| format!("a connection's task: {error}"))??);
        }
        let seconds = began.elapsed().as_secs_f64();
        Ok(Sample::rate(latencies.len() as f64 / seconds, &mut latencies))
    }

    /// A connection whose first answer is checked, outside the measured time.
    async fn connect(&self) -> Result<Connection, String> {
        let mut connection = Connection::open(&self.address).await?;
        let answer = connection.exchange(&self.request).await?;
        let answer = String::from_utf8_lossy(&answer);
        if answer.contains(self.expected) {
            Ok(connection)
        } else {
            Err(format!("the answer has no {:?}: {answer}", self.expected))
        }
    }
}

/// Latencies in microseconds of all requests answered until the deadline.
async fn repeat(
    mut connection: Connection,
    request: Arc<[u8]>,
    deadline: Instant,
) -> Result<Vec<u32>, String> {
    let mut latencies = Vec::with_capacity(1 << 16);
    let mut sent = Instant::now();
    while sent < deadline {
        connection.exchange(&request).await?;
        let answered = Instant::now();
        latencies.push(u32::try_from((answered - sent).as_micros()).unwrap_or(u32::MAX));
        sent = answered;
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::{self, Binding};
    use crate::subjects::Ask;
    use tokio::net::TcpListener;

    async fn load(expected: &'static str) -> Result<Sample, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        tokio::spawn(super::super::echo::serve(listener));
        let request = requests::http(Binding::Rest, Ask::Message);
        Load::new(&address, &request, expected, 2).run(Duration::from_millis(50)).await
    }

    #[tokio::test]
    async fn the_echo_answers_and_is_counted() {
        let sample = load(requests::ECHOED).await.expect("a sample");
        assert!(sample.value > 10.0, "{sample:?}");
        assert!(sample.p50 <= sample.p99, "{sample:?}");
    }

    #[tokio::test]
    async fn a_wrong_answer_ends_the_run() {
        let reason = load(requests::expected(Ask::Message)).await.expect_err("an echo only");
        assert!(reason.contains("ROLE_AGENT"), "{reason}");
    }
}
