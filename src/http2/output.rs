//! What waits to be written: frames one behind the other, and the pieces of bodies between them.
//!
//! Everything that comes of one turn of the connection goes in one write. Small pieces are copied
//! behind their frame's header, large ones stay where they are. Invariant: bytes leave in the order
//! in which they were put here.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use super::frame::{Header, Kind, LARGEST, Reason};

/// Pieces up to this size are copied: that costs less than one more place to write from.
const SMALL: usize = 2 * 1024;
/// Places to write from at once, at most.
const MOST_AT_ONCE: usize = 64;
/// A buffer larger than this is given back when all of it was written.
const USUAL: usize = 16 * 1024;

/// What waits to be written.
#[derive(Debug, Default)]
pub struct Output {
    frames: Vec<u8>,
    /// Pieces, each with the place in `frames` that it comes before.
    pieces: Vec<(usize, Bytes)>,
    /// Bytes of both.
    length: usize,
    written: usize,
    /// Bytes that were written before these.
    before: u64,
    /// Whether the stream may hold some of it still.
    is_held: bool,
}

impl Output {
    /// Bytes that wait.
    pub fn unwritten(&self) -> usize {
        self.length - self.written
    }

    /// The place of the next byte among all that are ever put here.
    pub fn place(&self) -> u64 {
        self.before + self.length as u64
    }

    /// Whether the stream has taken none of the bytes from `place` on.
    pub fn is_unsent(&self, place: u64) -> bool {
        self.before + self.written as u64 <= place
    }

    /// Whether nothing waits, and the stream holds nothing.
    pub fn is_out(&self) -> bool {
        self.unwritten() == 0 && !self.is_held
    }

