//! Headers as they cross the proxy: pure functions, both directions.
//!
//! RFC 9110 section 7.6 says what an intermediary removes and adds. What is ours is added after
//! everything of others is removed, so that nobody's header survives under our name.

mod forwarded;
mod hop_by_hop;
mod identity;
mod trace;
mod trailers;

pub(super) use forwarded::{Forwarding, Trust, set_forwarded};
pub(super) use hop_by_hop::{ConnectionOptions, connection_options, strip_hop_by_hop};
pub(super) use trace::{continue_trace, hand_on};
pub(super) use trailers::strip_trailers;

use crate::config;
use crate::fields::{Fields, Value, name};

/// Fields that every request gets on its way: room for them from the start spares a head from being
/// laid out anew.
pub(super) const ADDED: usize = 3;
/// What those have, about, as lines of a head.
pub(super) const ADDED_BYTES: usize = 128;
/// More of a client's own request id is not worth carrying.
const REQUEST_ID_MAX: usize = 128;

/// Joins cookie crumbs (RFC 9113 section 8.2.3): HTTP/1.1 applications read one `Cookie` line.
pub(super) fn join_cookies(fields: &mut Fields) {
    let mut crumbs = fields.all(name::COOKIE);
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return;
    };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    // Values stay one when they are joined by "; ".
    fields.set(name::COOKIE, Value::known(&joined));
}

/// Gives the request an id, `X-Request-Id`, by which it is found in both logs, where it has no usable one.
pub(super) fn ensure_request_id(fields: &mut Fields) {
    let is_usable = |id: Value<'_>| {
        !id.is_empty() && id.len() <= REQUEST_ID_MAX && id.iter().all(u8::is_ascii_graphic)
    };
    // Of two nobody could say which one the other log has.
    if fields
        .only(name::X_REQUEST_ID)
        .is_none_or(|id| !is_usable(id))
    {
        fields.set(name::X_REQUEST_ID, Value::known(&random_id()));
    }
}

/// 128 random bits in hex. An id to find things by, no secret: a fast generator will do.
fn random_id() -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut id = [0; 32];
    for (digits, byte) in id.chunks_exact_mut(2).zip(fastrand::u128(..).to_le_bytes()) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
    id
}

/// The operator's header policy for answers.
pub(super) fn apply_policy(fields: &mut Fields, policy: &config::Headers) {
    for name in &policy.remove {
        fields.remove(name.into());
    }
    for (name, value) in &policy.set {
        fields.set(name.into(), value.into());
    }
    if let Some(hsts) = &policy.hsts
        && !fields.has(name::STRICT_TRANSPORT_SECURITY)
    {
        fields.append(name::STRICT_TRANSPORT_SECURITY, hsts.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::fixtures::fields;
    use http::header::{self, HeaderName, HeaderValue};

    #[test]
    fn cookie_crumbs_become_one_line_in_their_order() {
        let crumbs = ["a=1", "b=2; c=3", "d=\"x\""].map(|crumb| ("cookie", crumb));
        let mut fields = fields(&crumbs);
        join_cookies(&mut fields);
        assert_eq!(fields.only(name::COOKIE).unwrap(), "a=1; b=2; c=3; d=\"x\"");
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
            let mut fields = fields(&[("x-request-id", given)]);
            ensure_request_id(&mut fields);
            let id = fields.only(name::X_REQUEST_ID).unwrap();
            assert_eq!(id == given, kept, "{given:?}");
        }
        let mut none = Fields::default();
        ensure_request_id(&mut none);
        assert_eq!(none.only(name::X_REQUEST_ID).unwrap().len(), 32);
        none.append(name::X_REQUEST_ID, Value::from_static("second"));
        ensure_request_id(&mut none);
        assert_eq!(none.only(name::X_REQUEST_ID).unwrap().len(), 32);
    }

    #[test]
    fn the_operators_headers_win_and_hsts_yields_to_the_applications() {
        let policy = config::Headers {
            hsts: Some(HeaderValue::from_static("max-age=1")),
            set: vec![(header::SERVER, HeaderValue::from_static("ours"))],
            remove: vec![HeaderName::from_static("x-powered-by")],
            ..config::Headers::default()
        };
        let mut theirs = fields(&[("server", "theirs"), ("x-powered-by", "PHP")]);
        apply_policy(&mut theirs, &policy);
        let ours = [
            ("server", "ours"),
            ("strict-transport-security", "max-age=1"),
        ];
        assert!(theirs.iter().eq(fields(&ours).iter()));
        let mut theirs = fields(&[("strict-transport-security", "max-age=2")]);
        apply_policy(&mut theirs, &policy);
        let hsts = theirs.only(name::STRICT_TRANSPORT_SECURITY);
        assert_eq!(hsts.unwrap(), "max-age=2");
    }
}
