//! What was read of a connection and belongs to nobody yet.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// Pieces of a body up to this size are copied, so that the buffer stays and can be read into again.
const SMALL_PIECE: usize = 4 * 1024;

/// What was read and not taken yet.
#[derive(Debug, Default)]
pub struct Read {
    bytes: BytesMut,
    /// The largest room that was made since the buffer was new: what is left of one of which pieces
    /// were taken shows less, and keeps all of it.
    room: usize,
}

impl Read {
    /// Reads up to about `most` bytes more; 0 is the end.
    pub fn poll_more<S: AsyncRead>(
        &mut self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() - self.bytes.len() < most {
            self.bytes.reserve(most);
            self.room = self.room.max(most);
        }
        poll_read_buf(stream, cx, &mut self.bytes)
    }

    /// Takes the first `n` bytes.
    pub fn take(&mut self, n: usize) -> Bytes {
        if n > SMALL_PIECE {
            return self.bytes.split_to(n).freeze();
        }
        let piece = Bytes::copy_from_slice(&self.bytes[..n]);
        self.skip(n);
        piece
    }

    /// Passes over the first `n` bytes.
    pub fn skip(&mut self, n: usize) {
        if n == self.bytes.len() {
            self.bytes.clear();
        } else {
            self.bytes.advance(n);
        }
    }

    /// Gives the buffer back if it is empty and was made for more than `most`.
    pub fn shrink(&mut self, most: usize) {
        if self.bytes.is_empty() && self.room > most {
            *self = Self::default();
        }
    }

    /// All of it, for whoever reads on.
    pub fn into_rest(self) -> Bytes {
        self.bytes.freeze()
    }
}

impl std::ops::Deref for Read {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `n` bytes in one go.
    fn read(n: usize) -> Read {
        let bytes = vec![0; n];
        let mut read = Read::default();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let polled = read.poll_more(Pin::new(&mut &*bytes), &mut cx, n);
        assert!(matches!(polled, Poll::Ready(Ok(read)) if read == n));
        read
    }

    #[test]
    fn a_large_buffer_is_given_back_also_when_pieces_of_it_are_still_held() {
        let mut large = read(64 * 1024);
        let piece = large.take(64 * 1024);
        large.shrink(16 * 1024);
        assert!(piece.is_unique(), "nobody else holds the buffer");
    }

    #[test]
    fn a_buffer_of_the_usual_size_stays_and_so_does_what_was_not_taken() {
        let mut usual = read(16 * 1024);
        usual.skip(16 * 1024);
        usual.shrink(16 * 1024);
        assert!(usual.bytes.capacity() >= 16 * 1024);
        usual.shrink(0);
        assert_eq!(usual.bytes.capacity(), 0);
        let mut large = read(64 * 1024);
        large.skip(60 * 1024);
        large.shrink(0);
        assert_eq!(large.len(), 4 * 1024);
    }
}
