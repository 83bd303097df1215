//! A connection to the application: TCP or Unix socket behind one type.
//!
//! The look: before a pooled connection carries a request that could not be sent twice, the kernel
//! is asked directly whether the application closed it or said something unasked. The runtime's
//! own idea of readiness may be one turn of its loop behind.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connection to the application.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    look: Look,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Asks that the next read look at the socket itself.
#[derive(Debug, Clone, Default)]
pub struct Look(Arc<AtomicBool>);

impl Look {
    /// The next read looks.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Stream {
    /// A TCP connection.
    pub fn tcp(socket: TcpStream) -> Self {
        Self {
            socket: Socket::Tcp(socket),
            look: Look::default(),
        }
    }

    /// A connection over a Unix socket.
    pub fn unix(socket: UnixStream) -> Self {
        Self {
            socket: Socket::Unix(socket),
            look: Look::default(),
        }
    }

    /// The handle by which a look is asked for.
    pub fn look(&self) -> Look {
        self.look.clone()
    }

    /// What the kernel has for us, without taking it: `Ok(false)` means quiet and open.
    fn has_news(&self) -> bool {
        let mut byte = [MaybeUninit::uninit(); 1];
        let peeked = match &self.socket {
            Socket::Tcp(socket) => SockRef::from(socket).peek(&mut byte),
            Socket::Unix(socket) => SockRef::from(socket).peek(&mut byte),
        };
        !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.look.0.load(Ordering::Relaxed) {
            self.look.0.store(false, Ordering::Relaxed);
            if self.has_news() {
                // Closed, broken or unasked bytes: in each case the connection is not used again.
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
        match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
            Socket::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Socket::Unix(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices {
            // A request without a body is one slice, and send(2) is cheaper than writev(2).
            return self.poll_write(cx, only);
        }
        match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Socket::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
