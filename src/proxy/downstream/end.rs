//! What the end of a client's bytes means.
//!
//! A FIN behind close_notify says only that the client sends no more (RFC 8446 section 6.1). A
//! client that waits for its answer looks the same as one that has gone. So the wrapper asks: it
//! sends a key update, which a living client swallows and a closed socket answers with a reset.
//! TLS 1.2 has no half-close (RFC 5246 section 7.2.1), and in clear there is nothing to ask with:
//! there the end is the end.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite as _;
use tokio::time::{Instant, Sleep};

use super::Downstream;

/// The first look for the reset that answers a key update; later looks come at twice the pause.
const FIRST_LOOK: Duration = Duration::from_millis(4);
/// The longest pause between two looks.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// The end of the client's bytes.
pub(super) enum End {
    NotYet,
    /// Just seen: a request that came in the same read has its turn to begin first.
    Seen,
    /// The client may be waiting for its answer: looking for a sign that it has gone.
    Looking {
        next: Pin<Box<Sleep>>,
        pause: Duration,
    },
    /// Answered: what is still held goes out first, and a pipelined request may begin.
    Answered(Pin<Box<Sleep>>),
    Reached,
}

impl Downstream {
    pub(super) fn ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.end, End::NotYet) && !self.activity.awaits_answer() {
            self.end = End::Seen;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.activity.awaits_answer() || !self.stream.request_sign_of_life() {
            self.end = End::Reached;
            return Poll::Ready(Ok(()));
        }
        // That it has left is told here, or seen by the look below; a full send buffer delays it.
        if let Poll::Ready(Err(error)) = Pin::new(&mut self.stream).poll_flush(cx) {
            self.end = End::Reached;
            return Poll::Ready(Err(error));
        }
        self.end = End::looking();
        self.poll_look(cx)
    }

    pub(super) fn poll_look(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
                    if self.stream.is_reset() {
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
}

impl End {
    fn looking() -> Self {
        Self::Looking {
            next: Box::pin(tokio::time::sleep(FIRST_LOOK)),
            pause: FIRST_LOOK,
        }
    }
}
