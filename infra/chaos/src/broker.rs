//! A broker of our own, which `cargo xtask` starts, stops and starts again on request.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running broker; it ends with this value.
#[derive(Debug)]
pub(crate) struct Broker {
    desk: BufReader<TcpStream>,
    address: String,
}

impl Broker {
    /// Has one started by the desk at this address.
    pub(crate) fn start(desk: &str) -> Result<Self, String> {
        let connect = || {
            let stream = TcpStream::connect(desk)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok::<_, std::io::Error>(stream)
        };
        let stream =
            connect().map_err(|error| format!("no broker is to be had at {desk}: {error}"))?;
        let mut broker = Self { desk: BufReader::new(stream), address: String::new() };
        broker.address = broker.ask("start")?;
        Ok(broker)
    }

    /// Its bootstrap address.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Kills it outright.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        self.ask("stop").map(drop)
    }

    /// Starts it again, with its data, and waits until it is ready.
    pub(crate) fn start_again(&mut self) -> Result<(), String> {
        self.ask("start").map(drop)
    }

    fn ask(&mut self, what: &str) -> Result<String, String> {
        let mut answer = String::new();
        let asked = writeln!(self.desk.get_mut(), "{what}");
        asked
            .and_then(|()| self.desk.read_line(&mut answer))
            .map_err(|error| format!("the broker's {what} was not answered: {error}"))?;
        match answer.trim_end() {
            "" => Err(format!("the broker's {what} was not answered")),
            line => match line.strip_prefix("error ") {
                Some(reason) => Err(format!("the broker's {what} failed: {reason}")),
                None => Ok(line.to_owned()),
            },
        }
    }
}
