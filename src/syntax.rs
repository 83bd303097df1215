//! The grammar of HTTP/1 (RFC 9110 section 5, RFC 9112), the same for what clients and what the
//! application send.
//!
//! Pure: no I/O and no state beyond the bytes of one message. Stricter than the grammar where
//! parsers disagree: what two of them could read in two ways is unsound.

mod bytes;
mod chunked;
mod lines;

use http::StatusCode;

pub use bytes::{
    are_value, host_name_length, is_path_and_query, is_token_byte, lower_token, method_length,
    token_length,
};
pub use chunked::{Chunked, Piece, Step};
pub use lines::{Lines, Next};

/// hyper, which speaks HTTP/2 to the application, keeps the last two values for itself.
const LONGEST: u64 = u64::MAX - 2;

/// The length of a body that `digits` say (RFC 9110 section 8.6), unless it is longer than any can be.
pub fn content_length(digits: &[u8]) -> Option<u64> {
    // `parse` takes a sign too.
    let are_digits = digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| are_digits)?;
    text.parse().ok().filter(|length| *length <= LONGEST)
}

/// Whether an answer with `status` may have a body (RFC 9110 section 6.4.1), but for one to HEAD.
pub fn may_have_body(status: StatusCode) -> bool {
    !status.is_informational()
        && status != StatusCode::NO_CONTENT
        && status != StatusCode::NOT_MODIFIED
}

/// How large a header or trailer section may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes, `--max-header-size`.
    pub size: u32,
    /// Lines, `--max-headers`.
    pub fields: u16,
}

#[cfg(test)]
mod tests {
    use super::content_length;

    #[test]
    fn a_length_is_decimal_and_no_longer_than_any_body_can_be() {
        for (digits, length) in [
            ("0", Some(0)),
            ("0042", Some(42)),
            ("18446744073709551613", Some(u64::MAX - 2)),
            ("18446744073709551614", None),
            ("18446744073709551616", None),
            ("", None),
            ("+1", None),
            ("1 ", None),
        ] {
            assert_eq!(content_length(digits.as_bytes()), length, "{digits:?}");
        }
    }
}
