//! Answers on their way: heads, pieces and trailers as frames, as far as windows allow.
//!
//! The next piece of an answer is asked for when nothing is left of the last: what a client does not
//! take, the application does not get rid of. Invariant: a frame is never larger than its client takes.

use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderMap, StatusCode};
use http_body::Body as _;

use super::frame::{self, END_STREAM};
use super::head::OF_CONNECTION;
use super::output::Output;
use super::stream::AnswerHalf;
use super::window::{self, SendWindow};
use crate::fields::{Field, name};
use crate::hpack::Encoder;
use crate::message::Response;
use crate::proxy::body::ResponseBody;
use crate::proxy::date;
use crate::syntax::may_have_body;
use crate::upstream::BoxError;

/// What a stream may write in one turn while others wait for theirs.
const A_TURN: usize = 64 * 1024;

/// What is sent on one connection.
pub(super) struct Sender {
    pub(super) output: Output,
    pub(super) encoder: Encoder,
    /// For all streams together.
    pub(super) window: SendWindow,
    /// A header block, before its length is known.
    block: Vec<u8>,
}

/// How far an answer has come.
#[derive(Debug)]
pub(super) enum Sent {
    /// All of it is written.
    Over,
    /// For the next piece.
    Waits,
    /// For a window.
    Blocked,
    /// For its next turn.
    HasMore,
    /// There will be no more of it.
    Failed(BoxError),
}

impl Sender {
    pub(super) fn new() -> Self {
        Self {
            output: Output::default(),
            encoder: Encoder::new(),
            window: SendWindow::new(window::INITIAL),
            block: Vec::new(),
        }
    }

    /// Writes the head of `response`, and makes of its body what `answer` sends.
    pub(super) fn begin(
        &mut self,
        id: u32,
        answer: &mut AnswerHalf,
        response: Response<ResponseBody>,
    ) {
        let Response {
            status,
            mut fields,
            body,
            ..
        } = response;
        let has_body = !answer.is_head && may_have_body(status) && !body.is_end_stream();
        self.block.clear();
        self.encoder.status(status, &mut self.block);
        if has_body
            && !fields.has(name::CONTENT_LENGTH)
            && let Some(length) = body.size_hint().exact()
        {
            fields.append_number(name::CONTENT_LENGTH, length);
        }
        let (encoder, block) = (&mut self.encoder, &mut self.block);
        // Not even where the operator's policy has them set.
        fields.remove_any(&OF_CONNECTION);
        for field in fields.iter() {
            encoder.field(field, block);
        }
        if !fields.has(name::DATE) {
            let now = body.answered().unwrap_or_else(Instant::now);
            date::with(now, |date| {
                encoder.field(Field::new(name::DATE, date.into()), block);
            });
        }
        let end = if has_body { 0 } else { END_STREAM };
        self.output.headers(id, end, &self.block);
        answer.is_over = !has_body;
        answer.body = has_body.then_some(body);
    }

    /// Tells the client that its body is wanted (RFC 9110 section 15.2.1).
    pub(super) fn go_on(&mut self, id: u32) {
        self.block.clear();
        self.encoder.status(StatusCode::CONTINUE, &mut self.block);
        self.output.headers(id, 0, &self.block);
    }

    /// Writes what there is of an answer's body, while less than `most` bytes wait to be written.
    pub(super) fn go_ahead(
        &mut self,
        id: u32,
        answer: &mut AnswerHalf,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Sent {
        let end_of_turn = self.output.len().saturating_add(A_TURN);
        loop {
            if answer.piece.is_empty() && !answer.is_last {
                match poll_piece(answer, cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Sent::Failed(error),
                    Poll::Pending => return Sent::Waits,
                }
            }
            if answer.piece.is_empty() {
                if !answer.is_last {
                    continue;
                }
                self.end(id, answer);
                return Sent::Over;
            }
            if self.output.len() >= most.min(end_of_turn) {
                return Sent::HasMore;
            }
            let n = answer.piece.len().min(frame::LARGEST);
            let n = answer.window.allows(self.window.allows(n));
            if n == 0 {
                if let Some(body) = &mut answer.body {
                    body.wait_for_client();
                }
                return Sent::Blocked;
            }
            answer.window.sent(n);
            self.window.sent(n);
            let part = answer.piece.split_to(n);
            let is_end = answer.is_last && answer.piece.is_empty() && answer.trailers.is_none();
            let flags = if is_end { END_STREAM } else { 0 };
            self.output.data(id, flags, part);
            if is_end {
                return Sent::Over;
            }
        }
    }

    /// Ends an answer of which every piece is written.
    fn end(&mut self, id: u32, answer: &mut AnswerHalf) {
        match answer.trailers.take() {
            Some(trailers) if !trailers.is_empty() => self.trailers(id, &trailers),
            _ => self.output.data(id, END_STREAM, bytes::Bytes::new()),
        }
    }

    fn trailers(&mut self, id: u32, trailers: &HeaderMap) {
        self.block.clear();
        self.encoder.begin(&mut self.block);
        for field in trailers.into_iter().map(Field::from) {
            self.encoder.field(field, &mut self.block);
        }
        self.output.headers(id, END_STREAM, &self.block);
    }

    /// Gives back what memory is not in use.
    pub(super) fn shrink(&mut self) {
        self.output.shrink();
        self.block = Vec::new();
    }
}

/// Asks for the next piece of an answer.
fn poll_piece(answer: &mut AnswerHalf, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
    let Some(body) = &mut answer.body else {
        answer.is_last = true;
        return Poll::Ready(Ok(()));
    };
    let polled = std::pin::Pin::new(&mut *body).poll_frame(cx);
    match std::task::ready!(polled) {
        None => answer.is_last = true,
        Some(Err(error)) => return Poll::Ready(Err(error)),
        Some(Ok(frame)) => match frame.into_data() {
            Ok(data) => {
                answer.is_last = body.is_end_stream();
                answer.piece = data;
            }
            Err(frame) => {
                answer.is_last = true;
                answer.trailers = frame.into_trailers().ok();
            }
        },
    }
    Poll::Ready(Ok(()))
}
