//! Whether an engine is ready, asked in its own protocol: what listens does not answer yet.
//!
//! Owns: one question for each protocol, and how much of an answer is enough. Must never know: how
//! an engine is started.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Long enough for a busy machine; a probe that fails is asked again anyway.
const PATIENCE: Duration = Duration::from_secs(5);

/// No answer to these questions is longer.
const LONGEST: usize = 1 << 16;

/// It lists its tables. No credentials are checked, but their form is.
pub(super) fn dynamodb(port: u16) -> Result<(), String> {
    let request = "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
        content-type: application/x-amz-json-1.0\r\ncontent-length: 2\r\n\
        x-amz-date: 20260101T000000Z\r\nx-amz-target: DynamoDB_20120810.ListTables\r\n\
        authorization: AWS4-HMAC-SHA256 Credential=x/20260101/eu-central-1/dynamodb/aws4_request, \
        SignedHeaders=host;x-amz-date;x-amz-target, Signature=0\r\n\r\n{}";
    ask(port, request.as_bytes(), |answer| contains(answer, b"\"TableNames\""))
}

/// It answers a ping.
pub(super) fn redis(port: u16) -> Result<(), String> {
    ask(port, b"PING\r\n", |answer| answer == b"+PONG\r\n")
}

/// It lets the superuser in without a password, and is ready for queries.
pub(super) fn postgres(port: u16) -> Result<(), String> {
    // Length, version 3.0, pairs of texts that end with a zero, and a zero.
    let body = b"\x00\x03\x00\x00user\0postgres\0database\0postgres\0\0";
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes();
    // What ends the handshake: ready (Z), 5 bytes, outside any transaction (I).
    ask(port, &[&length[..], body].concat(), |answer| answer.ends_with(b"Z\0\0\0\x05I"))
}

/// Sends the question and reads until the answer is the one that is waited for.
fn ask(port: u16, question: &[u8], enough: impl Fn(&[u8]) -> bool) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("no answer: {error}");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .map_err(|error| format!("no connection: {error}"))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.write_all(question).map_err(failed)?;
    let (mut answer, mut part) = (Vec::new(), [0; 1024]);
    while !enough(&answer) {
        let length = match stream.read(&mut part) {
            Ok(length) if length > 0 && answer.len() < LONGEST => length,
            Ok(_) => return Err(format!("not yet: {}", String::from_utf8_lossy(&answer))),
            Err(error) => return Err(failed(error)),
        };
        answer.extend_from_slice(&part[..length]);
    }
    Ok(())
}

fn contains(text: &[u8], piece: &[u8]) -> bool {
    text.windows(piece.len()).any(|window| window == piece)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// A server for one connection that answers whatever it is asked with these pieces.
    fn server(pieces: &'static [&[u8]]) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let _ = stream.read(&mut [0; 1024]).expect("a question");
            for piece in pieces {
                stream.write_all(piece).expect("sent");
                thread::sleep(Duration::from_millis(5));
            }
        });
        port
    }

    #[test]
    fn ready_is_the_whole_answer_in_however_many_pieces() {
        assert_eq!(redis(server(&[b"+PO", b"NG\r\n"])), Ok(()));
        assert_eq!(dynamodb(server(&[b"HTTP/1.1 200 OK\r\n\r\n", b"{\"TableNames\":[]}"])), Ok(()));
        assert_eq!(postgres(server(&[b"R\0\0\0\x08\0\0\0\0", b"Z\0\0\0\x05I"])), Ok(()));
    }

    #[test]
    fn another_answer_and_none_are_not_ready() {
        let early = redis(server(&[b"-LOADING in memory\r\n"])).expect_err("it loads");
        assert_eq!(early, "not yet: -LOADING in memory\r\n");
        assert!(dynamodb(server(&[b"HTTP/1.1 500 Internal\r\n\r\n"])).is_err());
        assert!(postgres(server(&[b"E starting up"])).is_err());
        let [port] = crate::ports::free().expect("a port");
        assert!(redis(port).expect_err("nobody").starts_with("no connection"));
    }
}
