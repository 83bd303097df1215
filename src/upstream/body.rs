//! The body of the application's answer, which brings its connection along.
//!
//! Reading an HTTP/1.1 body drives the connection; its clean end puts the connection back into
//! the pool. Invariant: a body that ends early is an error, never a clean end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;

use super::http1::{self, Connection};
use super::http2::Room;
use super::{BoxError, RequestBody, Shared};
use crate::net::Stream;

/// The body of the application's answer.
#[derive(Debug)]
pub struct Body<B: RequestBody> {
    incoming: Incoming,
    link: Link<B>,
}

#[derive(Debug)]
enum Link<B: RequestBody> {
    /// The connection is back in the pool or gone.
    Released,
    Http1(Driven<B>),
    Http2(#[allow(dead_code, reason = "held for its Drop")] StreamGuard),
}

/// An HTTP/1.1 connection in use, driven by whoever polls the body.
#[derive(Debug)]
pub(super) struct Driven<B: RequestBody> {
    connection: Box<Connection<B>>,
    shared: Arc<Shared<B>>,
    keep: Duration,
    _permit: OwnedSemaphorePermit,
}

/// Counts one stream of a shared HTTP/2 connection.
#[derive(Debug)]
pub(super) struct StreamGuard(Arc<Room>);

impl StreamGuard {
    pub(super) fn new(room: &Arc<Room>) -> Self {
        room.enter();
        Self(Arc::clone(room))
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl<B: RequestBody> Driven<B> {
    pub(super) fn new(
        connection: Box<Connection<B>>,
        shared: Arc<Shared<B>>,
        permit: OwnedSemaphorePermit,
        keep: Duration,
    ) -> Self {
        shared.telemetry.metrics.upstream.active.increment();
        Self {
            connection,
            shared,
            keep,
            _permit: permit,
        }
    }
}

impl<B: RequestBody> Body<B> {
    pub(super) fn http1(incoming: Incoming, driven: Driven<B>) -> Self {
        Self {
            incoming,
            link: Link::Http1(driven),
        }
    }

    pub(super) fn http2(incoming: Incoming, stream: StreamGuard) -> Self {
        Self {
            incoming,
            link: Link::Http2(stream),
        }
    }

    /// Lets go of an HTTP/1.1 connection that has switched; ready when hyper has left it.
    pub(super) fn poll_raw(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Stream, Bytes)>> {
        let Link::Http1(driven) = &mut self.link else {
            return Poll::Ready(None);
        };
        driven.connection.poll_drive(cx);
        if !driven.connection.is_done() {
            return Poll::Pending;
        }
        let Link::Http1(driven) = std::mem::replace(&mut self.link, Link::Released) else {
            return Poll::Ready(None);
        };
        driven.shared.telemetry.metrics.upstream.active.decrement();
        Poll::Ready(Some(driven.connection.into_raw()))
    }

    fn poll_drive(&mut self, cx: &mut Context<'_>) {
        if let Link::Http1(driven) = &mut self.link {
            driven.connection.poll_drive(cx);
        }
    }

    /// Whether a body that gives no more has not ended: hyper calls a reset with NO_ERROR an end,
    /// which it is only behind END_STREAM (RFC 9113 section 8.1).
    fn is_cut_short(&self) -> bool {
        matches!(self.link, Link::Http2(_)) && !self.incoming.is_end_stream()
    }

    /// The body is over: the connection goes back to the pool if it is fit for it.
    fn release(&mut self) {
        let Link::Http1(mut driven) = std::mem::replace(&mut self.link, Link::Released) else {
            return;
        };
        // One more turn: hyper becomes ready for the next request only after it saw the end.
        driven.connection.settle();
        let Driven {
            connection,
            shared,
            keep,
            _permit,
        } = driven;
        shared.telemetry.metrics.upstream.active.decrement();
        if connection.is_reusable() && !keep.is_zero() {
            shared.pool.put(connection, http1::until(keep));
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
        let this = &mut *self;
        let mut polled = Pin::new(&mut this.incoming).poll_frame(cx);
        if polled.is_pending() {
            this.poll_drive(cx);
            polled = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        match &polled {
            Poll::Ready(None) if this.is_cut_short() => {
                return Poll::Ready(Some(Err("stream reset within the body".into())));
            }
            Poll::Ready(None) => this.release(),
            Poll::Ready(Some(Ok(_))) if this.incoming.is_end_stream() => this.release(),
            _ => {}
        }
        polled.map_err(BoxError::from)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl<B: RequestBody> Drop for Body<B> {
    fn drop(&mut self) {
        if !matches!(self.link, Link::Http1(_)) {
            return;
        }
        if self.incoming.is_end_stream() {
            // An answer without a body: nobody polled for its end.
            self.release();
        } else if let Link::Http1(driven) = &self.link {
            driven.shared.telemetry.metrics.upstream.active.decrement();
        }
    }
}
