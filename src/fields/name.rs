//! Names of header fields, and the values they may have (RFC 9110 section 5).
//!
//! A name carries a mark, a few bits that are made of its letters: names with different marks differ,
//! so that most comparisons are of two numbers. A mark proves nothing else, and an attacker who makes
//! two alike makes one comparison more.

use std::fmt;
use std::ops::Deref;

use http::header::{HeaderName, HeaderValue};

use crate::syntax;

/// Bytes of the longest name: the `http` crate takes no longer one.
pub(super) const MAX_NAME: usize = u16::MAX as usize;

/// The name of a field: a token without capitals.
#[derive(Clone, Copy)]
pub struct Name<'a> {
    text: &'a [u8],
    mark: u32,
}

/// The value of a field: no control character but the tab is in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a [u8]);

macro_rules! names {
    ($($constant:ident $text:literal)*) => {
        $(
            #[doc = concat!("`", $text, "`")]
            pub const $constant: Name<'static> = Name::from_static($text);
        )*
    };
}

names! {
    ALLOW "allow"
    CONNECTION "connection"
    CONTENT_LENGTH "content-length"
    CONTENT_TYPE "content-type"
    COOKIE "cookie"
    DATE "date"
    EXPECT "expect"
    FORWARDED "forwarded"
    GRPC_MESSAGE "grpc-message"
    GRPC_STATUS "grpc-status"
    HOST "host"
    HTTP2_SETTINGS "http2-settings"
    KEEP_ALIVE "keep-alive"
    LOCATION "location"
    PROXY_AUTHENTICATE "proxy-authenticate"
    PROXY_AUTHORIZATION "proxy-authorization"
    PROXY_CONNECTION "proxy-connection"
    RETRY_AFTER "retry-after"
    SEC_WEBSOCKET_ACCEPT "sec-websocket-accept"
    SEC_WEBSOCKET_KEY "sec-websocket-key"
    SEC_WEBSOCKET_VERSION "sec-websocket-version"
    STRICT_TRANSPORT_SECURITY "strict-transport-security"
    TE "te"
    TRACEPARENT "traceparent"
    TRACESTATE "tracestate"
    TRAILER "trailer"
    TRANSFER_ENCODING "transfer-encoding"
    UPGRADE "upgrade"
    X_FORWARDED_FOR "x-forwarded-for"
    X_FORWARDED_HOST "x-forwarded-host"
    X_FORWARDED_PORT "x-forwarded-port"
    X_FORWARDED_PROTO "x-forwarded-proto"
    X_REQUEST_ID "x-request-id"
}

impl<'a> Name<'a> {
    /// A name that is written in the source.
    ///
    /// # Panics
    /// When it is none; a constant does so at compile time.
    pub const fn from_static(text: &'static str) -> Name<'static> {
        let bytes = text.as_bytes();
        assert!(!bytes.is_empty(), "a name has no letters");
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            let is_sound = syntax::is_token_byte(byte) && !byte.is_ascii_uppercase();
            assert!(is_sound, "a name has a byte that none has");
            at += 1;
        }
        Name::known(bytes)
    }

    /// The name that is written `text`; `None` where it is none, or has capitals.
    pub fn new(text: &'a [u8]) -> Option<Self> {
        let is_token = syntax::token_length(text) == text.len();
        let is_sound = (1..=MAX_NAME).contains(&text.len())
            && is_token
            && !text.iter().any(u8::is_ascii_uppercase);
        is_sound.then(|| Self::known(text))
    }

    /// A name that was found to be one before.
    pub(crate) const fn known(text: &'a [u8]) -> Self {
        Self {
            text,
            mark: mark(text),
        }
    }

    /// A name whose mark is kept with it.
    pub(crate) const fn marked(text: &'a [u8], mark: u32) -> Self {
        Self { text, mark }
    }

    /// Its letters.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.text
    }

    /// Its mark.
    #[inline]
    pub const fn mark(self) -> u32 {
        self.mark
    }
}

impl<'a> Value<'a> {
    /// The value that is written `bytes`; `None` where it is none.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        syntax::are_value(bytes).then_some(Self(bytes))
    }

    /// A value that is written in the source.
    ///
    /// # Panics
    /// When it is none; a constant does so at compile time.
    pub const fn from_static(text: &'static str) -> Value<'static> {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            assert!(bytes[at] >= b' ' && bytes[at] < 0x7f, "no value has this");
            at += 1;
        }
        Value(bytes)
    }

    /// A value that was found to be one before.
    pub(crate) const fn known(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// It as text; `None` where it is not in ASCII.
    pub fn as_str(self) -> Option<&'a str> {
        let is_text = self.0.is_ascii();
        str::from_utf8(self.0).ok().filter(|_| is_text)
    }
}

/// What tells a name from others, mostly.
const fn mark(name: &[u8]) -> u32 {
    /// Odd, and half of its bits are ones.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let (first, last) = match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => {
            let (mut word, mut at) = (0, 0);
            while at < name.len() {
                word = word << 8 | name[at] as u64;
                at += 1;
            }
            (word, 0)
        }
    };
    let word = first ^ last.rotate_left(23) ^ ((name.len() as u64) << 59);
    (word.wrapping_mul(FACTOR) >> 32) as u32
}

impl PartialEq for Name<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.mark == other.mark && self.text == other.text
    }
}

impl Eq for Name<'_> {}

impl PartialEq<str> for Name<'_> {
    fn eq(&self, other: &str) -> bool {
        self.text == other.as_bytes()
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.text.escape_ascii())
    }
}

impl<'a> From<&'a HeaderName> for Name<'a> {
    fn from(name: &'a HeaderName) -> Self {
        Self::known(name.as_str().as_bytes())
    }
}

impl Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl PartialEq<str> for Value<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Value<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl<'a> From<&'a HeaderValue> for Value<'a> {
    fn from(value: &'a HeaderValue) -> Self {
        Self(value.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_token_without_capitals() {
        for name in ["a", "host", "x-forwarded-for", "!#$%&'*+-.^_`|~09az"] {
            assert_eq!(Name::new(name.as_bytes()), Some(Name::from_static(name)));
        }
        for none in ["", "Host", "a b", "a:", "\"a\"", "a\r\n", "ä", ":path"] {
            assert_eq!(Name::new(none.as_bytes()), None, "{none:?}");
        }
    }

    #[test]
    fn names_differ_by_any_of_their_letters() {
        let names = [
            "a",
            "b",
            "ab",
            "ba",
            "aaaaaaaa",
            "aaaaaaab",
            "content-length",
        ];
        let longer = [
            "content-lengtH",
            "aontent-length",
            "contentxlength",
            "contents-length",
        ];
        let all: Vec<_> = names.iter().chain(&longer).collect();
        for (at, one) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                let (one, other) = (Name::known(one.as_bytes()), Name::known(other.as_bytes()));
                assert_eq!(one == other, at == other_at, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_value_has_no_control_characters_but_the_tab() {
        for value in [&b""[..], b" a\tb ", b"\x80\xff", b"a: b"] {
            assert_eq!(Value::new(value), Some(Value::known(value)));
        }
        for none in [&b"\n"[..], b"a\r", b"\0", b"\x7f"] {
            assert_eq!(Value::new(none), None, "{none:?}");
        }
    }
}
