//! The classes of bytes that make up a head, one look-up a byte.

/// `tchar` (RFC 9110 section 5.6.2).
const TOKEN: u8 = 1;
/// `tchar` without lower-case letters: the methods there are (RFC 9110 section 16.1).
const METHOD: u8 = 2;
/// What a path may hold: RFC 3986, and `"`, `{`, `|`, `}`, which browsers send as they are.
const PATH: u8 = 4;
/// What a query may hold.
const QUERY: u8 = 8;
/// What the name of a host may hold (RFC 3986 section 3.2.2, and `_`, which some have).
const HOST: u8 = 16;

/// 1 in each byte.
const ONES: u64 = u64::MAX / 255;
/// The highest bit of each byte.
const HIGHEST: u64 = ONES * 0x80;

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
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'%') {
            classes[byte] |= HOST;
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

/// The token byte that each is without capitals; 0 for what is none.
const LOWER: [u8; 256] = lower();

const fn lower() -> [u8; 256] {
    let mut lower = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        if is(byte as u8, TOKEN) {
            lower[byte] = (byte as u8).to_ascii_lowercase();
        }
        byte += 1;
    }
    lower
}

const fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// How many of `bytes` are of a field name.
pub fn token_length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|b| !is(*b, TOKEN))
        .unwrap_or(bytes.len())
}

/// Makes small letters of the capitals in the field name that `bytes` begin with, and tells how long it
/// is. Most names are letters and hyphens, which is found eight at a time.
pub fn lower_token(bytes: &mut [u8]) -> usize {
    let mut done = 0;
    while let Some(word) = bytes[done..].first_chunk_mut()
        && let Some(lower) = lower_letters(*word)
    {
        *word = lower;
        done += word.len();
    }
    for (at, byte) in bytes[done..].iter_mut().enumerate() {
        match LOWER[usize::from(*byte)] {
            0 => return done + at,
            lower => *byte = lower,
        }
    }
    bytes.len()
}

/// `bytes` without capitals if all of them are letters and hyphens.
const fn lower_letters(bytes: [u8; 8]) -> Option<[u8; 8]> {
    let given = u64::from_le_bytes(bytes);
    // A hyphen stays one, and so does a small letter.
    let word = given | (ONES * 0x20);
    // In the highest bit of each byte, none of which carries into the next.
    let low = word & !HIGHEST;
    let from_a = low + ONES * (0x80 - b'a' as u64);
    let beyond_z = low + ONES * (0x7f - b'z' as u64);
    let no_hyphen = ((given & !HIGHEST) ^ (ONES * b'-' as u64)) + ONES * 0x7f;
    let others = word | !(from_a & !beyond_z) & no_hyphen;
    match others & HIGHEST {
        0 => Some(word.to_le_bytes()),
        _ => None,
    }
}

/// Whether `byte` may be part of a field name.
pub const fn is_token_byte(byte: u8) -> bool {
    is(byte, TOKEN)
}

/// How many of `bytes` are of a method.
pub fn method_length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|b| !is(*b, METHOD))
        .unwrap_or(bytes.len())
}

/// How many of `bytes` are of the name of a host.
pub fn host_name_length(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|b| !is(*b, HOST))
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

/// How many of `bytes` may be of a field value. Looked at eight at a time: most have no control character.
pub(super) fn value_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while at < bytes.len() {
        if let Some(word) = bytes[at..].first_chunk() {
            let clean = controls(*word).trailing_zeros() as usize / 8;
            at += clean;
            if clean == word.len() {
                continue;
            }
        }
        if !is_value(bytes[at]) {
            break;
        }
        at += 1;
    }
    at
}

/// Whether all of `bytes` may be of a field value.
pub fn are_value(bytes: &[u8]) -> bool {
    value_length(bytes) == bytes.len()
}

/// The highest bit of each of `bytes` that is below the blank or DEL, up to the first of them; what is
/// behind that means nothing.
const fn controls(bytes: [u8; 8]) -> u64 {
    let word = u64::from_le_bytes(bytes);
    let below = word.wrapping_sub(ONES * 0x20) & !word;
    let deleted = word ^ (ONES * 0x7f);
    (below | (deleted.wrapping_sub(ONES) & !deleted)) & HIGHEST
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
                are_value(&[byte]),
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

    #[test]
    fn a_control_character_is_found_wherever_it_is() {
        for length in 1..40 {
            for at in 0..length {
                for byte in 0..=255_u8 {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    assert_eq!(are_value(&bytes), is_value(byte), "{byte:#x} {at} {length}");
                }
            }
        }
    }

    #[test]
    fn a_name_loses_its_capitals_up_to_its_end() {
        for (given, lower, length) in [
            ("Host: A", "host: A", 4),
            ("X_Y-z", "x_y-z", 5),
            (": A", ": A", 0),
            ("A\u{e4}B", "a\u{e4}B", 1),
            ("", "", 0),
            (
                "Sec-WebSocket-Extensions: A",
                "sec-websocket-extensions: A",
                24,
            ),
            (
                "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_9:",
                "abcdefghijklmnopqrstuvwxyz-_9:",
                29,
            ),
        ] {
            let mut bytes = given.as_bytes().to_vec();
            assert_eq!(lower_token(&mut bytes), length);
            assert_eq!(bytes, lower.as_bytes());
        }
    }

    #[test]
    fn a_byte_of_no_name_is_found_wherever_it_is() {
        for at in 0..20 {
            for byte in 0..=255_u8 {
                let mut bytes = [b'A'; 20];
                bytes[at] = byte;
                let length = if is_token_byte(byte) { 20 } else { at };
                let lower = bytes.map(|byte| byte.to_ascii_lowercase());
                assert_eq!(lower_token(&mut bytes), length, "{byte:#x} {at}");
                assert_eq!(bytes[..length], lower[..length]);
                assert!(length == 20 || bytes[at] == byte);
            }
        }
    }
}
