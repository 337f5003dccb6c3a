//! The load: one request over and over on keep-alive connections for a fixed time.
//!
//! `wrk` makes it, on one thread, because it takes the least of the machine that it shares with
//! what it measures: a client on hyper halves the rate of the bare echo. `apt-get install wrk` or
//! `brew install wrk` has it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncReadExt;

use super::client;
use crate::child::Server;
use crate::requests::Request;
use crate::stats::Sample;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/load.lua");

/// Keep-alive connections at once.
const CONNECTIONS: usize = 16;

/// One request, and who answers it.
pub(crate) struct Load {
    address: String,
    request: Request,
    /// What an answer must hold.
    expected: &'static str,
}

impl Load {
    /// Nothing is sent yet.
    pub(crate) fn new(server: &Server, request: Request, expected: &'static str) -> Self {
        Self { address: server.address().to_owned(), request, expected }
    }

    /// Sends for this long, in whole seconds and at least one; answers how many requests a second
    /// were answered, and their latency.
    pub(crate) async fn run(&self, time: Duration) -> Result<Sample> {
        self.check().await?;
        let Request { path, body } = &self.request;
        // Nothing else is to be done meanwhile.
        let output = Command::new("wrk")
            .args(["--threads=1", "--script", SCRIPT, "--timeout=30s"])
            .arg(format!("--connections={CONNECTIONS}"))
            .arg(format!("--duration={:.0}s", time.as_secs_f64().ceil()))
            .args([&format!("http://{}{path}", self.address), "--", body])
            .output()
            .context("`wrk`, which makes the load, does not start")?;
        let text = String::from_utf8_lossy(&output.stdout);
        sample(&text).with_context(|| {
            format!("`wrk` has no figures: {text}{}", String::from_utf8_lossy(&output.stderr))
        })
    }

    /// One answer, outside the measured time.
    async fn check(&self) -> Result<()> {
        let mut connection = client::connect(&self.address).await?;
        client::send(&mut connection, &self.request).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.context("an answer was not read")?;
        ensure!(answer.contains(self.expected), "the answer has no {:?}: {answer}", self.expected);
        Ok(())
    }
}

/// The script's line; none where it is missing or tells of failures.
fn sample(text: &str) -> Option<Sample> {
    let line = text.lines().find_map(|line| line.strip_prefix("figures"))?;
    let figures: Vec<f64> = line.split_whitespace().flat_map(str::parse).collect();
    match *figures {
        [requests, micros, p50, p99, 0.0] => {
            let value = requests * 1e6 / micros;
            Some(Sample { value, p50: Some(p50), p99: Some(p99) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::{self, Binding};
    use crate::subjects::Ask;
    use tokio::net::TcpListener;

    pub(super) async fn load(expected: &'static str) -> Result<Sample> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        tokio::spawn(super::super::limit::serve(listener));
        let request = requests::http(Binding::Rest, Ask::Message);
        let load = Load { address, request, expected };
        load.run(Duration::from_millis(50)).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_wrong_answer_ends_the_run() {
        let reason = load(requests::expected(Ask::Message)).await.expect_err("an echo only");
        assert!(reason.to_string().contains("ROLE_AGENT"), "{reason}");
    }

    #[test]
    fn failures_are_no_sample() {
        let sample = super::sample("Running\nfigures\t300\t2000000\t5.0\t9.0\t0\n");
        assert_eq!(sample.map(|it| (it.value, it.p99)), Some((150.0, Some(9.0))));
        assert!(super::sample("figures\t300\t2000000\t5\t9\t1\n").is_none());
        assert!(super::sample("").is_none());
    }
}

/// What needs `wrk`, which `cargo xtask test` installs as it does the engines.
#[cfg(test)]
mod engines {
    use super::tests::load;
    use crate::requests;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_echo_answers_and_is_counted() {
        let sample = load(requests::ECHOED).await.expect("a sample");
        assert!(sample.value > 10.0, "{sample:?}");
        assert!(sample.p50 <= sample.p99, "{sample:?}");
    }
}
