//! The fields that every peer knows (RFC 7541 appendix A), finished at compile time.
//!
//! To give one away takes no memory, and nothing of it is validated again.

use bytes::Bytes;

use super::{Field, Pseudo};
use crate::fields::{Name, Value};

/// How many there are; the first has the index 1.
pub(super) const COUNT: usize = PSEUDO.len() + HEADERS.len();
/// Places where the index of a name may be found.
const PLACES: usize = 128;

/// Those of HTTP/2's own, the first of which has the index 1.
static PSEUDO: [Field<'static>; 14] = [
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
];

/// The others, behind them.
static HEADERS: [(Name<'static>, Value<'static>); 47] = [
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

/// The index of the first field with each name, at the first free place from that on which the name's
/// mark says.
const INDICES: [u8; PLACES] = indices();

const fn indices() -> [u8; PLACES] {
    let mut indices = [0; PLACES];
    let mut at = 0;
    while at < HEADERS.len() {
        let mut place = HEADERS[at].0.mark() as usize % PLACES;
        while indices[place] != 0 {
            place = (place + 1) % PLACES;
        }
        indices[place] = (PSEUDO.len() + 1 + at) as u8;
        at += 1;
    }
    indices
}

/// The field whose index is 1 more than `at`.
#[inline]
pub(super) fn field(at: usize) -> Option<Field<'static>> {
    match at.checked_sub(PSEUDO.len()) {
        None => PSEUDO.get(at).cloned(),
        Some(at) => {
            let (name, value) = HEADERS.get(at)?;
            Some(Field::Header(*name, *value))
        }
    }
}

/// The first index of a field with this name; 0 where there is none.
#[inline]
pub(super) fn index(name: Name<'_>) -> u8 {
    match name.as_bytes() {
        b":authority" => 1,
        b":path" => 4,
        _ => header_index(name),
    }
}

fn header_index(name: Name<'_>) -> u8 {
    let mut place = name.mark() as usize % PLACES;
    loop {
        let index = INDICES[place];
        let at = usize::from(index).checked_sub(PSEUDO.len() + 1);
        if at.is_none_or(|at| HEADERS[at].0 == name) {
            return index;
        }
        place = (place + 1) % PLACES;
    }
}

const fn pseudo(name: Pseudo, value: &'static [u8]) -> Field<'static> {
    Field::Pseudo(name, Bytes::from_static(value))
}

const fn header(name: &'static str, value: &'static str) -> (Name<'static>, Value<'static>) {
    (Name::from_static(name), Value::from_static(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_the_index_of_its_field() {
        for at in 0..COUNT {
            if let Some(Field::Header(name, _)) = field(at) {
                assert_eq!(usize::from(index(name)), at + 1, "{name:?}");
            }
        }
        assert_eq!(field(COUNT), None);
        for other in ["upgrade", "x-custom", "date2", "hos"] {
            assert_eq!(index(Name::from_static(other)), 0, "{other}");
        }
    }

    #[test]
    fn the_corners_are_where_the_specification_has_them() {
        let header = |name, value| {
            let (name, value) = header(name, value);
            Field::Header(name, value)
        };
        for (index, expected) in [
            (2, pseudo(Pseudo::Method, b"GET")),
            (8, pseudo(Pseudo::Status, b"200")),
            (14, pseudo(Pseudo::Status, b"500")),
            (15, header("accept-charset", "")),
            (16, header("accept-encoding", "gzip, deflate")),
            (61, header("www-authenticate", "")),
        ] {
            assert_eq!(field(index - 1), Some(expected));
        }
    }
}
