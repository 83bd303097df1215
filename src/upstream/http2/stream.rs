//! One stream: a request that goes, and its answer that comes (RFC 9113 section 5.1).

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

use super::failure::Failure;
use crate::http2::pieces::Pieces;
use crate::http2::sending::SendHalf;
use crate::http2::streams::State;
use crate::http2::window::{ReceiveWindow, SendWindow};
use crate::message::{Request, Response};
use crate::upstream::{BoxError, OnContinue, RequestBody};

/// A request that goes, and its answer that comes.
#[derive(Debug)]
pub(super) struct Exchange<B> {
    pub(super) request: SendHalf<Upload<B>>,
    pub(super) answer: Answer,
    /// Told of 100 (Continue).
    pub(super) on_continue: Option<OnContinue>,
    /// Where it is in the output.
    pub(super) place: u64,
    /// Its head, as long as its body may have to go with it once more.
    pub(super) kept: Option<Request<B>>,
    /// Its body, where all of it may be sent once more: nothing of it was begun with.
    pub(super) unsent: Option<B>,
    /// The method was HEAD.
    pub(super) is_head: bool,
    /// Whether there is no body.
    pub(super) is_whole: bool,
    /// Whether somebody awaits the answer, or has it.
    pub(super) is_held: bool,
    /// Whether the application counts it no more among those that are open.
    pub(super) is_closed: bool,
    reader: Waiter,
    writer: Waiter,
}

/// What gives the pieces of a request.
#[derive(Debug)]
pub(super) enum Upload<B> {
    /// A body, and whether anything of it was taken.
    Body(B, bool),
    /// Whoever has the stream writes them.
    Raw,
}

/// What comes from the application.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Until somebody has taken it.
    pub(super) head: Option<(Response<()>, Instant)>,
    /// Whether there was one.
    pub(super) is_begun: bool,
    pub(super) pieces: Pieces,
    pub(super) trailers: Option<HeaderMap>,
    /// Bytes of a declared length that have not come yet.
    pub(super) left: Option<u64>,
    pub(super) window: ReceiveWindow,
    pub(super) end: End,
}

/// What comes behind what waits.
#[derive(Debug, Default)]
pub(super) enum End {
    #[default]
    Open,
    Over,
    /// Why there is no clean end, until somebody was told.
    Failed(Option<Failure>),
}

/// Somebody who waits for something to happen on a stream.
#[derive(Debug, Default)]
struct Waiter {
    waker: Option<Waker>,
    is_waiting: bool,
}

impl Waiter {
    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        self.is_waiting = true;
    }

    fn wake(&mut self) {
        if std::mem::take(&mut self.is_waiting)
            && let Some(waker) = &self.waker
        {
            waker.wake_by_ref();
        }
    }
}

impl<B> Default for Exchange<B> {
    fn default() -> Self {
        Self {
            request: SendHalf::default(),
            answer: Answer::default(),
            on_continue: None,
            place: 0,
            kept: None,
            unsent: None,
            is_head: false,
            is_whole: false,
            is_held: false,
            is_closed: false,
            reader: Waiter::default(),
            writer: Waiter::default(),
        }
    }
}

impl<B> State for Exchange<B> {
    fn clear(&mut self) {
        *self = Self::default();
    }

    fn window(&mut self) -> &mut SendWindow {
        &mut self.request.window
    }

    fn is_blocked(&self) -> bool {
        !self.request.piece.is_empty()
    }
}

impl<B> Exchange<B> {
    /// Something has come.
    pub(super) fn tell_reader(&mut self) {
        self.reader.wake();
    }

    /// Whether both sides have said all.
    pub(super) fn is_done(&self) -> bool {
        self.request.is_over && !self.answer.is_open()
    }

    /// No more comes and no more goes; whoever waits is told of `failure` behind what had come. Whether
    /// the application can have seen anything of the request is told by `is_unsent`.
    pub(super) fn fail(&mut self, failure: Failure, is_unsent: bool)
    where
        B: Default,
    {
        let is_lost = matches!(failure, Failure::Connection(_)) && is_unsent;
        let body = std::mem::take(&mut self.request).body;
        if failure.is_unprocessed() || is_lost {
            self.unsent = match body {
                Some(Upload::Body(body, false)) => Some(body),
                _ => self.is_whole.then(B::default),
            };
        }
        self.request.is_over = true;
        self.on_continue = None;
        if self.answer.is_open() {
            self.answer.end = End::Failed(Some(failure));
        }
        self.reader.wake();
        self.writer.wake();
    }

