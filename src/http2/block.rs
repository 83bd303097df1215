//! Header blocks as they come (RFC 9113 sections 4.3, 6.2 and 6.10).
//!
//! Invariant: nothing is kept of a block beyond what the largest section takes.

use super::frame::{self, Fault, Header, LARGEST, PRIORITIZED, Reason};

/// Frames of a header block beyond those that the largest section fills.
const SPARE_CONTINUATIONS: usize = 8;

/// A header block that has begun.
#[derive(Debug)]
pub struct Begun {
    /// The header of its first frame.
    pub header: Header,
    /// Whether it names a priority that is none.
    pub depends_on_itself: bool,
    /// What has come of it.
    pub block: Vec<u8>,
    frames: usize,
}

/// What a HEADERS frame has of a header block.
#[derive(Debug, Clone, Copy)]
pub struct First<'a> {
    /// Whether it names a priority that is none.
    pub depends_on_itself: bool,
    /// The block, or its beginning.
    pub block: &'a [u8],
}

impl<'a> First<'a> {
    /// What a HEADERS frame with `payload` has.
    ///
    /// # Errors
    /// When its payload is shorter than it says.
    pub fn of(header: Header, payload: &'a [u8]) -> Result<Self, Fault> {
        let mut block = frame::unpadded(header, payload)?;
        let mut depends_on_itself = false;
        if header.has(PRIORITIZED) {
            let too_short = Fault::Connection(Reason::FRAME_SIZE_ERROR);
            let (priority, rest) = block.split_at_checked(5).ok_or(too_short)?;
            depends_on_itself = depends(header.stream, priority);
            block = rest;
        }
        Ok(Self {
            depends_on_itself,
            block,
        })
    }

    /// It goes on in other frames.
    pub fn begin(self, header: Header) -> Begun {
        Begun {
            header,
            depends_on_itself: self.depends_on_itself,
            block: self.block.to_vec(),
            frames: 0,
        }
    }
}

impl Begun {
    /// Takes the payload of a CONTINUATION frame of a section that may have `most` bytes.
    ///
    /// # Errors
    /// When there is more of it than any section needs: what says less than it is long says nothing
    /// (CVE-2024-24549 and others).
    pub fn append(&mut self, payload: &[u8], most: usize) -> Result<(), Fault> {
        self.block.extend_from_slice(payload);
        self.frames += 1;
        let most_frames = most / LARGEST + SPARE_CONTINUATIONS;
        match self.block.len() > most + LARGEST || self.frames > most_frames {
            true => Err(Fault::Connection(Reason::ENHANCE_YOUR_CALM)),
            false => Ok(()),
        }
    }
}

/// Whether the priority that a frame on stream `id` has depends on that stream itself (RFC 7540 section
/// 5.3.1).
pub fn depends(id: u32, priority: &[u8]) -> bool {
    (priority.first_chunk()).is_some_and(|on| frame::identifier(*on) == id)
}
