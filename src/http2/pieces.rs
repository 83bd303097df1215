//! What has come of a body and was not taken yet.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Pieces that are smaller are put together while they wait.
const SMALL: usize = 1024;

/// Pieces of a body, in their order.
#[derive(Debug, Default)]
pub struct Pieces {
    pieces: VecDeque<Bytes>,
    /// Small pieces behind these, in one: each by itself would take several times its length.
    tail: BytesMut,
}

impl Pieces {
    /// A piece has come.
    pub fn push(&mut self, piece: Bytes) {
        if piece.len() < SMALL && !self.pieces.is_empty() {
            self.tail.extend_from_slice(&piece);
            return;
        }
        if !self.tail.is_empty() {
            let tail = self.tail.split().freeze();
            self.pieces.push_back(tail);
        }
        self.pieces.push_back(piece);
    }

    /// Takes the first.
    pub fn pop(&mut self) -> Option<Bytes> {
        let rest = || Some(self.tail.split().freeze()).filter(|rest| !rest.is_empty());
        self.pieces.pop_front().or_else(rest)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.tail.is_empty()
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum::<usize>() + self.tail.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_that_wait_are_one_and_stay_where_they_are() {
        let mut pieces = Pieces::default();
        let large = vec![b'x'; SMALL];
        for piece in [&b"a"[..], b"b", b"c", &large, b"d", b"e"] {
            pieces.push(Bytes::copy_from_slice(piece));
        }
        assert_eq!(pieces.len(), 5 + SMALL);
        for piece in [&b"a"[..], b"bc", &large, b"de"] {
            assert_eq!(pieces.pop().unwrap(), piece);
        }
        assert!(pieces.is_empty() && pieces.pop().is_none());
    }
}
