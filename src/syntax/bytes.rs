//! The classes of bytes that make up a head, one look-up a byte.

/// `tchar` (RFC 9110 section 5.6.2).
const TOKEN: u8 = 1;
/// `tchar` without lower-case letters: the methods there are (RFC 9110 section 16.1).
const METHOD: u8 = 2;
/// What a path may hold: RFC 3986, and `"`, `{`, `|`, `}`, which browsers send as they are.
const PATH: u8 = 4;
/// What a query may hold.
const QUERY: u8 = 8;

const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        let is_symbol = matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        );
        if is_symbol || b.is_ascii_alphanumeric() {
            classes[byte] |= TOKEN;
            if !b.is_ascii_lowercase() {
                classes[byte] |= METHOD;
            }
        }
        // The same bytes as the `http` crate's, which has no words for what it refuses.
        if b.is_ascii_graphic() && !matches!(b, b'#' | b'<' | b'>') {
            if !matches!(b, b'?' | b'`') {
                classes[byte] |= PATH;
            }
            if b != b'"' {
                classes[byte] |= QUERY;
            }
        }
        byte += 1;
    }
    classes
}

fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// How many of `bytes` are of a field name.
pub fn token_length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|b| !is(*b, TOKEN))
        .unwrap_or(bytes.len())
}

/// Whether `byte` may be part of a field name.
pub fn is_token_byte(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// How many of `bytes` are of a method.
pub fn method_length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|b| !is(*b, METHOD))
        .unwrap_or(bytes.len())
}

/// Whether `target` is a path with an optional query.
pub fn is_path_and_query(target: &[u8]) -> bool {
    let path = target
        .iter()
        .position(|b| !is(*b, PATH))
        .unwrap_or(target.len());
    match target.get(path) {
        None => true,
        Some(b'?') => target[path + 1..].iter().all(|b| is(*b, QUERY)),
        Some(_) => false,
    }
}

/// Whether `byte` may be part of a field value (RFC 9110 section 5.5, obs-text included).
pub(super) const fn is_value(byte: u8) -> bool {
    (byte >= b' ' || byte == b'\t') && byte != 0x7f
}

/// Whether all of `bytes` may be of a field value. Without an early end, so that it is done many
/// bytes at a time.
pub fn are_value(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |good, b| good & is_value(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is let through must not be refused by the `http` crate, whose refusal has no words.
    #[test]
    fn paths_and_queries_are_those_of_the_http_crate() {
        for byte in 0..=127_u8 {
            for target in [vec![b'/', b'a', byte], vec![b'/', b'?', byte]] {
                let theirs = http::Uri::try_from(target.as_slice()).is_ok();
                // The http crate cuts a fragment off; we refuse it.
                let theirs = theirs && byte != b'#';
                assert_eq!(is_path_and_query(&target), theirs, "{byte:#x}");
            }
        }
        assert!(!is_path_and_query("/ä".as_bytes()));
    }

    #[test]
    fn names_and_values_are_those_of_the_http_crate() {
        for byte in 0..=255_u8 {
            assert_eq!(
                is_value(byte),
                http::HeaderValue::from_bytes(&[byte]).is_ok(),
                "{byte:#x}"
            );
            assert_eq!(
                is_token_byte(byte),
                http::HeaderName::from_bytes(&[byte]).is_ok(),
                "{byte:#x}"
            );
        }
    }
}
