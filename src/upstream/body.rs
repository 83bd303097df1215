//! The body of the application's answer, over either protocol.
//!
//! Invariant: a body that ends early is an error, never a clean end.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::http2::Held;
use super::{BoxError, RequestBody, Tunnel, http1, http2};

/// The body of the application's answer.
#[derive(Debug)]
pub struct Body<B: RequestBody>(Source<B>);

#[derive(Debug)]
enum Source<B: RequestBody> {
    Http1(http1::Incoming<B>),
    Http2 { held: Held<B>, arrived: Instant },
}

impl<B: RequestBody> Body<B> {
    pub(super) fn http1(incoming: http1::Incoming<B>) -> Self {
        Self(Source::Http1(incoming))
    }

    pub(super) fn http2(held: Held<B>, arrived: Instant) -> Self {
        Self(Source::Http2 { held, arrived })
    }

    /// How much of it may be held at each place on its way; `None` when nothing more of it comes.
    pub fn piece(&self) -> Option<usize> {
        match &self.0 {
            Source::Http1(incoming) => incoming.piece(),
            Source::Http2 { held, .. } => Some(held.shared().piece()),
        }
    }

    /// When the head in front of it came.
    pub fn arrived(&self) -> Instant {
        match &self.0 {
            Source::Http1(incoming) => incoming.arrived(),
            Source::Http2 { arrived, .. } => *arrived,
        }
    }

    /// Lets go of a connection, or a stream of one, that has switched.
    pub(super) fn into_raw(self) -> Option<Tunnel<B>> {
        match self.0 {
            Source::Http1(incoming) => incoming.into_raw().map(Tunnel::Http1),
            Source::Http2 { held, .. } => Some(Tunnel::Http2(http2::Tunnel::new(held))),
        }
    }
}

impl<B: RequestBody> http_body::Body for Body<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Source::Http1(incoming) => incoming.poll_frame(cx),
            Source::Http2 { held, .. } => held.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Http1(incoming) => incoming.is_end_stream(),
            Source::Http2 { held, .. } => held.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Http1(incoming) => incoming.size_hint(),
            Source::Http2 { held, .. } => held.size_hint(),
        }
    }
}
