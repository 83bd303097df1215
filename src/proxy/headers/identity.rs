//! Who the client is by its certificate, told to the application: `Client-Cert` and
//! `Client-Cert-Chain` (RFC 9440), `X-Forwarded-Client-Cert` as Envoy writes it.
//!
//! Made once for a connection. Every copy of others was removed before, so that the application
//! may believe what it finds. Invariant: whatever a certificate says stays inside of its quotes.

use std::fmt::Write as _;

use http::header::{HeaderName, HeaderValue};

use crate::config::IdentityHeaders;
use crate::fields::Fields;
use crate::tls::Client;

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// The headers of one client.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Identity(Vec<(HeaderName, HeaderValue)>);

impl Identity {
    /// What `which` headers say of `client`; nothing of one without a certificate.
    pub(in crate::proxy) fn of(client: Option<&Client>, which: IdentityHeaders) -> Self {
        let Some(client) = client else {
            return Self::default();
        };
        let mut headers = Vec::new();
        let mut add = |name, text: String| {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.push((name, value));
            }
        };
        let mut chain = client.chain().map(byte_sequence);
        let leaf = chain.next();
        if let Some(leaf) = leaf.filter(|_| which.leaf) {
            add(CLIENT_CERT, leaf);
        }
        let rest: Vec<_> = chain.collect();
        if which.chain && !rest.is_empty() {
            add(CLIENT_CERT_CHAIN, rest.join(", "));
        }
        if which.forwarded {
            add(FORWARDED, forwarded(client));
        }
        Self(headers)
    }

    /// Puts them into a request.
    pub(in crate::proxy) fn set(&self, fields: &mut Fields) {
        for (name, value) in &self.0 {
            fields.set(name.into(), value.into());
        }
    }
}

/// One element of `X-Forwarded-Client-Cert`.
fn forwarded(client: &Client) -> String {
    let holder = client.holder();
    let mut element = String::new();
    for uri in client.server_uris() {
        let _ = write!(element, "By={};", quoted(uri));
    }
    // The subject is in ASCII with its quotes escaped, and Envoy writes it also when it is empty.
    let _ = write!(
        element,
        "Hash={};Subject=\"{}\"",
        holder.sha256, holder.subject
    );
    for uri in &holder.uris {
        let _ = write!(element, ";URI={}", quoted(uri));
    }
    for name in &holder.dns {
        let _ = write!(element, ";DNS={}", quoted(name));
    }
    element
}

/// A value as it may stand: quoted where one of its characters would end it, and by percent where
/// it is no printable ASCII, which no URI and no DNS name holds.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' | 0..=b' ' | 0x7f.. => {
                let _ = write!(text, "%{byte:02X}");
            }
            _ => text.push(char::from(byte)),
        }
    }
    match text.contains([',', ';', '=', '"']) {
        true => format!("\"{text}\""),
        false => text,
    }
}

/// A byte sequence of structured fields (RFC 9651 section 3.3.5).
fn byte_sequence(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4 + 2);
    text.push(':');
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4_usize {
            let digit = (bits >> (18 - 6 * at) & 63) as usize;
            text.push(match at <= group.len() {
                true => char::from(DIGITS[digit]),
                false => '=',
            });
        }
    }
    text.push(':');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_a_structured_field_with_padding() {
        for (bytes, text) in [
            (&b""[..], "::"),
            (b"f", ":Zg==:"),
            (b"fo", ":Zm8=:"),
            (b"foo", ":Zm9v:"),
            (&[0xfb, 0xff, 0xfe, 0], ":+//+AA==:"),
        ] {
            assert_eq!(byte_sequence(bytes), text);
        }
    }

    // TLS-11
    #[test]
    fn a_name_cannot_add_a_field_of_its_own() {
        assert_eq!(quoted("spiffe://d/ns/a"), "spiffe://d/ns/a");
        assert_eq!(quoted("a;URI=spiffe://d/root"), "\"a;URI=spiffe://d/root\"");
        assert_eq!(quoted("a\",By=x"), "\"a\\\",By=x\"");
        assert_eq!(quoted("a\\\";By=x"), "\"a%5C\\\";By=x\"");
        assert_eq!(quoted("a\0b\r\nc ä"), "a%00b%0D%0Ac%20%C3%A4");
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_name_is_it_makes_one_header_value(name in "\\PC*|[\\x00-\\x7f]*") {
            let quoted = quoted(&name);
            proptest::prop_assert!(HeaderValue::try_from(quoted.as_str()).is_ok());
            let bare = quoted.replace("\\\"", "");
            let is_whole = match bare.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(inside) => !inside.contains('"'),
                None => !bare.contains(['"', ',', ';', '=']),
            };
            proptest::prop_assert!(is_whole, "{}", quoted);
        }
    }
}
