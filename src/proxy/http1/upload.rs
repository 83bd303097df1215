//! The body of a request, read off the connection as it is wanted.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Frame;

use crate::message::{Chunks, Read, Unsound};
use crate::proxy::body::RequestBodyFailure;
use crate::proxy::downstream::Downstream;
use crate::syntax::Limits;

/// Read at once at first: most of what comes in pieces comes in small ones.
const FIRST_PIECE: usize = 16 * 1024;

/// What is still to come of a request's body.
pub(super) enum Upload {
    Over,
    Length {
        left: u64,
        /// What to read at once, as far as there is memory for it: more where the last was full.
        ahead: usize,
    },
    Chunked(Box<Chunks>),
    /// It broke off, or was refused with its head: nothing more on the connection is a request.
    Failed,
}

/// A piece of a body, and whether nothing comes behind it.
pub(super) type Piece = (Option<Frame<Bytes>>, bool);

impl Upload {
    /// A body of `length` bytes.
    pub(super) fn length(length: u64) -> Self {
        Self::Length {
            left: length,
            ahead: FIRST_PIECE,
        }
    }

    /// A chunked body whose trailer section is within `limits`.
    pub(super) fn chunked(limits: Limits) -> Self {
        Self::Chunked(Box::new(Chunks::new(limits)))
    }

    /// The next piece, of `most` bytes at most: of what was read, and then of `stream`.
    ///
    /// As much as has arrived is gathered, because one long write to the application costs less than
    /// one for each TLS record.
    pub(super) fn poll_piece(
        &mut self,
        read: &mut Read,
        stream: &mut Downstream,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Piece, RequestBodyFailure>> {
        match self {
            Self::Over => Poll::Ready(Ok((None, true))),
            Self::Failed => Poll::Ready(Err(RequestBodyFailure::ClientGone)),
            Self::Length { left, ahead } => {
                *ahead = most.min(*ahead);
                stream.expect(left.saturating_sub(read.len() as u64), most);
                let wanted = usize::try_from(*left).map_or(*ahead, |left| left.min(*ahead));
                while read.len() < wanted {
                    let missing = wanted - read.len();
                    match read.poll_more(Pin::new(&mut *stream), cx, missing) {
                        Poll::Ready(Ok(n)) if n > 0 => {}
                        // What there is is passed on first.
                        _ if !read.is_empty() => break,
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(_) => {
                            return Poll::Ready(Err(RequestBodyFailure::ClientGone));
                        }
                    }
                }
                let n = read.len().min(wanted);
                *left -= n as u64;
                *ahead = match n < *ahead {
                    true => FIRST_PIECE.max(n),
                    false => *ahead * 2,
                };
                let piece = Frame::data(read.take(n));
                Poll::Ready(Ok((Some(piece), *left == 0)))
            }
            Self::Chunked(chunks) => loop {
                match chunks.next(read) {
                    Err(Unsound) => return Poll::Ready(Err(RequestBodyFailure::Malformed)),
                    Ok(None) if !chunks.is_over() => {}
                    Ok(piece) => return Poll::Ready(Ok((piece, chunks.is_over()))),
                }
                match ready!(read.poll_more(Pin::new(&mut *stream), cx, FIRST_PIECE)) {
                    Ok(n) if n > 0 => {}
                    _ => return Poll::Ready(Err(RequestBodyFailure::ClientGone)),
                }
            },
        }
    }

    /// Whether what was read reaches to its end, which is passed over then: nobody wanted the rest.
    pub(super) fn is_over_within(&mut self, read: &mut Read) -> bool {
        match self {
            Self::Over => true,
            Self::Failed => false,
            Self::Length { left, .. } => match usize::try_from(*left) {
                Ok(left) if left <= read.len() => {
                    read.skip(left);
                    true
                }
                _ => false,
            },
            Self::Chunked(chunks) => {
                while let Ok(Some(_)) = chunks.next(read) {}
                chunks.is_over()
            }
        }
    }
}
