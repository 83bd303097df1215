//! A stream that somebody has: who awaits its answer, reads its body, or has left HTTP on it.
//!
//! Invariant: who lets go of it before the answer is whole cancels it at the application at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf as _, Bytes};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::Connection;
use super::failure::Failure;
use crate::message::{Request, Response};
use crate::upstream::{BoxError, RequestBody, Shared};

/// A stream that somebody has.
#[derive(Debug)]
pub(in crate::upstream) struct Held<B: RequestBody> {
    connection: Connection<B>,
    id: u32,
    /// Held for its `Drop`.
    _permit: Option<OwnedSemaphorePermit>,
}

/// A stream that has left HTTP (RFC 8441): what comes on it and what goes, as bytes.
#[derive(Debug)]
pub struct Tunnel<B: RequestBody> {
    held: Held<B>,
    /// What has come and was not read.
    rest: Bytes,
}

impl<B: RequestBody> Held<B> {
    pub(super) fn new(
        connection: Connection<B>,
        id: u32,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            connection,
            id,
            _permit: permit,
        }
    }

    /// The head of the answer, and when it came.
    pub(super) async fn head(&self) -> Result<(Response<()>, Instant), Failure> {
        std::future::poll_fn(|cx| match self.connection.core().streams.find(self.id) {
            Some(stream) => stream.poll_head(cx),
            None => Poll::Ready(Err(Failure::Unprocessed)),
        })
        .await
    }

    /// What all requests of its worker share.
    pub(in crate::upstream) fn shared(&self) -> &Arc<Shared<B>> {
        &self.connection.0.shared
    }

    /// Keeps the head of its request while all of it may have to be sent once more.
    pub(super) fn keep(&self, request: Request<B>) {
        if let Some(stream) = self.connection.core().streams.find(self.id) {
            stream.kept = Some(request);
        }
    }

    /// The body of a request that came to nothing, where all of it may be sent once more, and its head
    /// if that was kept.
    pub(super) fn take_unsent(&self) -> Option<(B, Option<Request<B>>)> {
        let mut core = self.connection.core();
        let stream = core.streams.find(self.id)?;
        Some((stream.unsent.take()?, stream.kept.take()))
    }

    /// Whether it is the first of its connection.
    pub(super) fn is_first(&self) -> bool {
        self.id == 1
    }

    pub(in crate::upstream) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.connection.core().poll_frame(self.id, cx)
    }

    pub(in crate::upstream) fn is_end_stream(&self) -> bool {
        let mut core = self.connection.core();
        (core.streams.find(self.id)).is_none_or(|stream| stream.answer.is_out())
    }

    pub(in crate::upstream) fn size_hint(&self) -> SizeHint {
        let mut core = self.connection.core();
        let Some(stream) = core.streams.find(self.id) else {
            return SizeHint::with_exact(0);
        };
        match (stream.answer.rest(), stream.answer.is_out()) {
            (_, true) => SizeHint::with_exact(0),
            (rest, _) => rest.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}

impl<B: RequestBody> Drop for Held<B> {
    fn drop(&mut self) {
        self.connection.core().let_go(self.id);
    }
}

impl<B: RequestBody> Tunnel<B> {
    pub(in crate::upstream) fn new(held: Held<B>) -> Self {
        Self {
            held,
            rest: Bytes::new(),
        }
    }
}

impl<B: RequestBody> AsyncRead for Tunnel<B> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.held.poll_frame(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                // Trailers mean nothing here.
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
            }
        }
        let n = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..n]);
        self.rest.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<B: RequestBody> AsyncWrite for Tunnel<B> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = self
            .held
            .connection
            .core()
            .poll_raw(self.held.id, bytes, cx);
        taken.map(|taken| taken.ok_or_else(|| io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held.connection.core().end_raw(self.held.id);
        Poll::Ready(Ok(()))
    }
}
