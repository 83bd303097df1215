//! A stream that has left HTTP (RFC 8441): what comes on it and what goes, as bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http_body::Frame;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::upload::Incoming;
use crate::proxy::body::{Feed, RequestBodyFailure, Source, feed};

/// One stream of a connection, as a stream of bytes.
#[derive(Debug)]
pub(in crate::proxy) struct Tunnel {
    incoming: Incoming,
    /// What has come and was not read.
    rest: Bytes,
    /// Where what is written goes; `None` once it was ended.
    answer: Option<Source>,
}

impl Tunnel {
    /// The stream whose client sends what `incoming` gives, and the body of the answer to it.
    pub(in crate::proxy) fn new(incoming: Incoming) -> (Self, Feed) {
        let (answer, body) = feed(None);
        let tunnel = Self {
            incoming,
            rest: Bytes::new(),
            answer: Some(answer),
        };
        (tunnel, body)
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.incoming.poll_frame(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Err(_)) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
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

impl AsyncWrite for Tunnel {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(answer) = &self.answer else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if !answer.is_wanted(cx) {
            return Poll::Pending;
        }
        let piece = Frame::data(Bytes::copy_from_slice(bytes));
        answer.give(Some(piece), false, cx);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(answer) = self.answer.take() {
            answer.end(cx);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            // Whoever reads must see that this is no clean end.
            answer.fail(
                RequestBodyFailure::ClientGone,
                &Context::from_waker(std::task::Waker::noop()),
            );
        }
    }
}
