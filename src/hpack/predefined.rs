//! The fields that every peer knows (RFC 7541 appendix A), finished at compile time.
//!
//! To clone one takes no memory, and nothing of it is validated again.

use bytes::Bytes;

use super::{Field, Pseudo};
use crate::fields::{Name, Value};

/// Index of the first field that is none of HTTP/2's own.
const FIRST: usize = 15;
/// Places where the index of a name may be found.
const PLACES: usize = 128;

/// The fields, the first of which has the index 1.
pub(super) static FIELDS: [Field<'static>; 61] = [
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
    header("accept-charset", ""),
    header("accept-encoding", "gzip, deflate"),
    header("accept-language", ""),
    header("accept-ranges", ""),
    header("accept", ""),
    header("access-control-allow-origin", ""),
    header("age", ""),
    header("allow", ""),
    header("authorization", ""),
    header("cache-control", ""),
    header("content-disposition", ""),
    header("content-encoding", ""),
    header("content-language", ""),
    header("content-length", ""),
    header("content-location", ""),
    header("content-range", ""),
    header("content-type", ""),
    header("cookie", ""),
    header("date", ""),
    header("etag", ""),
    header("expect", ""),
    header("expires", ""),
    header("from", ""),
    header("host", ""),
    header("if-match", ""),
    header("if-modified-since", ""),
    header("if-none-match", ""),
    header("if-range", ""),
    header("if-unmodified-since", ""),
    header("last-modified", ""),
    header("link", ""),
    header("location", ""),
    header("max-forwards", ""),
    header("proxy-authenticate", ""),
    header("proxy-authorization", ""),
    header("range", ""),
    header("referer", ""),
    header("refresh", ""),
    header("retry-after", ""),
    header("server", ""),
    header("set-cookie", ""),
    header("strict-transport-security", ""),
    header("transfer-encoding", ""),
    header("user-agent", ""),
    header("vary", ""),
    header("via", ""),
    header("www-authenticate", ""),
];

/// The names of those that are none of HTTP/2's own, in their order.
const NAMES: [&str; 47] = [
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "accept",
    "access-control-allow-origin",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "link",
    "location",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "refresh",
    "retry-after",
    "server",
    "set-cookie",
    "strict-transport-security",
    "transfer-encoding",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
];

/// The index of each name, at the first free place from that on which its mark says.
const INDICES: [u8; PLACES] = indices();

const fn indices() -> [u8; PLACES] {
    let mut indices = [0; PLACES];
    let mut at = 0;
    while at < NAMES.len() {
        let mut place = Name::from_static(NAMES[at]).mark() as usize % PLACES;
        while indices[place] != 0 {
            place = (place + 1) % PLACES;
        }
        indices[place] = (FIRST + at) as u8;
        at += 1;
    }
    indices
}

/// The first index of a field with this name; 0 where there is none.
#[inline]
pub(super) fn index(name: Name<'_>) -> u8 {
    let mut place = name.mark() as usize % PLACES;
    loop {
        let index = INDICES[place];
        let text = usize::from(index).checked_sub(FIRST).map(|at| NAMES[at]);
        if text.is_none_or(|text| text.as_bytes() == name.as_bytes()) {
            return index;
        }
        place = (place + 1) % PLACES;
    }
}

const fn pseudo(name: Pseudo, value: &'static [u8]) -> Field<'static> {
    Field::Pseudo(name, Bytes::from_static(value))
}

const fn header(name: &'static str, value: &'static str) -> Field<'static> {
    Field::Header(Name::from_static(name), Value::from_static(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_the_index_of_its_field() {
        for (at, field) in FIELDS.iter().enumerate() {
            if let Field::Header(name, _) = field {
                assert_eq!(usize::from(index(*name)), at + 1, "{name:?}");
            }
        }
        for other in ["upgrade", "x-custom", "date2", "hos"] {
            assert_eq!(index(Name::from_static(other)), 0, "{other}");
        }
    }

    #[test]
    fn the_corners_are_where_the_specification_has_them() {
        assert_eq!(FIELDS[2 - 1], pseudo(Pseudo::Method, b"GET"));
        assert_eq!(FIELDS[8 - 1], pseudo(Pseudo::Status, b"200"));
        assert_eq!(FIELDS[14 - 1], pseudo(Pseudo::Status, b"500"));
        assert_eq!(FIELDS[16 - 1], header("accept-encoding", "gzip, deflate"));
        assert_eq!(FIELDS[61 - 1], header("www-authenticate", ""));
    }
}
