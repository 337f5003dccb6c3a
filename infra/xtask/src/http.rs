//! One question over HTTP to a server on loopback, where a client library would be built first.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// The status line that a request is answered with; a body makes it a POST.
pub(crate) fn status(port: u16, path: &str, body: &str, patience: Duration) -> io::Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(patience))?;
    let (method, length) = (if body.is_empty() { "GET" } else { "POST" }, body.len());
    let head = "host: localhost\r\nconnection: close\r\ncontent-length";
    write!(stream, "{method} {path} HTTP/1.1\r\n{head}: {length}\r\n\r\n{body}")?;
    let mut head = [0; 64];
    let length = stream.read(&mut head)?;
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    Ok(head.lines().next().unwrap_or("an empty answer").to_owned())
}
