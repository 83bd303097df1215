//! Trailer fields as they cross the proxy.
//!
//! What a recipient acts on before or instead of the body must not come behind it (RFC 9110
//! section 6.5.1): a recipient that merges trailers into the header section would be told one
//! thing first and another thing last. Such fields are dropped; the rest, gRPC's status among it,
//! goes through.

use http::header::{HeaderMap, HeaderName};

use super::forwarded;

/// Framing, routing, modifiers, authentication and content (RFC 9110 section 6.5.1).
const NAMES: [&str; 26] = [
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "expires",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "max-forwards",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "www-authenticate",
    "x-request-id",
];
/// Whole families of such fields.
const PREFIXES: [&str; 2] = ["if-", "proxy-"];

/// Removes from a trailer section what belongs in no trailer section, and names that are none: the
/// `http` crate takes a quote for part of a token.
pub(in crate::proxy) fn strip_trailers(trailers: &mut HeaderMap) {
    let misplaced: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| is_misplaced(name.as_str()) || name.as_str().contains('"'))
        .cloned()
        .collect();
    for name in misplaced {
        trailers.remove(name);
    }
}

fn is_misplaced(name: &str) -> bool {
    let hyphenated = name.replace('_', "-");
    NAMES.contains(&hyphenated.as_str())
        || PREFIXES.iter().any(|prefix| hyphenated.starts_with(prefix))
        || forwarded::is_claim_spelled(&hyphenated)
}

#[cfg(test)]
mod tests {
    use super::*;

    // H1-06 TLS-11
    #[test]
    fn trailers_lose_framing_routing_and_authentication_and_keep_the_rest() {
        let mut trailers = HeaderMap::new();
        for name in [
            "content-length",
            "transfer-encoding",
            "host",
            "authorization",
            "proxy-authorization",
            "x-forwarded-for",
            "x_forwarded_for",
            "client-cert",
            "content_length",
            "if-match",
            "set-cookie",
            "grpc-status",
            "grpc-message",
            "digest",
            "server-timing",
        ] {
            trailers.insert(name, "1".parse().unwrap());
        }
        strip_trailers(&mut trailers);
        let mut left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            ["digest", "grpc-message", "grpc-status", "server-timing"]
        );
    }
}
