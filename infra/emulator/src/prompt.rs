//! A connection whose reader acknowledges at once.
//!
//! Owns: that a measurement shows the function and not a timer. lambda_runtime's client (1.5) writes
//! a streamed answer in several small pieces and leaves Nagle's algorithm on, so the second piece
//! waits for the first one's acknowledgement, which Linux holds back for 40 ms when it likes.
//! Whether Lambda's own Runtime API does is not known here. Must never know: what is read.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustix::net::sockopt::set_tcp_quickack;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A socket that acknowledges what it reads at once.
#[derive(Debug)]
pub(crate) struct Prompt(pub(crate) TcpStream);

impl AsyncRead for Prompt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.0).poll_read(context, buffer));
        // The kernel forgets it again by itself. Without it the answer is only later.
        let _ = set_tcp_quickack(&self.0, true);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
