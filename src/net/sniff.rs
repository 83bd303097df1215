//! A socket whose first bytes are looked at on their way into TLS.
//!
//! HTTP in clear must be seen before rustls sees it, because rustls answers garbage with an alert
//! record and the readable answer would come after that; an alert, because rustls would wait. Costs a branch per read and no call.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket that remembers whether anything arrived and refuses what needs no TLS to be refused.
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

/// What the first byte says that it is, and TLS is not to be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTls {
    /// An upper-case letter: no TLS record and no SSLv2 hello begins so, every HTTP request line
    /// does.
    PlainHttp,
    /// An alert before there is anything to be alerted about. rustls passes over a warning and
    /// waits, also behind a close_notify, after which nothing can come.
    Alert,
}

/// The content type of an alert record (RFC 8446 section 5.1).
const ALERT: u8 = 21;

impl NotTls {
    fn of(first: u8) -> Option<Self> {
        match first {
            b'A'..=b'Z' => Some(Self::PlainHttp),
            ALERT => Some(Self::Alert),
            _ => None,
        }
    }
}

impl fmt::Display for NotTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PlainHttp => "plain HTTP on the TLS port",
            Self::Alert => "an alert before the hello",
        })
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
            if let Some(other) = NotTls::of(*first) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, other)));
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
