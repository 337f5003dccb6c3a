//! Brokers for programs that take one away and give it back: a port of the loopback interface where
//! every connection has a broker of its own.
//!
//! A line asks, a line answers. `start` is answered with the broker's address, `stop`, which kills
//! it outright, with `stopped`; the next `start` is the same broker at the same address, with its
//! data. What fails is answered with `error` and a sentence. The broker ends with its connection.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use super::Engine;

/// Where brokers are to be had, until this process ends.
pub(crate) struct Desk {
    address: String,
}

impl Desk {
    /// Opens on a free port.
    pub(crate) fn open() -> Result<Self, String> {
        let open = || -> io::Result<_> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = listener.local_addr()?.to_string();
            Ok((listener, address))
        };
        let (listener, address) =
            open().map_err(|error| format!("nothing listens for brokers: {error}"))?;
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                thread::spawn(move || serve(&connection));
            }
        });
        Ok(Self { address })
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

/// One connection, to its end; and with it its broker's.
fn serve(mut connection: &TcpStream) {
    let mut broker = None;
    for line in BufReader::new(connection).lines().map_while(Result::ok) {
        let answer = answer(&mut broker, &line).unwrap_or_else(|reason| {
            // One line, whatever it says.
            format!("error {}", reason.replace('\n', " | "))
        });
        if writeln!(connection, "{answer}").is_err() {
            return;
        }
    }
}

fn answer(broker: &mut Option<Engine>, line: &str) -> Result<String, String> {
    match (line, &mut *broker) {
        ("start", None) => Ok(broker.insert(Engine::start()?).address().to_owned()),
        ("start", Some(engine)) => {
            engine.start_again()?;
            Ok(engine.address().to_owned())
        }
        ("stop", Some(engine)) => engine.stop().map(|()| "stopped".to_owned()),
        ("stop", None) => Err("there is no broker to stop".to_owned()),
        _ => Err(format!("{line:?} is neither `start` nor `stop`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_is_said_on_one_line() {
        let desk = Desk::open().expect("a port");
        let mut connection = TcpStream::connect(desk.address()).expect("it listens");
        connection.write_all(b"stop\ngo\n").expect("sent");
        let mut lines = BufReader::new(connection).lines();
        let mut next = || lines.next().expect("an answer").expect("text");
        assert_eq!(next(), "error there is no broker to stop");
        assert_eq!(next(), r#"error "go" is neither `start` nor `stop`"#);
    }
}
