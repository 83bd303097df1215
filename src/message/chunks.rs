//! A chunked body, taken out of its framing as it is read (RFC 9112 section 7.1).

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::Read;
use crate::fields::Fields;
use crate::syntax::{Chunked, Limits, Piece};

/// An empty line: the end of a trailer section, and all of an empty one.
const END_OF_SECTION: usize = 2;

/// A chunked body of which some was read.
#[derive(Debug)]
pub struct Chunks {
    framing: Chunked,
    /// Bytes that were read and are data of the current chunk.
    data: usize,
    trailers: Vec<u8>,
    is_over: bool,
}

/// The body is not well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsound;

impl Chunks {
    /// At the beginning of a body whose trailer section is within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            framing: Chunked::new(limits),
            data: 0,
            trailers: Vec::new(),
            is_over: false,
        }
    }

    /// Whether all of it was given.
    pub fn is_over(&self) -> bool {
        self.is_over && self.data == 0 && self.trailers.is_empty()
    }

    /// The next of what was read; `None` when more has to be, or when all of it was given.
    ///
    /// # Errors
    /// When it breaks a rule.
    pub fn next(&mut self, read: &mut Read) -> Result<Option<Frame<Bytes>>, Unsound> {
        self.go_to_data(read)?;
        if self.data > 0 {
            let data = read.take(std::mem::take(&mut self.data));
            // The end often comes along, and whoever sends the data on can end with it.
            self.go_to_data(read)?;
            return Ok(Some(Frame::data(data)));
        }
        if !self.is_over || self.trailers.is_empty() {
            return Ok(None);
        }
        let section = std::mem::take(&mut self.trailers);
        Ok(Some(Frame::trailers(trailers(&section)?)))
    }

    /// Passes over framing, up to data or the end.
    fn go_to_data(&mut self, read: &mut Read) -> Result<(), Unsound> {
        while self.data == 0 && !self.is_over && !read.is_empty() {
            match self.framing.piece(read) {
                Piece::Data(n) => self.data = n,
                Piece::Framing(n) => read.skip(n),
                Piece::Trailers(n) => {
                    self.trailers.extend_from_slice(&read[..n]);
                    read.skip(n);
                }
                Piece::End(n) => {
                    self.trailers.extend_from_slice(&read[..n]);
                    read.skip(n);
                    self.is_over = true;
                    if self.trailers.len() == END_OF_SECTION {
                        self.trailers.clear();
                    }
                }
                Piece::Unsound(_) => return Err(Unsound),
            }
        }
        Ok(())
    }
}

/// The fields of a whole trailer section, whose size and number were found to be within their limits.
fn trailers(section: &[u8]) -> Result<HeaderMap, Unsound> {
    let mut fields = Fields::default();
    for line in section.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n").ok_or(Unsound)? {
            b"" => break,
            line => _ = fields.append_line(line).map_err(|_| Unsound)?,
        }
    }
    HeaderMap::try_from(&fields).map_err(|_| Unsound)
}
