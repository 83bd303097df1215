//! A socket whose first bytes are looked at on their way into TLS.
//!
//! HTTP in clear must be seen before rustls sees it, because rustls answers garbage with an alert
//! record and the readable answer would come after that. Costs a branch per read and no call.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that remembers whether anything arrived and refuses HTTP in clear.
#[derive(Debug)]
pub struct Sniffed<S> {
    inner: S,
    first: FirstBytes,
}

/// Whether the peer has sent anything yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstBytes {
    /// Not a byte.
    None,
    /// At least one.
    Some,
}

/// The first byte is an upper-case letter: no TLS record and no SSLv2 hello begins so, every HTTP
/// request line does.
#[derive(Debug)]
pub struct NotTls;

impl fmt::Display for NotTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain HTTP on the TLS port")
    }
}

impl std::error::Error for NotTls {}

impl<S> Sniffed<S> {
    /// Looks at what `inner` reads first.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            first: FirstBytes::None,
        }
    }

    /// Whether the peer has sent anything yet.
    pub fn first_bytes(&self) -> FirstBytes {
        self.first
    }

    /// The socket itself.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// The socket itself, to ask it things.
    pub fn socket(&self) -> &S {
        &self.inner
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Sniffed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first == FirstBytes::Some {
            return Pin::new(&mut self.inner).poll_read(cx, buffer);
        }
        let start = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        if let Some(first) = buffer.filled().get(start) {
            self.first = FirstBytes::Some;
            if first.is_ascii_uppercase() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, NotTls)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sniffed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // One TLS record is one slice, and send(2) is cheaper than writev(2).
        match slices {
            [only] => Pin::new(&mut self.inner).poll_write(cx, only),
            _ => Pin::new(&mut self.inner).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
