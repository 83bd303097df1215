//! A connection to the application: TCP or Unix socket behind one type.
//!
//! The look: before a pooled connection carries a request, the runtime is asked whether the
//! application closed it or said something unasked, which costs no system call; before one that could
//! not be sent twice, the kernel. The runtime's idea may be one turn of its loop behind.
//!
//! An application may answer before it has read all and then close, which resets the connection
//! under the rest of the request. The answer is still there to be read, so a failed write only
//! waits, and who reads learns of the failure behind the last byte.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connection to the application.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
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

impl Stream {
    /// A TCP connection.
    pub fn tcp(socket: TcpStream) -> Self {
        Self {
            socket: Socket::Tcp(socket),
            is_read: false,
            deaf: None,
        }
    }

    /// A connection over a Unix socket.
    pub fn unix(socket: UnixStream) -> Self {
        Self {
            socket: Socket::Unix(socket),
            is_read: false,
            deaf: None,
        }
    }

    /// Whoever has the stream reads it: a failed write is told behind the last byte that can be read.
    pub fn read_before_failing(&mut self) {
        self.is_read = true;
    }

    /// Whether the runtime knows neither of anything to read nor of an end.
    pub fn is_quiet(&self) -> bool {
        let look = || match self.has_news() {
            true => Ok(()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        };
        // Only where something may have come is the kernel asked.
        let news = match &self.socket {
            Socket::Tcp(socket) => socket.try_io(Interest::READABLE, look),
            Socket::Unix(socket) => socket.try_io(Interest::READABLE, look),
        };
        matches!(news, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
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

    /// Whether the kernel has bytes, an end or an error for us, which stay where they are.
    pub fn has_news(&self) -> bool {
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