    /// Writes what is no frame: a preface.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.write(|frames| frames.extend_from_slice(bytes));
    }

    /// Writes a frame with `payload`.
    pub fn frame(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        let length = payload.len();
        let header = Header {
            length,
            kind,
            flags,
            stream,
        };
        self.write(|frames| {
            header.write(frames);
            frames.extend_from_slice(payload);
        });
    }

    /// Writes a header section: `block` in as many frames as it takes (RFC 9113 section 4.3).
    pub fn headers(&mut self, stream: u32, flags: u8, block: &[u8]) {
        use super::frame::END_HEADERS;
        let (mut kind, mut flags) = (Kind::Headers, flags);
        let mut rest = block;
        loop {
            let (part, behind) = rest.split_at(rest.len().min(LARGEST));
            let is_last = behind.is_empty();
            let end = if is_last { END_HEADERS } else { 0 };
            self.frame(kind, flags | end, stream, part);
            if is_last {
                return;
            }
            (kind, flags, rest) = (Kind::Continuation, 0, behind);
        }
    }

    /// Writes a DATA frame of `piece`.
    pub fn data(&mut self, stream: u32, flags: u8, piece: Bytes) {
        let header = Header {
            length: piece.len(),
            kind: Kind::Data,
            flags,
            stream,
        };
        self.write(|frames| {
            header.write(frames);
            if piece.len() <= SMALL {
                frames.extend_from_slice(&piece);
            }
        });
        if piece.len() > SMALL {
            self.length += piece.len();
            self.pieces.push((self.frames.len(), piece));
        }
    }

    /// Ends a stream.
    pub fn reset(&mut self, stream: u32, reason: Reason) {
        self.frame(Kind::RstStream, 0, stream, &reason.0.to_be_bytes());
    }

    /// Ends the connection for all streams behind `last`.
    pub fn go_away(&mut self, last: u32, reason: Reason) {
        let mut payload = [0; 8];
        payload[..4].copy_from_slice(&last.to_be_bytes());
        payload[4..].copy_from_slice(&reason.0.to_be_bytes());
        self.frame(Kind::GoAway, 0, 0, &payload);
    }

    /// Lets the peer send `by` bytes more, on a stream or, with 0, on all together.
    pub fn window_update(&mut self, stream: u32, by: u32) {
        self.frame(Kind::WindowUpdate, 0, stream, &by.to_be_bytes());
    }

    fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.frames.len();
        write(&mut self.frames);
        self.length += self.frames.len() - before;
    }

    /// Writes what waits; ready with how many bytes the stream has taken when it has taken all of it.
    pub fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.written < self.length {
            let n = ready!(self.poll_write_some(stream, cx))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += n;
            self.is_held = true;
        }
        self.before += self.length as u64;
        self.frames.clear();
        self.pieces.clear();
        (self.length, self.written) = (0, 0);
        self.frames.shrink_to(USUAL);
        if self.is_held {
            ready!(Pin::new(&mut *stream).poll_flush(cx))?;
            self.is_held = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_some<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        if self.pieces.is_empty() {
            return stream.poll_write(cx, &self.frames[self.written..]);
        }
        let mut slices = [IoSlice::new(b""); MOST_AT_ONCE];
        let (mut count, mut at, mut skip) = (0, 0, self.written);
        let mut add = |bytes| -> bool {
            let bytes: &[u8] = bytes;
            if skip >= bytes.len() {
                skip -= bytes.len();
                return true;
            }
            let Some(slice) = slices.get_mut(count) else {
                return false;
            };
            *slice = IoSlice::new(&bytes[std::mem::take(&mut skip)..]);
            count += 1;
            true
        };
        let mut has_room = true;
        for (place, piece) in &self.pieces {
            has_room = add(&self.frames[at..*place]) && add(piece);
            if !has_room {
                break;
            }
            at = *place;
        }
        if has_room {
            add(&self.frames[at..]);
        }
        stream.poll_write_vectored(cx, &slices[..count])
    }

    /// Gives back what memory is not in use.
    pub fn shrink(&mut self) {
        if self.is_out() {
            *self = Self {
                before: self.before,
                ..Self::default()
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt as _;

    /// What is written of `output` to a stream that takes three bytes at a time.
    async fn written(mut output: Output) -> Vec<u8> {
        let (mut ours, mut theirs) = tokio::io::duplex(3);
        let mut bytes = Vec::new();
        let write = async move {
            std::future::poll_fn(|cx| output.poll_write(&mut ours, cx))
                .await
                .unwrap();
            assert!(output.is_out() && !output.is_unsent(output.place() - 1));
            assert!(output.is_unsent(output.place()));
        };
        let (_, read) = tokio::join!(write, theirs.read_to_end(&mut bytes));
        read.unwrap();
        bytes
    }

    #[tokio::test]
    async fn frames_and_pieces_leave_in_their_order() {
        let large = Bytes::from(vec![b'x'; SMALL + 1]);
        let mut output = Output::default();
        let mut expected = Vec::new();
        for n in 0..MOST_AT_ONCE as u32 {
            output.window_update(n, n);
            output.data(n, 0, large.clone());
            output.data(n, 1, Bytes::from_static(b"ab"));
            expected.extend([&[0, 0, 4, 8, 0], &n.to_be_bytes()[..], &n.to_be_bytes()].concat());
            let [.., a, b] = (large.len() as u32).to_be_bytes();
            expected.extend([&[0, a, b, 0, 0], &n.to_be_bytes()[..], &large].concat());
            expected.extend([&[0, 0, 2, 0, 1], &n.to_be_bytes()[..], b"ab"].concat());
        }
        assert_eq!(output.unwritten(), expected.len());
        assert_eq!(output.place(), expected.len() as u64);
        assert!(output.is_unsent(0));
        assert!(written(output).await == expected);
    }

    #[tokio::test]
    async fn a_long_header_section_takes_several_frames() {
        let mut output = Output::default();
        output.headers(1, 1, &vec![0; LARGEST + 1]);
        let bytes = written(output).await;
        assert_eq!(bytes[..9], [0, 0x40, 0, 1, 1, 0, 0, 0, 1]);
        assert_eq!(bytes[9 + LARGEST..], [0, 0, 1, 9, 4, 0, 0, 0, 1, 0]);
    }
}
