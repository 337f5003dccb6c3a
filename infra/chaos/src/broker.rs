//! A broker of our own, which `cargo xtask` starts, stops and starts again on request.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(120);

/// A broker; it ends with this value.
#[derive(Debug)]
pub(crate) struct Broker(BufReader<TcpStream>);

impl Broker {
    /// One that the desk at this address has yet to start.
    pub(crate) async fn at(desk: &str) -> Result<Self> {
        let stream = TcpStream::connect(desk).await;
        Ok(Self(BufReader::new(stream.with_context(|| format!("no broker at {desk}"))?)))
    }

    /// Starts it, also again and then with its data, and waits until it is ready. Answers its
    /// bootstrap address.
    pub(crate) async fn start(&mut self) -> Result<String> {
        self.ask("start").await
    }

    /// Kills it outright.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.ask("stop").await.map(drop)
    }

    async fn ask(&mut self, what: &str) -> Result<String> {
        let mut answer = String::new();
        let asked = timeout(PATIENCE, async {
            self.0.write_all(format!("{what}\n").as_bytes()).await?;
            self.0.read_line(&mut answer).await
        });
        let unanswered = || format!("the broker's {what} was not answered");
        asked.await.with_context(unanswered)?.with_context(unanswered)?;
        match (answer.trim_end(), answer.strip_prefix("error ")) {
            (_, Some(reason)) => bail!("the broker's {what} failed: {}", reason.trim_end()),
            ("", None) => bail!(unanswered()),
            (line, None) => Ok(line.to_owned()),
        }
    }
}
