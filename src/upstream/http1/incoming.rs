//! The body of an answer, taken out of its framing as it is read.
//!
//! Nothing is read ahead: the connection is read when the client wants more, and goes back into the
//! pool with the last byte. Invariant: a body that ends early is an error, never a clean end.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

use super::connection::Connection;
use super::head::BodyFraming;
use crate::message::{Chunks, Unsound};
use crate::net::{Prefixed, Stream};
use crate::upstream::{BoxError, RequestBody, Shared};

/// The body of an answer over HTTP/1.1.
#[derive(Debug)]
pub(in crate::upstream) struct Incoming<B: RequestBody> {
    /// `None` once the connection is back in the pool, gone, or given away.
    link: Option<Link<B>>,
    rest: Rest,
    /// When the head came.
    arrived: Instant,
    /// Whether it has ever had to be waited for since.
    has_waited: bool,
}

/// Read at once at first: most of what comes in pieces comes in small ones.
const FIRST_READ: usize = 16 * 1024;

/// The connection that the body comes on.
#[derive(Debug)]
struct Link<B: RequestBody> {
    connection: Box<Connection<B>>,
    shared: Arc<Shared<B>>,
    /// How long the connection may be kept behind this answer.
    keep: Duration,
    /// What to read at once, as far as there is memory for it: more where the last read was full.
    ahead: usize,
    _permit: OwnedSemaphorePermit,
}

/// What is still to come.
#[derive(Debug)]
enum Rest {
    Nothing,
    Length(u64),
    Chunks(Chunks),
    UntilClose,
}

impl<B: RequestBody> Incoming<B> {
    /// The body that `framing` says comes next on `connection`.
    pub(super) fn new(
        framing: BodyFraming,
        connection: Box<Connection<B>>,
        shared: Arc<Shared<B>>,
        keep: Duration,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        shared.telemetry.metrics.upstream.active.increment();
        let limits = shared.limits.section();
        Self {
            link: Some(Link {
                connection,
                shared,
                keep,
                ahead: FIRST_READ,
                _permit: permit,
            }),
            rest: match framing {
                BodyFraming::Empty => Rest::Nothing,
                BodyFraming::Length(length) => Rest::Length(length),
                BodyFraming::UntilClose => Rest::UntilClose,
                BodyFraming::Chunked => Rest::Chunks(Chunks::new(limits)),
            },
            arrived: Instant::now(),
            has_waited: false,
        }
    }

    pub(in crate::upstream) fn arrived(&self) -> Instant {
        self.arrived
    }

    pub(in crate::upstream) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(link) = &mut self.link else {
            return Poll::Ready(None);
        };
        let polled = match link.connection.poll_upload(|| link.shared.piece(), cx) {
            Ok(()) => match self.rest.poll_frame(link, cx) {
                Poll::Ready(polled) => polled,
                Poll::Pending => {
                    self.has_waited = true;
                    return Poll::Pending;
                }
            },
            Err(error) => Some(Err(error.into())),
        };
        match &polled {
            Some(Err(_)) => self.abandon(),
            _ if self.rest.is_nothing() => self.release(),
            _ => {}
        }
        Poll::Ready(polled)
    }

    pub(in crate::upstream) fn piece(&self) -> Option<usize> {
        self.link.as_ref().map(|link| link.shared.piece())
    }

    pub(in crate::upstream) fn is_end_stream(&self) -> bool {
        self.rest.is_nothing()
    }

    pub(in crate::upstream) fn size_hint(&self) -> SizeHint {
        match self.rest {
            Rest::Nothing => SizeHint::with_exact(0),
            Rest::Length(left) => SizeHint::with_exact(left),
            Rest::Chunks(_) | Rest::UntilClose => SizeHint::default(),
        }
    }

    /// The socket of a connection that has switched, with what had been read beyond the head.
    pub(in crate::upstream) fn into_raw(mut self) -> Option<Prefixed<Stream>> {
        let link = self.let_go()?;
        link.connection.into_raw()
    }

    /// The body is over: the connection goes back to the pool if it is fit for it.
    fn release(&mut self) {
        let Some(mut link) = self.let_go() else {
            return;
        };
        if link.connection.is_at_rest() && !link.keep.is_zero() {
            link.connection.rest();
            // A look at the clock costs as much as reading a head.
            let now = match self.has_waited {
                true => Instant::now(),
                false => self.arrived,
            };
            let until = now + link.keep;
            link.shared.pool.put(link.connection, until);
        }
    }

    /// Nothing more comes, and the connection is closed.
    fn abandon(&mut self) {
        self.let_go();
        self.rest = Rest::Nothing;
    }

    fn let_go(&mut self) -> Option<Link<B>> {
        let link = self.link.take()?;
        link.shared.telemetry.metrics.upstream.active.decrement();
        Some(link)
    }
}

impl<B: RequestBody> Drop for Incoming<B> {
    fn drop(&mut self) {
        if self.rest.is_nothing() {
            // An answer without a body: nobody polled for its end.
            self.release();
        } else {
            self.let_go();
        }
    }
}

impl Rest {
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    fn poll_frame<B: RequestBody>(
        &mut self,
        link: &mut Link<B>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Link {
            connection,
            shared,
            ahead,
            ..
        } = link;
        loop {
            match self.next(connection) {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Err(error) => return Poll::Ready(Some(Err(error))),
                Ok(None) if self.is_nothing() => return Poll::Ready(None),
                Ok(None) => {}
            }
            *ahead = shared.piece().min(*ahead);
            let most = match self {
                Self::Length(left) => usize::try_from(*left).map_or(*ahead, |n| n.min(*ahead)),
                _ => *ahead,
            };
            match (ready!(connection.poll_read(cx, most)), &*self) {
                (Ok(0), Self::UntilClose) => {
                    *self = Self::Nothing;
                    return Poll::Ready(None);
                }
                (Ok(0), _) => {
                    let early = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(Some(Err(early.into())));
                }
                (Ok(n), _) if n >= *ahead => *ahead *= 2,
                (Ok(n), _) => *ahead = (*ahead / 2).max(n).max(FIRST_READ),
                (Err(error), _) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// What has been read of the body.
    fn next<B: RequestBody>(
        &mut self,
        connection: &mut Connection<B>,
    ) -> Result<Option<Frame<Bytes>>, BoxError> {
        let here = connection.unread().len();
        match self {
            Self::Nothing => Ok(None),
            Self::Length(_) | Self::UntilClose if here == 0 => Ok(None),
            Self::Length(left) => {
                let n = usize::try_from(*left).map_or(here, |left| left.min(here));
                *left -= n as u64;
                if *left == 0 {
                    *self = Self::Nothing;
                }
                Ok(Some(Frame::data(connection.unread().take(n))))
            }
            Self::UntilClose => Ok(Some(Frame::data(connection.unread().take(here)))),
            Self::Chunks(chunks) => {
                let frame = chunks
                    .next(connection.unread())
                    .map_err(|Unsound| "the chunked body is not well-formed")?;
                if chunks.is_over() {
                    *self = Self::Nothing;
                }
                Ok(frame)
            }
        }
    }
}
