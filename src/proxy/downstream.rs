//! The TLS stream as hyper sees it.
//!
//! Reports reads and writes to the connection's timers, cuts a client that takes no data, and
//! knows what the end of a client's bytes means (below). Everything else goes straight through.
//!
//! A FIN behind close_notify says only that the client sends no more (RFC 8446 section 6.1). A
//! client that waits for its answer looks the same as one that has gone. So the wrapper asks: it
//! sends a key update, which a living client swallows and a closed socket answers with a reset.
//! TLS 1.2 has no half-close (RFC 5246 section 7.2.1): there the end is the end.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::activity::Activity;
use crate::tls;

/// The first look for the reset that answers a key update; later looks come at twice the pause.
const FIRST_LOOK: Duration = Duration::from_millis(4);
/// The longest pause between two looks.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// The TLS stream as hyper sees it.
pub(super) struct Downstream {
    stream: Box<tls::Stream>,
    activity: Arc<Activity>,
    send_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    is_stalled: bool,
    end: End,
}

/// The end of the client's bytes.
enum End {
    NotYet,
    /// Just seen: a request that came in the same read has its turn to begin first.
    Seen,
    /// The client may be waiting for its answer: looking for a sign that it has gone.
    Looking {
        next: Pin<Box<Sleep>>,
        pause: Duration,
    },
    /// Answered: what hyper still holds goes out first, and a pipelined request may begin.
    Answered(Pin<Box<Sleep>>),
    Reached,
}

impl Downstream {
    pub(super) fn new(
        stream: Box<tls::Stream>,
        activity: Arc<Activity>,
        send_timeout: Duration,
    ) -> Self {
        Self {
            stream,
            activity,
            send_timeout,
            stalled: None,
            is_stalled: false,
            end: End::NotYet,
        }
    }

    /// The socket below TLS, for what can only be done to a socket.
    pub(super) fn into_socket(self) -> TcpStream {
        let (socket, _) = self.stream.into_inner();
        socket.into_inner()
    }

    fn ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.end, End::NotYet) && !self.activity.awaits_answer() {
            self.end = End::Seen;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.activity.awaits_answer() || !tls::request_sign_of_life(&mut self.stream) {
            self.end = End::Reached;
            return Poll::Ready(Ok(()));
        }
        // Whether it left is seen by the look below; a full send buffer only delays it.
        let _ = Pin::new(&mut self.stream).poll_flush(cx);
        self.end = End::looking();
        self.poll_look(cx)
    }

    fn poll_look(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.end {
                End::Looking { .. } if !self.activity.awaits_answer() => {
                    let next = Box::pin(tokio::time::sleep(FIRST_LOOK));
                    self.end = End::Answered(next);
                }
                End::Looking { next, pause } => {
                    ready!(next.as_mut().poll(cx));
                    *pause = (*pause * 2).min(LAST_LOOK);
                    next.as_mut().reset(Instant::now() + *pause);
                    if tls::is_reset(&self.stream) {
                        self.end = End::Reached;
                        return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                    }
                }
                End::Answered(next) => {
                    ready!(next.as_mut().poll(cx));
                    if self.activity.awaits_answer() {
                        self.end = End::looking();
                    } else if self.is_stalled {
                        next.as_mut().reset(Instant::now() + LAST_LOOK);
                    } else {
                        self.end = End::Reached;
                    }
                }
                End::NotYet | End::Seen | End::Reached => return Poll::Ready(Ok(())),
            }
        }
    }

    /// A flush does not count: hyper flushes whenever it looks, also when nothing waits.
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
                let deadline = Instant::now() + self.send_timeout;
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

impl End {
    fn looking() -> Self {
        Self::Looking {
            next: Box::pin(tokio::time::sleep(FIRST_LOOK)),
            pause: FIRST_LOOK,
        }
    }
}

impl AsyncRead for Downstream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.activity.is_cut() {
            return Poll::Ready(Ok(()));
        }
        match this.end {
            End::NotYet => {}
            End::Seen => return this.ended(cx),
            End::Looking { .. } | End::Answered(_) => return this.poll_look(cx),
            End::Reached => return Poll::Ready(Ok(())),
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() == before {
            return this.ended(cx);
        }
        this.activity.read();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Downstream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.count_written(&polled);
        self.watch_write(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.count_written(&polled);
        self.watch_write(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch_write(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
