//! A connection to the application: TCP or Unix socket behind one type.
//!
//! The look: before a pooled connection carries a request that could not be sent twice, the kernel
//! is asked directly whether the application closed it or said something unasked. The runtime's
//! own idea of readiness may be one turn of its loop behind.
//!
//! An application may answer before it has read all and then close, which resets the connection
//! under the rest of the request. The answer is still there to be read, so a failed write only
//! waits, and who reads learns of the failure behind the last byte.

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
    /// Whether somebody reads, and would learn of a failed write.
    is_read: bool,
    /// Why nothing can be written any more.
    deaf: Option<io::ErrorKind>,
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
            is_read: false,
            deaf: None,
        }
    }

    /// A connection over a Unix socket.
    pub fn unix(socket: UnixStream) -> Self {
        Self {
            socket: Socket::Unix(socket),
            look: Look::default(),
            is_read: false,
            deaf: None,
        }
    }

    /// The handle by which a look is asked for.
    pub fn look(&self) -> Look {
        self.look.clone()
    }

    /// A write that failed because nobody listens waits from now on.
    fn heard(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Ready(Err(error))
                if self.is_read
                    && matches!(
                        error.kind(),
                        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                    ) =>
            {
                self.deaf = Some(error.kind());
                Poll::Pending
            }
            polled => polled,
        }
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
        self.is_read = true;
        let before = buffer.filled().len();
        let polled = match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_read(cx, buffer),
            Socket::Unix(socket) => Pin::new(socket).poll_read(cx, buffer),
        };
        match (polled, self.deaf) {
            // The failed write took the socket's error with it: this is no clean end.
            (Poll::Ready(Ok(())), Some(kind)) if buffer.filled().len() == before => {
                Poll::Ready(Err(kind.into()))
            }
            (polled, _) => polled,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.deaf.is_some() {
            return Poll::Pending;
        }
        let polled = match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::Unix(socket) => Pin::new(socket).poll_write(cx, bytes),
        };
        self.heard(polled)
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
        if self.deaf.is_some() {
            return Poll::Pending;
        }
        let polled = match &mut self.socket {
            Socket::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Socket::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
        };
        self.heard(polled)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
