//! Header blocks of HTTP/2 as bytes (RFC 7541): those of peers read, our own written.
//!
//! Pure: no I/O, no frames, and no opinion about what a head may have. What peers repeat is kept as
//! finished fields, so that one which is told by its index alone is given away as it is.
//!
//! A peer can make neither side hold more than its table may have, nor read past its block.

mod decoder;
mod encoder;
mod huffman;
mod integer;
mod predefined;
mod table;

use crate::fields::{Name, Value};
use bytes::Bytes;

pub use decoder::Decoder;
pub use encoder::{Asked, Encoder};

/// What a field is counted with beside its name and its value, in bytes (RFC 7541 section 4.1).
const OVERHEAD: usize = 32;
/// The size of a dynamic table whose peer has said nothing, in bytes (RFC 9113 section 6.5.2).
pub const DEFAULT_SIZE: usize = 4096;

/// A field of a header section as it was decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Field<'a> {
    /// A pseudo-header field and its value, of which nothing is known but that it has no control
    /// characters.
    Pseudo(Pseudo, Bytes),
    /// Any other field.
    Header(Name<'a>, Value<'a>),
    /// A name or a value that HTTP does not allow (RFC 9113 section 8.2.1), with the size it is
    /// counted with.
    Malformed(usize),
}

/// The name of a pseudo-header field (RFC 9113 section 8.3, RFC 8441 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pseudo {
    /// `:authority`
    Authority,
    /// `:method`
    Method,
    /// `:path`
    Path,
    /// `:protocol`
    Protocol,
    /// `:scheme`
    Scheme,
    /// `:status`
    Status,
    /// Any other name that begins with a colon. It is not kept.
    Unknown,
}

/// A header block that cannot be read: a connection error of type COMPRESSION_ERROR (RFC 9113 section
/// 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Field<'_> {
    /// What it counts in a header section, in bytes (RFC 7541 section 4.1): of a name that is not kept
    /// the colon alone.
    pub fn size(&self) -> usize {
        match self {
            Self::Pseudo(name, value) => name.as_str().len() + value.len() + OVERHEAD,
            Self::Header(name, value) => name.as_bytes().len() + value.len() + OVERHEAD,
            Self::Malformed(size) => *size,
        }
    }
}

impl Pseudo {
    /// The pseudo-header field whose name is `name`, which begins with a colon.
    fn new(name: &[u8]) -> Self {
        match name {
            b":authority" => Self::Authority,
            b":method" => Self::Method,
            b":path" => Self::Path,
            b":protocol" => Self::Protocol,
            b":scheme" => Self::Scheme,
            b":status" => Self::Status,
            _ => Self::Unknown,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Authority => ":authority",
            Self::Method => ":method",
            Self::Path => ":path",
            Self::Protocol => ":protocol",
            Self::Scheme => ":scheme",
            Self::Status => ":status",
            Self::Unknown => ":",
        }
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed header block")
    }
}

impl std::error::Error for Malformed {}
