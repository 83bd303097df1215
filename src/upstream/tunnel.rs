//! The raw bytes behind a switch that the application granted.
//!
//! Over HTTP/1.1 that is the socket itself, with what had been read beyond the 101 in front; over
//! HTTP/2 it is one stream of a shared connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Body, RequestBody, http2};
use crate::message::Response;
use crate::net::{Prefixed, Stream};

/// The raw bytes behind a switch.
#[derive(Debug)]
pub enum Tunnel<B: RequestBody> {
    /// The socket, behind bytes that were read already.
    Http1(Prefixed<Stream>),
    /// One HTTP/2 stream.
    Http2(http2::Tunnel<B>),
}

/// Takes over what is behind `response`, which granted a switch.
///
/// # Errors
/// When the connection is gone already.
pub fn upgraded<B: RequestBody>(response: Response<Body<B>>) -> io::Result<Tunnel<B>> {
    let raw = response.body.into_raw();
    raw.ok_or_else(|| io::ErrorKind::NotConnected.into())
}

impl<B: RequestBody> AsyncRead for Tunnel<B> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Http1(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Http2(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl<B: RequestBody> AsyncWrite for Tunnel<B> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Http1(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Http2(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Http1(stream) => Pin::new(stream).poll_flush(cx),
            Self::Http2(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Http1(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Http2(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
