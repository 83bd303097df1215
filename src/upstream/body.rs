//! The body of the application's answer, over either protocol.
//!
//! Invariant: a body that ends early is an error, never a clean end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

use super::http2::Room;
use super::{BoxError, RequestBody, Shared, http1};
use crate::net::{Prefixed, Stream};

/// The body of the application's answer.
#[derive(Debug)]
pub struct Body<B: RequestBody>(Source<B>);

#[derive(Debug)]
enum Source<B: RequestBody> {
    Http1(http1::Incoming<B>),
    Http2 {
        incoming: Incoming,
        arrived: Instant,
        shared: Arc<Shared<B>>,
        #[allow(dead_code, reason = "held for its Drop")]
        stream: StreamGuard,
    },
}

/// Counts one stream of a shared HTTP/2 connection.
#[derive(Debug)]
pub(super) struct StreamGuard {
    room: Arc<Room>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl StreamGuard {
    pub(super) fn new(room: &Arc<Room>, permit: Option<OwnedSemaphorePermit>) -> Self {
        room.enter();
        Self {
            room: Arc::clone(room),
            _permit: permit,
        }
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.room.leave();
    }
}

impl<B: RequestBody> Body<B> {
    pub(super) fn http1(incoming: http1::Incoming<B>) -> Self {
        Self(Source::Http1(incoming))
    }

    pub(super) fn http2(incoming: Incoming, stream: StreamGuard, shared: &Arc<Shared<B>>) -> Self {
        Self(Source::Http2 {
            incoming,
            arrived: Instant::now(),
            shared: Arc::clone(shared),
            stream,
        })
    }

    /// How much of it may be held at each place on its way; `None` when nothing more of it comes.
    pub fn piece(&self) -> Option<usize> {
        match &self.0 {
            Source::Http1(incoming) => incoming.piece(),
            Source::Http2 { shared, .. } => Some(shared.piece()),
        }
    }

    /// When the head in front of it came.
    pub fn arrived(&self) -> Instant {
        match &self.0 {
            Source::Http1(incoming) => incoming.arrived(),
            Source::Http2 { arrived, .. } => *arrived,
        }
    }

    /// Lets go of an HTTP/1.1 connection that has switched.
    pub(super) fn into_raw(self) -> Option<Prefixed<Stream>> {
        match self.0 {
            Source::Http1(incoming) => incoming.into_raw(),
            Source::Http2 { .. } => None,
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
            Source::Http2 { incoming, .. } => {
                let polled = Pin::new(&mut *incoming).poll_frame(cx);
                // hyper calls a reset with NO_ERROR an end, which it is only behind END_STREAM
                // (RFC 9113 section 8.1).
                if matches!(polled, Poll::Ready(None)) && !incoming.is_end_stream() {
                    return Poll::Ready(Some(Err("stream reset within the body".into())));
                }
                polled.map_err(BoxError::from)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Http1(incoming) => incoming.is_end_stream(),
            Source::Http2 { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Http1(incoming) => incoming.size_hint(),
            Source::Http2 { incoming, .. } => incoming.size_hint(),
        }
    }
}
