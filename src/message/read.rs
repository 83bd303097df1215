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
pub struct Read(BytesMut);

impl Read {
    /// Reads up to about `most` bytes more; 0 is the end.
    pub fn poll_more<S: AsyncRead>(
        &mut self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        if self.0.capacity() - self.0.len() < most {
            self.0.reserve(most);
        }
        poll_read_buf(stream, cx, &mut self.0)
    }

    /// Takes the first `n` bytes.
    pub fn take(&mut self, n: usize) -> Bytes {
        if n > SMALL_PIECE {
            return self.0.split_to(n).freeze();
        }
        let piece = Bytes::copy_from_slice(&self.0[..n]);
        self.skip(n);
        piece
    }

    /// Passes over the first `n` bytes.
    pub fn skip(&mut self, n: usize) {
        if n == self.0.len() {
            self.0.clear();
        } else {
            self.0.advance(n);
        }
    }

    /// Gives the buffer back if it is empty and has room for more than `most`.
    pub fn shrink(&mut self, most: usize) {
        if self.0.is_empty() && self.0.capacity() > most {
            self.0 = BytesMut::new();
        }
    }

    /// All of it, for whoever reads on.
    pub fn into_rest(self) -> Bytes {
        self.0.freeze()
    }
}

impl std::ops::Deref for Read {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
