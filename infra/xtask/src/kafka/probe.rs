//! Whether the broker is ready, asked in its own protocol: a listening socket comes seconds before
//! a usable broker.
//!
//! Ready means that it lists itself in the metadata and names itself the coordinator of a group.
//! The second question also makes it create the topic behind consumer groups, for which the first
//! consumer would otherwise wait seconds.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const METADATA: i16 = 3;
const FIND_COORDINATOR: i16 = 10;

/// Long enough for a busy machine; a probe that fails is asked again anyway.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers what is still missing, until nothing is.
pub(super) fn ready(port: u16) -> Result<(), String> {
    let mut stream = connect(port).map_err(|error| format!("no connection: {error}"))?;
    let mut ask = |key, version, body: &[u8]| {
        exchange(&mut stream, &request(key, version, body))
            .map_err(|error| format!("no answer: {error}"))
    };
    // Metadata 1 with a null list of topics: all of them.
    let metadata = ask(METADATA, 1, &(-1_i32).to_be_bytes())?;
    match Reader(&metadata).int32() {
        Some(brokers) if brokers > 0 => {}
        _ => return Err("no broker is registered".to_owned()),
    }
    let coordinator = ask(FIND_COORDINATOR, 0, &string("xtask"))?;
    match Reader(&coordinator).int16() {
        Some(0) => Ok(()),
        code => Err(format!("no group coordinator (error code {code:?})")),
    }
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A request with header version 1: length, key, version, correlation id, client id.
fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(32 + body.len());
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(1_i32.to_be_bytes());
    frame.extend(string("xtask"));
    frame.extend(body);
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &frame].concat()
}

/// A string of the protocol: two bytes of length before it.
fn string(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

/// Sends a request and answers the body of its response.
fn exchange(stream: &mut TcpStream, frame: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(frame)?;
    let mut head = [0; 8];
    stream.read_exact(&mut head)?;
    let [a, b, c, d, correlation @ ..] = head;
    let length = u32::from_be_bytes([a, b, c, d]);
    // A response to these questions is small: anything else is not Kafka speaking.
    if correlation != 1_i32.to_be_bytes() || !(4..1 << 20).contains(&length) {
        return Err(io::Error::other("what listens there is not Kafka"));
    }
    let mut body = Vec::new();
    stream.take(u64::from(length) - 4).read_to_end(&mut body)?;
    Ok(body)
}

/// Reads a body from its front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn int16(&mut self) -> Option<i16> {
        self.bytes().map(i16::from_be_bytes)
    }

    fn int32(&mut self) -> Option<i32> {
        self.bytes().map(i32::from_be_bytes)
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*front)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn a_request_is_laid_out_as_the_protocol_says() {
        let frame = request(FIND_COORDINATOR, 0, &string("g"));
        assert_eq!(frame[..4], 18_u32.to_be_bytes());
        assert_eq!(frame[4..12], [0, 10, 0, 0, 0, 0, 0, 1]);
        assert_eq!(&frame[12..], b"\x00\x05xtask\x00\x01g");
    }

    /// A server for one connection that answers each question with the next of these bodies.
    fn server(answers: Vec<Vec<u8>>) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            for answer in answers {
                let mut length = [0; 4];
                stream.read_exact(&mut length).expect("a length");
                let mut frame = vec![0; u32::from_be_bytes(length) as usize];
                stream.read_exact(&mut frame).expect("a frame");
                let length = (answer.len() as u32 + 4).to_be_bytes();
                let whole = [&length[..], &1_i32.to_be_bytes(), &answer].concat();
                stream.write_all(&whole).expect("sent");
            }
        });
        port
    }

    #[test]
    fn ready_is_a_registered_broker_that_coordinates() {
        let one_broker = 1_i32.to_be_bytes().to_vec();
        let no_broker = 0_i32.to_be_bytes().to_vec();
        assert_eq!(ready(server(vec![one_broker.clone(), vec![0, 0]])), Ok(()));
        let early = ready(server(vec![no_broker])).expect_err("no broker yet");
        assert!(early.contains("registered"), "{early}");
        let early = ready(server(vec![one_broker, vec![0, 15]])).expect_err("no coordinator yet");
        assert!(early.contains("Some(15)"), "{early}");
    }

    #[test]
    fn a_closed_port_and_a_stranger_are_not_ready() {
        let [port] = crate::ports::free().expect("a port");
        assert!(ready(port).is_err());
        let early = ready(server(vec![])).expect_err("it hangs up");
        assert!(early.contains("no answer"), "{early}");
    }
}
