//! The raw bytes behind a switch that the application granted.
//!
//! Over HTTP/1.1 that is the socket itself, with what had been read beyond the 101 in front; over
//! HTTP/2 it is one stream of a shared connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Version;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Body, RequestBody};
use crate::message::Response;
use crate::net::{Prefixed, Stream};

/// The raw bytes behind a switch.
#[derive(Debug)]
pub enum Tunnel {
    /// The socket, behind bytes that were read already.
    Http1(Prefixed<Stream>),
    /// One HTTP/2 stream.
    Http2(TokioIo<Upgraded>),
}

/// Takes over what is behind `response`, which granted a switch.
///
/// # Errors
/// When the connection ends before the switch is done.
pub async fn upgraded<B: RequestBody>(response: Response<Body<B>>) -> io::Result<Tunnel> {
    if response.version == Version::HTTP_2 {
        let mut theirs = http::Response::new(());
        *theirs.extensions_mut() = response.extensions;
        let upgraded = hyper::upgrade::on(theirs).await;
        let upgraded = upgraded.map_err(io::Error::other)?;
        return Ok(Tunnel::Http2(TokioIo::new(upgraded)));
    }
    match response.body.into_raw() {
        Some(stream) => Ok(Tunnel::Http1(stream)),
        None => Err(io::ErrorKind::NotConnected.into()),
    }
}

impl AsyncRead for Tunnel {
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

impl AsyncWrite for Tunnel {
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
