//! The client's stream as the protocols see it.
//!
//! Reads and writes are reported to the connection's timers, a client that takes no data is cut, one
//! whose uploads take too much memory is not read, and what the end of a client's bytes means is known in
//! [`end`]. The rest goes straight through.

mod end;
mod gather;
mod http2;
mod transport;

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::Worker;
use super::activity::Activity;
use end::End;
use gather::Gather;
use http2::Http2Reader;
pub(super) use transport::Transport;

/// The content of a TLS record at most (RFC 8446 section 5.1).
const RECORD: usize = 16 * 1024;

/// The client's stream as the protocols see it.
pub(super) struct Downstream {
    stream: Transport,
    activity: Arc<Activity>,
    reader: Reader,
    worker: Arc<Worker>,
    stalled: Option<Pin<Box<Sleep>>>,
    is_stalled: bool,
    /// Nothing that was written waits for the socket.
    is_flushed: bool,
    end: End,
    gather: Gather,
}

/// How the bytes that arrive are read.
pub(super) enum Reader {
    /// HTTP/2: as memory allows.
    Http2(Http2Reader),
    /// As they come.
    Raw,
}

impl Downstream {
    /// Boxed, because it changes hands: each future that has had it keeps room for it.
    pub(super) fn new(
        stream: Transport,
        activity: Arc<Activity>,
        worker: Arc<Worker>,
        reader: Reader,
    ) -> Box<Self> {
        Box::new(Self {
            stream,
            activity,
            reader,
            worker,
            stalled: None,
            is_stalled: false,
            is_flushed: true,
            end: End::NotYet,
            gather: Gather::default(),
        })
    }

    /// The socket below, for what can only be done to a socket.
    pub(super) fn into_socket(self) -> TcpStream {
        self.stream.into_socket()
    }

    /// What the stream has; nothing added is the end.
    fn poll_stream(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.end {
            End::NotYet => {}
            End::Seen => return self.ended(cx),
            End::Looking { .. } | End::Answered(_) => return self.poll_look(cx),
            End::Reached => return Poll::Ready(Ok(())),
        }
        let before = buffer.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) else {
            self.gather.wait(self.stream.socket(), cx);
            return Poll::Pending;
        };
        read?;
        let n = buffer.filled().len() - before;
        if n == 0 {
            return self.ended(cx);
        }
        self.gather.read(self.stream.socket(), n);
        Poll::Ready(Ok(()))
    }

    /// At least `left` bytes of an upload are still to come, of which about `most` may be gathered before
    /// they are read.
    pub(super) fn expect(&mut self, left: u64, most: usize) {
        self.gather.expect(self.stream.socket(), left, most);
    }

    /// Ready when there may be something to read, or the client has gone.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_readable(cx)
    }

    /// A flush does not count: what it writes was counted when it was taken.
    fn count_written(&self, polled: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(n)) = polled {
            self.activity.wrote(*n);
        }
    }

    /// Keeps the clock of a write that cannot go on.
    fn watch_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(result) => {
                self.is_stalled = false;
                Poll::Ready(result)
            }
            Poll::Pending => {
                let deadline = Instant::now() + self.worker.policy.http.send_timeout;
                let timer = self
                    .stalled
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
                if !self.is_stalled {
                    self.is_stalled = true;
                    timer.as_mut().reset(deadline);
                }
                ready!(timer.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl Reader {
    /// For HTTP/2.
    pub(super) fn http2() -> Self {
        Self::Http2(Http2Reader::default())
    }
}

impl AsyncRead for Downstream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.activity.is_cut() {
            return Poll::Ready(Ok(()));
        }
        match self.reader {
            Reader::Http2(_) => self.poll_http2(cx, buffer),
            Reader::Raw => self.poll_stream(cx, buffer),
        }
    }
}

impl AsyncWrite for Downstream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.is_flushed = false;
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count_written(&polled);
        self.watch_write(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_flushed && slices.iter().map(|slice| slice.len()).sum::<usize>() > RECORD {
            // What is taken here waits as TLS records until the socket takes it. Never more while
            // some of it does: that would pass for a client that takes data.
            let piece = self.worker.upstream.piece();
            self.stream.hold_at_most(piece);
        }
        self.is_flushed = false;
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.count_written(&polled);
        self.watch_write(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.is_flushed |= matches!(polled, Poll::Ready(Ok(())));
        self.watch_write(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        self.poll_linger(cx).map(Ok)
    }
}
