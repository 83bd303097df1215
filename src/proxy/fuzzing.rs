//! What the fuzz targets of headers and authority call; built under `cfg(fuzzing)` alone.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Request};

use super::headers::{self, ConnectionOptions, Forwarding, Trust};
use super::{Policy, checks};

/// The host that `request` is for, or the words of its refusal.
///
/// # Errors
/// Why it is refused.
pub fn check<B>(request: &Request<B>) -> Result<Option<HeaderValue>, String> {
    checks::request(request).map_err(|refusal| format!("{refusal:?}"))
}

/// Whether `Connection` lists what it must not.
pub fn is_abusive(headers: &HeaderMap) -> bool {
    headers::connection_options(headers) == ConnectionOptions::Abusive
}

/// Makes the headers of a request what the application is to see, for a client at `client`.
pub fn to_upstream(
    headers: &mut HeaderMap,
    client: SocketAddr,
    host: Option<&HeaderValue>,
    policy: &Policy,
) {
    let trust = Trust::of(client, &policy.listen.trusted_proxies);
    let server = ([192, 0, 2, 1], 443).into();
    let forwarding = Forwarding::new(client, server, trust, None, &policy.headers);
    headers::strip_hop_by_hop(headers);
    headers::set_forwarded(headers, &forwarding, host);
    headers::ensure_request_id(headers);
    headers::join_cookies(headers);
}

/// Makes the headers of an answer what the client is to see.
pub fn to_downstream(headers: &mut HeaderMap, policy: &Policy) {
    headers::strip_hop_by_hop(headers);
    headers::apply_policy(headers, &policy.headers);
}
