//! What carries a client's bytes: TLS, or on the redirect listener the bare socket.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::tls;

/// The stream below HTTP.
pub(in crate::proxy) enum Transport {
    /// A TLS session.
    Tls(Box<tls::Stream>),
    /// A socket in clear.
    Clear(TcpStream),
}

impl Transport {
    /// The socket itself.
    pub(super) fn into_socket(self) -> TcpStream {
        match self {
            Self::Tls(stream) => stream.into_inner().0.into_inner(),
            Self::Clear(socket) => socket,
        }
    }

    /// Takes no more than `bytes` that the socket does not take.
    pub(super) fn hold_at_most(&mut self, bytes: usize) {
        match self {
            Self::Tls(stream) => tls::hold_at_most(stream, bytes),
            Self::Clear(_) => {}
        }
    }

    /// Asks the client for a reset if it has gone; `false` where there is nothing to ask with.
    pub(super) fn request_sign_of_life(&mut self) -> bool {
        match self {
            Self::Tls(stream) => tls::request_sign_of_life(stream),
            Self::Clear(_) => false,
        }
    }

    /// Ready when the socket has news.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Whatever went wrong is told by the read that follows.
        self.socket().poll_read_ready(cx).map(|_| ())
    }

    /// Whether the client is known to send no more, however much of it has not been read.
    pub(super) fn is_read_closed(&self, cx: &mut Context<'_>) -> bool {
        match pin!(self.socket().ready(Interest::READABLE)).poll(cx) {
            Poll::Ready(Ok(ready)) => ready.is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }

    /// Whether the client's reset has arrived.
    pub(super) fn is_reset(&self) -> bool {
        !matches!(self.socket().take_error(), Ok(None))
    }

    /// The socket, for what is asked of it or said to it.
    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Tls(stream) => tls::socket(stream),
            Self::Clear(socket) => socket,
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Clear(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Clear(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Clear(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Clear(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Clear(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Clear(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
