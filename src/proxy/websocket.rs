//! The two values of a WebSocket handshake (RFC 6455 section 1.3), needed where HTTP/2, which has
//! neither, is bridged to HTTP/1.1.

use aws_lc_rs::digest;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A fresh `Sec-WebSocket-Key`: 16 random bytes; it proves the handshake and hides nothing.
pub(super) fn new_key() -> String {
    base64(&fastrand::u128(..).to_be_bytes())
}

/// The `Sec-WebSocket-Accept` that answers `key`.
pub(super) fn accept(key: &[u8]) -> String {
    let mut text = key.to_vec();
    text.extend_from_slice(GUID);
    base64(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &text).as_ref())
}

/// RFC 4648 section 4. Two short values need no crate.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group
            .iter()
            .chain([&0, &0])
            .take(3)
            .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for digit in 0..4 {
            text.push(match digit <= group.len() {
                true => char::from(ALPHABET[bits >> (18 - 6 * digit) & 63]),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455_is_answered_as_it_says() {
        let key = b"dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(accept(key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(new_key().len(), 24);
    }
}
