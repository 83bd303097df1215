//! What is done to the headers of a request and of its answer, on its own: for benchmarks and fuzz
//! targets, which have no connection.
//!
//! It calls what the request path calls, in its order, and adds nothing.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue};

use super::Policy;
use super::headers::{self, Forwarding, Trust};

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
