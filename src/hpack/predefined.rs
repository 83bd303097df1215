//! The fields that every peer knows (RFC 7541 appendix A), finished at compile time.
//!
//! To clone one takes no memory, and nothing of it is validated again.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};

use super::{Field, Pseudo};

/// The fields, the first of which has the index 1.
pub(super) static FIELDS: [Field; 61] = [
    pseudo(Pseudo::Authority, b""),
    pseudo(Pseudo::Method, b"GET"),
    pseudo(Pseudo::Method, b"POST"),
    pseudo(Pseudo::Path, b"/"),
    pseudo(Pseudo::Path, b"/index.html"),
    pseudo(Pseudo::Scheme, b"http"),
    pseudo(Pseudo::Scheme, b"https"),
    pseudo(Pseudo::Status, b"200"),
    pseudo(Pseudo::Status, b"204"),
    pseudo(Pseudo::Status, b"206"),
    pseudo(Pseudo::Status, b"304"),
    pseudo(Pseudo::Status, b"400"),
    pseudo(Pseudo::Status, b"404"),
    pseudo(Pseudo::Status, b"500"),
    header(header::ACCEPT_CHARSET, ""),
    header(header::ACCEPT_ENCODING, "gzip, deflate"),
    header(header::ACCEPT_LANGUAGE, ""),
    header(header::ACCEPT_RANGES, ""),
    header(header::ACCEPT, ""),
    header(header::ACCESS_CONTROL_ALLOW_ORIGIN, ""),
    header(header::AGE, ""),
    header(header::ALLOW, ""),
    header(header::AUTHORIZATION, ""),
    header(header::CACHE_CONTROL, ""),
    header(header::CONTENT_DISPOSITION, ""),
    header(header::CONTENT_ENCODING, ""),
    header(header::CONTENT_LANGUAGE, ""),
    header(header::CONTENT_LENGTH, ""),
    header(header::CONTENT_LOCATION, ""),
    header(header::CONTENT_RANGE, ""),
    header(header::CONTENT_TYPE, ""),
    header(header::COOKIE, ""),
    header(header::DATE, ""),
    header(header::ETAG, ""),
    header(header::EXPECT, ""),
    header(header::EXPIRES, ""),
    header(header::FROM, ""),
    header(header::HOST, ""),
    header(header::IF_MATCH, ""),
    header(header::IF_MODIFIED_SINCE, ""),
    header(header::IF_NONE_MATCH, ""),
    header(header::IF_RANGE, ""),
    header(header::IF_UNMODIFIED_SINCE, ""),
    header(header::LAST_MODIFIED, ""),
    header(header::LINK, ""),
    header(header::LOCATION, ""),
    header(header::MAX_FORWARDS, ""),
    header(header::PROXY_AUTHENTICATE, ""),
    header(header::PROXY_AUTHORIZATION, ""),
    header(header::RANGE, ""),
    header(header::REFERER, ""),
    header(header::REFRESH, ""),
    header(header::RETRY_AFTER, ""),
    header(header::SERVER, ""),
    header(header::SET_COOKIE, ""),
    header(header::STRICT_TRANSPORT_SECURITY, ""),
    header(header::TRANSFER_ENCODING, ""),
    header(header::USER_AGENT, ""),
    header(header::VARY, ""),
    header(header::VIA, ""),
    header(header::WWW_AUTHENTICATE, ""),
];

/// The first index of a field with this name; 0 where there is none.
#[inline]
pub(super) fn index(name: &HeaderName) -> u8 {
    match *name {
        header::ACCEPT_CHARSET => 15,
        header::ACCEPT_ENCODING => 16,
        header::ACCEPT_LANGUAGE => 17,
        header::ACCEPT_RANGES => 18,
        header::ACCEPT => 19,
        header::ACCESS_CONTROL_ALLOW_ORIGIN => 20,
        header::AGE => 21,
        header::ALLOW => 22,
        header::AUTHORIZATION => 23,
        header::CACHE_CONTROL => 24,
        header::CONTENT_DISPOSITION => 25,
        header::CONTENT_ENCODING => 26,
        header::CONTENT_LANGUAGE => 27,
        header::CONTENT_LENGTH => 28,
        header::CONTENT_LOCATION => 29,
        header::CONTENT_RANGE => 30,
        header::CONTENT_TYPE => 31,
        header::COOKIE => 32,
        header::DATE => 33,
        header::ETAG => 34,
        header::EXPECT => 35,
        header::EXPIRES => 36,
        header::FROM => 37,
        header::HOST => 38,
        header::IF_MATCH => 39,
        header::IF_MODIFIED_SINCE => 40,
        header::IF_NONE_MATCH => 41,
        header::IF_RANGE => 42,
        header::IF_UNMODIFIED_SINCE => 43,
        header::LAST_MODIFIED => 44,
        header::LINK => 45,
        header::LOCATION => 46,
        header::MAX_FORWARDS => 47,
        header::PROXY_AUTHENTICATE => 48,
        header::PROXY_AUTHORIZATION => 49,
        header::RANGE => 50,
        header::REFERER => 51,
        header::REFRESH => 52,
        header::RETRY_AFTER => 53,
        header::SERVER => 54,
        header::SET_COOKIE => 55,
        header::STRICT_TRANSPORT_SECURITY => 56,
        header::TRANSFER_ENCODING => 57,
        header::USER_AGENT => 58,
        header::VARY => 59,
        header::VIA => 60,
        header::WWW_AUTHENTICATE => 61,
        _ => 0,
    }
}

const fn pseudo(name: Pseudo, value: &'static [u8]) -> Field {
    Field::Pseudo(name, Bytes::from_static(value))
}

const fn header(name: HeaderName, value: &'static str) -> Field {
    Field::Header(name, HeaderValue::from_static(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_the_index_of_its_field() {
        for (at, field) in FIELDS.iter().enumerate() {
            if let Field::Header(name, _) = field {
                assert_eq!(usize::from(index(name)), at + 1, "{name}");
            }
        }
        assert_eq!(index(&header::UPGRADE), 0);
        assert_eq!(index(&HeaderName::from_static("x-custom")), 0);
    }

    #[test]
    fn the_corners_are_where_the_specification_has_them() {
        assert_eq!(FIELDS[2 - 1], pseudo(Pseudo::Method, b"GET"));
        assert_eq!(FIELDS[8 - 1], pseudo(Pseudo::Status, b"200"));
        assert_eq!(FIELDS[14 - 1], pseudo(Pseudo::Status, b"500"));
        assert_eq!(
            FIELDS[16 - 1],
            header(header::ACCEPT_ENCODING, "gzip, deflate")
        );
        assert_eq!(FIELDS[61 - 1], header(header::WWW_AUTHENTICATE, ""));
    }
}
