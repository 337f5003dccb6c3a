//! One request on a bare socket, for what is read rather than counted: first answers, and streams.
//!
//! No client library: what it does for each piece of a body costs more than the servers' own work.

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::requests::Request;

/// Connects without Nagle's delay.
pub(crate) async fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends a request whose answer ends with its connection.
pub(crate) async fn send(stream: &mut TcpStream, request: &Request) -> Result<()> {
    let Request { path, body } = request;
    let head = "host: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n\
                a2a-version: 1.0\r\ncontent-length";
    let request = format!("POST {path} HTTP/1.1\r\n{head}: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.context("a request was not sent")
}
