//! A chunked body, taken out of its framing as it is read (RFC 9112 section 7.1).

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;

use super::Read;
use crate::syntax::{Chunked, Limits, Piece};

/// An empty line: the end of a trailer section, and all of an empty one.
const END_OF_SECTION: usize = 2;

/// A chunked body of which some was read.
#[derive(Debug)]
pub struct Chunks {
    framing: Chunked,
    limits: Limits,
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
            limits,
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
        Ok(Some(Frame::trailers(self.fields(&section)?)))
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

    fn fields(&self, section: &[u8]) -> Result<HeaderMap, Unsound> {
        let mut fields = vec![httparse::EMPTY_HEADER; usize::from(self.limits.fields)];
        let parsed = httparse::parse_headers(section, &mut fields).map_err(|_| Unsound)?;
        let mut trailers = HeaderMap::new();
        if let httparse::Status::Complete((_, fields)) = parsed {
            for field in fields {
                let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Unsound)?;
                let value = HeaderValue::from_bytes(field.value).map_err(|_| Unsound)?;
                trailers.append(name, value);
            }
        }
        Ok(trailers)
    }
}
