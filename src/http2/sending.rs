//! Bodies on their way: pieces and trailers as frames, as far as windows allow.
//!
//! The next piece of a body is asked for when nothing is left of the last: what a peer does not take, whoever
//! makes the body does not get rid of. Invariant: a frame is never larger than its peer takes.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;

use super::frame::{self, END_STREAM};
use super::output::Output;
use super::window::{self, SendWindow};
use crate::fields::Field;
use crate::hpack::Encoder;

/// What a stream may write in one turn while others wait for theirs.
const A_TURN: usize = 64 * 1024;

/// What is sent on one connection.
#[derive(Debug)]
pub struct Sender {
    /// What waits to be written.
    pub output: Output,
    /// For header blocks, in the order in which they are written.
    pub encoder: Encoder,
    /// For all streams together.
    pub window: SendWindow,
    /// A header block, before its length is known.
    block: Vec<u8>,
}

/// What is sent on one stream.
#[derive(Debug)]
pub struct SendHalf<T> {
    /// What its peer takes.
    pub window: SendWindow,
    /// What gives the pieces, from the head on to the end.
    pub body: Option<T>,
    /// What was given and is not written yet.
    pub piece: Bytes,
    trailers: Option<HeaderMap>,
    /// Nothing comes behind the piece and the trailers.
    pub is_last: bool,
    /// All of it is written.
    pub is_over: bool,
}

/// How far a body has come.
#[derive(Debug)]
pub enum Sent {
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

type BoxError = Box<dyn Error + Send + Sync>;

impl<T> SendHalf<T> {
    /// One of which nothing is written.
    pub fn new(window: SendWindow) -> Self {
        Self {
            window,
            body: None,
            piece: Bytes::new(),
            trailers: None,
            is_last: false,
            is_over: false,
        }
    }

    /// Whether its head is written.
    pub fn is_begun(&self) -> bool {
        self.is_over || self.body.is_some()
    }

    /// Whether there is something to write, or to ask for.
    pub fn is_open(&self) -> bool {
        self.body.is_some()
    }
}

impl<T> Default for SendHalf<T> {
    fn default() -> Self {
        Self::new(SendWindow::default())
    }
}

impl Default for Sender {
    fn default() -> Self {
        Self {
            output: Output::default(),
            encoder: Encoder::new(),
            window: SendWindow::new(window::INITIAL),
            block: Vec::new(),
        }
    }
}

impl Sender {
    /// Writes the header section that `encode` makes.
    pub fn section(&mut self, id: u32, flags: u8, encode: impl FnOnce(&mut Encoder, &mut Vec<u8>)) {
        self.block.clear();
        encode(&mut self.encoder, &mut self.block);
        self.output.headers(id, flags, &self.block);
    }

    /// Writes what there is of a body, while less than `most` bytes wait to be written.
    pub fn go_ahead<T>(
        &mut self,
        id: u32,
        half: &mut SendHalf<T>,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Sent
    where
        T: Body<Data = Bytes, Error = BoxError> + Unpin,
    {
        let end_of_turn = self.output.unwritten().saturating_add(A_TURN);
        loop {
            if half.piece.is_empty() && !half.is_last {
                match poll_piece(half, cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Sent::Failed(error),
                    Poll::Pending => return Sent::Waits,
                }
            }
            if half.piece.is_empty() {
                if !half.is_last {
                    continue;
                }
                self.end(id, half);
                return Sent::Over;
            }
            if self.output.unwritten() >= most.min(end_of_turn) {
                return Sent::HasMore;
            }
            let n = half.piece.len().min(frame::LARGEST);
            let n = half.window.allows(self.window.allows(n));
            if n == 0 {
                return Sent::Blocked;
            }
            half.window.sent(n);
            self.window.sent(n);
            let part = half.piece.split_to(n);
            let is_end = half.is_last && half.piece.is_empty() && half.trailers.is_none();
            let flags = if is_end { END_STREAM } else { 0 };
            self.output.data(id, flags, part);
            if is_end {
                return Sent::Over;
            }
        }
    }

    /// Ends a body of which every piece is written.
    fn end<T>(&mut self, id: u32, half: &mut SendHalf<T>) {
        match half.trailers.take() {
            Some(trailers) if !trailers.is_empty() => {
                self.section(id, END_STREAM, |encoder, block| {
                    encoder.begin(block);
                    for field in (&trailers).into_iter().map(Field::from) {
                        encoder.field(field, block);
                    }
                });
            }
            _ => self.output.data(id, END_STREAM, Bytes::new()),
        }
    }

    /// Gives back what memory is not in use.
    pub fn shrink(&mut self) {
        self.output.shrink();
        self.block = Vec::new();
    }
}

/// Asks for the next piece of a body.
fn poll_piece<T>(half: &mut SendHalf<T>, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>
where
    T: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    let Some(body) = &mut half.body else {
        half.is_last = true;
        return Poll::Ready(Ok(()));
    };
    match ready!(Pin::new(&mut *body).poll_frame(cx)) {
        None => half.is_last = true,
        Some(Err(error)) => return Poll::Ready(Err(error)),
        Some(Ok(frame)) => match frame.into_data() {
            Ok(data) => {
                half.is_last = body.is_end_stream();
                half.piece = data;
            }
            Err(frame) => {
                half.is_last = true;
                half.trailers = frame.into_trailers().ok();
            }
        },
    }
    Poll::Ready(Ok(()))
}
