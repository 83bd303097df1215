//! The grammar of HTTP/1 (RFC 9110 section 5, RFC 9112), the same for what clients and what the
//! application send.
//!
//! Pure: no I/O and no state beyond the bytes of one message. Stricter than the grammar where
//! parsers disagree: what two of them could read in two ways is unsound.

mod bytes;
mod chunked;

use http::header::HeaderName;

pub use bytes::{are_value, is_path_and_query, is_token_byte, method_length, token_length};
pub use chunked::{Chunked, Piece, Step};

/// How large a header or trailer section may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes, `--max-header-size`.
    pub size: u32,
    /// Lines, `--max-headers`.
    pub fields: u16,
}

/// Whether `name` is a token (RFC 9110 section 5.6.2): the `http` crate lets a quote through.
pub fn is_token(name: &HeaderName) -> bool {
    memchr::memchr(b'"', name.as_str().as_bytes()).is_none()
}
