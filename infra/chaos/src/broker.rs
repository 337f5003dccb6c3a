//! A broker of our own, which `cargo xtask` starts, stops and starts again on request.

use std::{io, time::Duration};

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
    pub(crate) async fn at(desk: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(desk).await;
        let stream =
            stream.map_err(|error| format!("no broker is to be had at {desk}: {error}"))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Starts it, also again and then with its data, and waits until it is ready. Answers its
    /// bootstrap address.
    pub(crate) async fn start(&mut self) -> Result<String, String> {
        self.ask("start").await
    }

    /// Kills it outright.
    pub(crate) async fn stop(&mut self) -> Result<(), String> {
        self.ask("stop").await.map(drop)
    }

    async fn ask(&mut self, what: &str) -> Result<String, String> {
        let mut answer = String::new();
        let asked = timeout(PATIENCE, async {
            self.0.write_all(format!("{what}\n").as_bytes()).await?;
            self.0.read_line(&mut answer).await
        });
        match asked.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Err(error) => Err(format!("the broker's {what} was not answered: {error}")),
            Ok(0) => Err(format!("the broker's {what} was not answered")),
            Ok(_) => match answer.trim_end().strip_prefix("error ") {
                Some(reason) => Err(format!("the broker's {what} failed: {reason}")),
                None => Ok(answer.trim_end().to_owned()),
            },
        }
    }
}
