//! One HTTP/1.1 connection to the application: a request out, an answer in.
//!
//! It has no task of its own: whoever awaits an answer or reads its body drives it. Reading and
//! writing go on side by side, because an application may answer before it has read all. Invariant: a
//! connection that holds a byte nobody has asked for is not used again.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;

use super::head::{Head, Scanner};
use super::outgoing::Outgoing;
use crate::message::Read;
use crate::net::{Prefixed, Stream};
use crate::syntax::Limits;
use crate::upstream::{Error, RequestBody};

/// Room for the first read of an answer: most are read whole.
const FIRST_READ: usize = 16 * 1024;

/// One connection, driven by whoever uses it.
#[derive(Debug)]
pub(in crate::upstream) struct Connection<B> {
    stream: Stream,
    limits: Limits,
    read: Read,
    /// The head of the answer that is awaited; not in the exchange, which is moved.
    head: Scanner,
    /// What is not yet written, until all of it is.
    outgoing: Option<Box<Outgoing<B>>>,
}

/// An exchange that brought no answer.
#[derive(Debug)]
pub(super) struct Failed<B> {
    pub(super) error: Error,
    pub(super) outgoing: Box<Outgoing<B>>,
    /// The connection ended without a byte of an answer.
    pub(super) is_silence: bool,
}

impl<B: RequestBody> Connection<B> {
    pub(super) fn new(mut stream: Stream, limits: Limits) -> Self {
        stream.read_before_failing();
        Self {
            stream,
            limits,
            read: Read::default(),
            head: Scanner::default(),
            outgoing: None,
        }
    }

    /// Sends `outgoing` and waits for the head of the answer.
    ///
    /// # Errors
    /// Why there is none, with the request.
    pub(super) async fn exchange(
        &mut self,
        mut outgoing: Box<Outgoing<B>>,
    ) -> Result<Head, Failed<B>> {
        let mut has_begun = false;
        let answer = poll_fn(|cx| self.poll_head(&mut outgoing, &mut has_begun, cx)).await;
        match answer {
            Ok(head) => {
                self.outgoing = (!outgoing.is_out()).then_some(outgoing);
                Ok(head)
            }
            Err(error) => Err(Failed {
                is_silence: !has_begun && matches!(error, Error::Closed(_)),
                error,
                outgoing,
            }),
        }
    }

    /// Writes the request and reads the head of its answer; interim heads are passed over.
    fn poll_head(
        &mut self,
        outgoing: &mut Outgoing<B>,
        has_begun: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, Error>> {
        loop {
            if let Poll::Ready(Err(error)) = outgoing.poll_write(&mut self.stream, cx) {
                return Poll::Ready(Err(error));
            }
            while let Some(head) = self.next_head(outgoing.is_head())? {
                if !head.is_interim() {
                    return Poll::Ready(Ok(head));
                }
                if head.response.status == StatusCode::CONTINUE {
                    outgoing.go_on();
                }
            }
            match ready!(self.poll_read(cx, FIRST_READ)) {
                Ok(0) => return Poll::Ready(Err(Error::Closed("no whole answer came".into()))),
                Ok(_) => *has_begun = true,
                Err(error) => return Poll::Ready(Err(Error::Closed(error.into()))),
            }
        }
    }

    /// The head that was read, if it is whole.
    fn next_head(&mut self, is_to_head: bool) -> Result<Option<Head>, Error> {
        if self.read.is_empty() {
            return Ok(None);
        }
        let Some((n, head)) = self.head.scan(&self.read, self.limits, is_to_head)? else {
            return Ok(None);
        };
        self.read.skip(n);
        Ok(Some(head))
    }

    /// Writes what is left of the request, up to about `most` bytes at once.
    ///
    /// # Errors
    /// When its body fails.
    pub(super) fn poll_upload(
        &mut self,
        most: impl FnOnce() -> usize,
        cx: &mut Context<'_>,
    ) -> Result<(), Error> {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.gather(most());
            if outgoing.poll_write(&mut self.stream, cx)?.is_ready() {
                self.outgoing = None;
            }
        }
        Ok(())
    }

    /// Reads up to about `most` bytes more; 0 is the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        self.read.poll_more(Pin::new(&mut self.stream), cx, most)
    }

    /// What was read and not taken yet.
    pub(super) fn unread(&mut self) -> &mut Read {
        &mut self.read
    }

    /// Whether another request may be sent on it once the answer is over.
    pub(super) fn is_at_rest(&self) -> bool {
        self.read.is_empty() && self.outgoing.is_none()
    }

    /// Gives back what only an exchange needs.
    pub(super) fn rest(&mut self) {
        self.read.shrink(FIRST_READ);
    }

    /// Whether the application has neither closed it nor said anything since it was put to rest.
    pub(super) fn is_quiet(&self, look: Look) -> bool {
        match look {
            Look::Known => self.stream.is_quiet(),
            Look::Now => !self.stream.has_news(),
        }
    }

    /// The socket behind a granted switch, with what had been read beyond it; `None` when the request
    /// is not out: the rest of it would be taken for the other protocol.
    pub(super) fn into_raw(self) -> Option<Prefixed<Stream>> {
        let is_out = self.outgoing.is_none();
        is_out.then(|| Prefixed::new(self.read.into_rest(), self.stream))
    }
}

/// How closely a pooled connection is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// By what the runtime knows, which was true when it last looked at its sockets.
    Known,
    /// By asking the kernel, a system call.
    Now,
}
