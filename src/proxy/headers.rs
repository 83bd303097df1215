//! Headers as they cross the proxy: pure functions, both directions.
//!
//! RFC 9110 section 7.6 says what an intermediary removes and adds. What is ours is added after
//! everything of others is removed, so that nobody's header survives under our name.

mod forwarded;
mod hop_by_hop;
mod identity;
mod trace;
mod trailers;

use http::header::{self, Entry, HeaderMap, HeaderName, HeaderValue};

pub(super) use forwarded::{Forwarding, Trust, set_forwarded};
pub(super) use hop_by_hop::{ConnectionOptions, connection_options, strip_hop_by_hop};
pub(super) use trace::{continue_trace, hand_on};
pub(super) use trailers::strip_trailers;

use crate::config;

/// `X-Request-Id`, by which a request is found in both logs.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Fields that every request gets on its way: room for them from the start spares a head from being
/// laid out anew.
pub(super) const ADDED: usize = 3;
/// More of a client's own request id is not worth carrying.
const REQUEST_ID_MAX: usize = 128;

/// Joins cookie crumbs (RFC 9113 section 8.2.3): HTTP/1.1 applications read one `Cookie` line.
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    // Bytes that were header values stay one when joined by "; ".
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Gives the request an id where it has no usable one.
pub(super) fn ensure_request_id(headers: &mut HeaderMap) {
    let mut given = match headers.entry(REQUEST_ID) {
        Entry::Vacant(none) => {
            none.insert(random_id());
            return;
        }
        Entry::Occupied(given) => given,
    };
    let id = given.get();
    let is_usable = !id.is_empty()
        && id.len() <= REQUEST_ID_MAX
        && id.as_bytes().iter().all(u8::is_ascii_graphic);
    // Of two nobody could say which one the other log has.
    if !is_usable || given.iter().nth(1).is_some() {
        given.insert(random_id());
    }
}

/// 128 random bits in hex. An id to find things by, no secret: a fast generator will do.
fn random_id() -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut id = [0; 32];
    for (digits, byte) in id.chunks_exact_mut(2).zip(fastrand::u128(..).to_le_bytes()) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
    HeaderValue::from_bytes(&id).unwrap_or(HeaderValue::from_static("0"))
}

/// The operator's header policy for answers.
pub(super) fn apply_policy(headers: &mut HeaderMap, policy: &config::Headers) {
    for name in &policy.remove {
        headers.remove(name);
    }
    for (name, value) in &policy.set {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(hsts) = &policy.hsts
        && !headers.contains_key(header::STRICT_TRANSPORT_SECURITY)
    {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_crumbs_become_one_line_in_their_order() {
        let mut headers = HeaderMap::new();
        for crumb in ["a=1", "b=2; c=3", "d=\"x\""] {
            headers.append(header::COOKIE, crumb.parse().unwrap());
        }
        join_cookies(&mut headers);
        let lines: Vec<_> = headers.get_all(header::COOKIE).iter().collect();
        assert_eq!(lines, ["a=1; b=2; c=3; d=\"x\""]);
    }

    #[test]
    fn a_usable_request_id_is_kept_and_any_other_is_replaced() {
        let long = "a".repeat(REQUEST_ID_MAX + 1);
        for (given, kept) in [
            ("abc-1", true),
            ("", false),
            ("two words", false),
            (long.as_str(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, given.parse().unwrap());
            ensure_request_id(&mut headers);
            assert_eq!(headers[&REQUEST_ID] == given, kept, "{given:?}");
        }
        let mut headers = HeaderMap::new();
        ensure_request_id(&mut headers);
        assert_eq!(headers[&REQUEST_ID].len(), 32);
        headers.append(REQUEST_ID, HeaderValue::from_static("second"));
        ensure_request_id(&mut headers);
        assert_eq!(headers.get_all(&REQUEST_ID).iter().count(), 1);
    }

    #[test]
    fn the_operators_headers_win_and_hsts_yields_to_the_applications() {
        let policy = config::Headers {
            hsts: Some(HeaderValue::from_static("max-age=1")),
            set: vec![(header::SERVER, HeaderValue::from_static("ours"))],
            remove: vec![HeaderName::from_static("x-powered-by")],
            ..config::Headers::default()
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::SERVER, HeaderValue::from_static("theirs"));
        headers.insert("x-powered-by", HeaderValue::from_static("PHP"));
        apply_policy(&mut headers, &policy);
        assert_eq!(headers[header::SERVER], "ours");
        assert_eq!(headers[header::STRICT_TRANSPORT_SECURITY], "max-age=1");
        assert_eq!(headers.len(), 2);
    }
}