    /// Takes the head of the answer.
    pub(super) fn poll_head(
        &mut self,
        cx: &Context<'_>,
    ) -> Poll<Result<(Response<()>, Instant), Failure>> {
        if let Some(head) = self.answer.head.take() {
            return Poll::Ready(Ok(head));
        }
        match &mut self.answer.end {
            End::Open => {
                self.reader.wait(cx);
                Poll::Pending
            }
            End::Over => Poll::Ready(Err(UNHEARD_OF)),
            End::Failed(failure) => Poll::Ready(Err(failure.take().unwrap_or(UNHEARD_OF))),
        }
    }

    /// Takes the next of the answer's body.
    pub(super) fn poll_frame(
        &mut self,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let answer = &mut self.answer;
        if let Some(piece) = answer.pieces.pop() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match &mut answer.end {
            End::Open => {
                self.reader.wait(cx);
                Poll::Pending
            }
            End::Over => Poll::Ready(answer.trailers.take().map(|t| Ok(Frame::trailers(t)))),
            End::Failed(failure) => {
                let failure = failure.take().unwrap_or(UNHEARD_OF);
                Poll::Ready(Some(Err(failure.into_body_error())))
            }
        }
    }

    /// Takes what is to be sent on a stream that has left HTTP; how much of it.
    pub(super) fn poll_raw(&mut self, bytes: &[u8], cx: &Context<'_>) -> Poll<Option<usize>> {
        if !self.request.is_open() || self.request.is_last {
            return Poll::Ready(None);
        }
        if !self.request.piece.is_empty() {
            self.writer.wait(cx);
            return Poll::Pending;
        }
        self.request.piece = Bytes::copy_from_slice(bytes);
        Poll::Ready(Some(bytes.len()))
    }

    /// Whoever sends raw bytes may go on.
    pub(super) fn tell_writer(&mut self) {
        if self.request.piece.is_empty() {
            self.writer.wake();
        }
    }

    /// Whether something of the body was taken.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.request.body, Some(Upload::Body(_, false)))
    }

    /// Whether bytes come from nobody but whoever has the stream.
    pub(super) fn is_raw(&self) -> bool {
        matches!(self.request.body, Some(Upload::Raw)) && !self.request.is_last
    }
}

/// For whoever asks again behind a failure.
const UNHEARD_OF: Failure = Failure::Unsound("nothing more comes");

impl Answer {
    /// Whether more may come.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.end, End::Open)
    }

    /// Whether nobody will be given any more.
    pub(super) fn is_out(&self) -> bool {
        matches!(self.end, End::Over) && self.pieces.is_empty() && self.trailers.is_none()
    }

    /// Bytes of a declared length that nobody was given yet.
    pub(super) fn rest(&self) -> Option<u64> {
        self.left.map(|left| left + self.pieces.len() as u64)
    }
}

impl<B: RequestBody> Body for Upload<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Body(body, is_begun) => {
                let polled = Pin::new(body).poll_frame(cx);
                *is_begun |= polled.is_ready();
                polled
            }
            Self::Raw => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Body(body, _) => body.is_end_stream(),
            Self::Raw => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::frame::Reason;
    use crate::upstream::http2::failure::Ended;

    /// What is given back of a request with this body that failed.
    fn given_back(
        body: Option<Upload<&'static str>>,
        failure: Failure,
        is_unsent: bool,
    ) -> Option<&'static str> {
        let mut exchange = Exchange {
            is_whole: body.is_none(),
            ..Exchange::default()
        };
        exchange.request.body = body;
        exchange.fail(failure, is_unsent);
        assert!(exchange.request.is_over && !exchange.answer.is_open());
        exchange.unsent
    }

    #[test]
    fn only_what_nobody_has_begun_with_is_given_back() {
        let closed = || Failure::Connection(Ended::Closed);
        let untouched = || Some(Upload::Body("body", false));
        let begun = || Some(Upload::Body("body", true));
        let refused = || Failure::Reset(Reason::REFUSED_STREAM);
        for (body, failure, is_unsent, expected) in [
            (untouched(), closed(), true, Some("body")),
            (untouched(), closed(), false, None),
            (untouched(), Failure::Unprocessed, false, Some("body")),
            (untouched(), refused(), false, Some("body")),
            (untouched(), Failure::Reset(Reason::CANCEL), false, None),
            (untouched(), Failure::TooLarge, false, None),
            (begun(), closed(), true, None),
            (begun(), refused(), false, None),
            (None, refused(), false, Some("")),
            (None, closed(), true, Some("")),
            (None, closed(), false, None),
            (Some(Upload::Raw), refused(), false, None),
        ] {
            let case = format!("{body:?} {failure:?} {is_unsent}");
            assert_eq!(given_back(body, failure, is_unsent), expected, "{case}");
        }
    }
}
