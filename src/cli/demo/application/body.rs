//! The bodies of answers: in memory, one block many times over, paced by a clock, with trailers.
//!
//! Each is polled by hyper as the client takes it and dropped when the client is gone, which is
//! all the clean-up there is. No body keeps more than one frame.

use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Frame, SizeHint};
use tokio::time::{Interval, MissedTickBehavior};

/// Fits the second-level cache of any processor with room for the copy.
const BLOCK_SIZE: usize = 64 * 1024;

/// One block of every download; lines of 64 bytes, so that a file of it can be looked at.
static BLOCK: [u8; BLOCK_SIZE] = block();

const fn block() -> [u8; BLOCK_SIZE] {
    let line = b"tls-sidecar demo: sixty-four bytes a line, the same every time.\n";
    let mut block = [0; BLOCK_SIZE];
    let mut at = 0;
    while at < BLOCK_SIZE {
        block[at] = line[at % line.len()];
        at += 1;
    }
    block
}

/// The body of an answer.
pub(super) enum Body {
    /// Complete in memory; `None` once sent.
    Whole(Option<Bytes>),
    /// So many bytes of the block are still to send.
    Repeated(u64),
    /// A piece at each tick of a clock.
    Paced(Paced),
    /// Pieces in reverse order, then trailers.
    Trailed(Vec<Bytes>, Option<HeaderMap>),
}

impl Body {
    /// Nothing.
    pub(super) fn empty() -> Self {
        Self::Whole(None)
    }

    /// All of `content` in one frame.
    pub(super) fn whole(content: Bytes) -> Self {
        Self::Whole(Some(content).filter(|content| !content.is_empty()))
    }

    /// `pieces` in order, then `trailers`.
    pub(super) fn trailed<const N: usize>(
        mut pieces: [&'static str; N],
        trailers: [(&'static str, HeaderValue); 2],
    ) -> Self {
        pieces.reverse();
        let trailers = trailers
            .map(|(name, value)| (HeaderName::from_static(name), value))
            .into_iter();
        let pieces = pieces.map(|piece| Bytes::from_static(piece.as_bytes()));
        Self::Trailed(pieces.into(), Some(trailers.collect()))
    }
}

/// Renders the piece of a number; what it captures is dropped with the body.
type Render = Box<dyn FnMut(u64) -> String + Send>;

/// Numbered pieces, the first at once and one at each tick after it.
pub(super) struct Paced {
    clock: Interval,
    numbers: Range<u64>,
    render: Render,
}

impl Paced {
    /// A piece for each of `numbers`, `every` so often; zero is not a pace.
    pub(super) fn new(
        numbers: Range<u64>,
        every: Duration,
        render: impl FnMut(u64) -> String + Send + 'static,
    ) -> Self {
        let mut clock = tokio::time::interval(every.max(Duration::from_millis(1)));
        // After a slow client the pace goes on from there; a burst would not be one a second.
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            clock,
            numbers,
            render: Box::new(render),
        }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.numbers.is_empty() {
            return Poll::Ready(None);
        }
        ready!(self.clock.poll_tick(context));
        Poll::Ready(
            self.numbers
                .next()
                .map(|number| (self.render)(number).into()),
        )
    }
}

fn take_of_block(left: &mut u64) -> Option<Bytes> {
    let size = BLOCK_SIZE.min(usize::try_from(*left).unwrap_or(usize::MAX));
    *left -= size as u64;
    BLOCK
        .get(..size)
        .filter(|block| !block.is_empty())
        .map(Bytes::from_static)
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match self.get_mut() {
            Self::Whole(content) => content.take(),
            Self::Repeated(left) => take_of_block(left),
            Self::Paced(paced) => ready!(paced.poll_piece(context)),
            Self::Trailed(pieces, trailers) => match pieces.pop() {
                Some(piece) => Some(piece),
                None => return Poll::Ready(trailers.take().map(Frame::trailers).map(Ok)),
            },
        };
        Poll::Ready(data.map(Frame::data).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None) | Self::Repeated(0))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(content) => {
                SizeHint::with_exact(content.as_ref().map_or(0, Bytes::len) as u64)
            }
            Self::Repeated(left) => SizeHint::with_exact(*left),
            Self::Paced(_) | Self::Trailed(..) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_block_ends_at_the_byte_asked_for() {
        let mut left = 2 * BLOCK_SIZE as u64 + 1;
        let sizes: Vec<usize> = std::iter::from_fn(|| take_of_block(&mut left))
            .map(|block| block.len())
            .collect();
        assert_eq!(sizes, [BLOCK_SIZE, BLOCK_SIZE, 1]);
    }

    #[test]
    fn block_is_whole_lines() {
        assert!(BLOCK.chunks(64).all(|line| line.ends_with(b"\n")));
    }
}
