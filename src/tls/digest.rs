//! One hash over several parts, each with its length: the same bytes, cut elsewhere, are others.

use aws_lc_rs::digest;

/// SHA-256.
pub type Digest = [u8; 32];

/// The parts so far.
pub(super) struct Parts(digest::Context);

impl Parts {
    pub(super) fn none() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// One more part, or one that could be there and is not.
    pub(super) fn add(&mut self, part: Option<&[u8]>) {
        let length = part.map_or(u64::MAX, |part| part.len() as u64);
        self.0.update(&length.to_be_bytes());
        self.0.update(part.unwrap_or_default());
    }

    pub(super) fn digest(self) -> Digest {
        let mut digest = Digest::default();
        digest.copy_from_slice(self.0.finish().as_ref());
        digest
    }
}
