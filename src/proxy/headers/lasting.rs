//! Header values that outlive the answer they came in.
//!
//! The values of an answer's head are pieces of one memory, which is as large as the head. h2 keeps
//! what it sends in its table for compression (RFC 7541 section 2.3.2), and with one value the whole
//! head: with heads of some kilobytes and an id of its own in each, that is hundreds of kilobytes.

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

/// Makes the values that h2 may keep independent of the buffer they were read into.
pub(in crate::proxy) fn let_go(headers: &mut HeaderMap) {
    for (name, value) in headers.iter_mut() {
        if !is_passing(name)
            && let Ok(own) = HeaderValue::from_bytes(value.as_bytes())
        {
            *value = own;
        }
    }
}

/// Whether h2 keeps no value of this name, or the same one for nearly all answers.
fn is_passing(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::ACCEPT_RANGES
            | header::AGE
            | header::CACHE_CONTROL
            | header::CONTENT_LENGTH
            | header::CONTENT_TYPE
            | header::ETAG
            | header::LOCATION
            | header::SERVER
            | header::SET_COOKIE
            | header::VARY
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_h2_may_keep_is_no_piece_of_what_was_read() {
        let read = bytes::Bytes::from_static(b"an-id, text/html");
        let value = |range| HeaderValue::from_maybe_shared(read.slice(range)).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", value(0..5));
        headers.insert(header::CONTENT_TYPE, value(7..16));
        let_go(&mut headers);
        let is_piece = |name: &str| {
            read.as_ptr_range()
                .contains(&headers[name].as_bytes().as_ptr())
        };
        assert!(!is_piece("x-request-id"));
        assert!(is_piece("content-type"));
        assert_eq!(headers["x-request-id"], "an-id");
    }
}
