//! What a response carries.
//!
//! Owns: a body's two shapes. Must never know: what is in it.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};

/// A response's body: all at once, or an event stream. A stream yields no errors: what fails
/// becomes its last event.
pub enum Body {
    /// All of it.
    Full(Option<Bytes>),
    /// Chunks as they come.
    Stream(BoxStream<'static, Bytes>),
}

impl Body {
    /// A body of these bytes.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(Some(bytes.into()))
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Full(_) => "Body::Full",
            Self::Stream(_) => "Body::Stream",
        })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        let bytes = match &mut *self {
            Self::Full(bytes) => Poll::Ready(bytes.take()),
            Self::Stream(stream) => stream.poll_next_unpin(context),
        };
        bytes.map(|bytes| bytes.map(|bytes| Ok(http_body::Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(None))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Full(bytes) => http_body::SizeHint::with_exact(
                bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            ),
            Self::Stream(_) => http_body::SizeHint::default(),
        }
    }
}
