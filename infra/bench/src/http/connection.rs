//! A client connection over raw TCP: prepared bytes out, answers in, and as little work as that
//! allows, because the generator shares the machine with what it measures.

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How an answer's body ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Framing {
    /// After this many bytes.
    Length(usize),
    /// With a chunk of length zero.
    Chunked,
}

/// The part of an answer's head that matters here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    /// Where the body ends.
    pub(crate) framing: Framing,
}

/// A keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    /// Connects without Nagle's delay.
    pub(crate) async fn open(address: &str) -> Result<Self, String> {
        let error = |error| format!("cannot connect to {address}: {error}");
        let stream = TcpStream::connect(address).await.map_err(error)?;
        stream.set_nodelay(true).map_err(error)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(64 * 1024) })
    }

    /// Sends a request and reads its answer's head; anything but 200 is an error that shows it.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Framing, String> {
        let sent = self.stream.write_all(request).await;
        sent.map_err(|error| format!("the request was not taken: {error}"))?;
        let head = loop {
            if let Some((head, length)) = parse(&self.buffer)? {
                self.buffer.advance(length);
                break head;
            }
            self.fill().await?;
        };
        if head.status == 200 {
            return Ok(head.framing);
        }
        let body = match head.framing {
            Framing::Length(length) => self.body(length).await?,
            Framing::Chunked => self.buffer.split(),
        };
        Err(format!("answered {}: {}", head.status, String::from_utf8_lossy(&body)))
    }

    /// Sends a request and reads the whole of its answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<BytesMut, String> {
        match self.ask(request).await? {
            Framing::Length(length) => self.body(length).await,
            Framing::Chunked => Err("a single answer came without content-length".to_owned()),
        }
    }

    /// What was received and not yet consumed.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Reads more; the end of the connection is an error, because it is never expected.
    pub(crate) async fn fill(&mut self) -> Result<(), String> {
        self.buffer.reserve(16 * 1024);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err("the server closed the connection before its answer's end".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the answer was cut off: {error}")),
        }
    }

    async fn body(&mut self, length: usize) -> Result<BytesMut, String> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(self.buffer.split_to(length))
    }
}

/// The head and its length, once all of it is there.
fn parse(buffer: &[u8]) -> Result<Option<(Head, usize)>, String> {
    let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = str::from_utf8(&buffer[..end]).map_err(|_| "an answer's head is not text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = status.and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    let status = status.ok_or("an answer does not begin with HTTP/1.1 and a status")?;
    let framing = lines.find_map(framing).ok_or("an answer's body has no stated end")?;
    Ok(Some((Head { status, framing }, end + 4)))
}

/// What this header says about the body's end, if anything.
fn framing(line: &str) -> Option<Framing> {
    let (name, value) = line.split_once(':')?;
    if name.eq_ignore_ascii_case("content-length") {
        value.trim().parse().ok().map(Framing::Length)
    } else if name.eq_ignore_ascii_case("transfer-encoding") {
        value.trim().eq_ignore_ascii_case("chunked").then_some(Framing::Chunked)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_its_status_and_where_the_body_ends() {
        let answer = b"HTTP/1.1 200 OK\r\ndate: x\r\nContent-Length: 12\r\n\r\n{\"a\":1}";
        let head = Head { status: 200, framing: Framing::Length(12) };
        assert_eq!(parse(answer), Ok(Some((head, 48))));
        let answer = b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n";
        let head = Head { status: 404, framing: Framing::Chunked };
        assert_eq!(parse(answer), Ok(Some((head, answer.len()))));
    }

    #[test]
    fn a_part_of_a_head_is_not_an_answer_yet() {
        assert_eq!(parse(b""), Ok(None));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n"), Ok(None));
    }

    #[test]
    fn what_is_not_http_is_refused() {
        assert!(parse(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 2\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
