//! What is done to the headers of a request and of its answer, on its own: for benchmarks and fuzz
//! targets, which have no connection.
//!
//! It calls what the request path calls, in its order, and adds nothing.

use std::net::SocketAddr;

use super::Policy;
use super::headers::{self, Forwarding, Trust};
use crate::fields::Fields;

/// Makes the headers of a request what the application is to see, for a client at `client`.
pub fn to_upstream(fields: &mut Fields, client: SocketAddr, host: Option<&str>, policy: &Policy) {
    let trust = Trust::of(client, &policy.listen.trusted_proxies);
    let server = ([192, 0, 2, 1], 443).into();
    let forwarding = Forwarding::new(client, server, trust, None, &policy.headers);
    headers::strip_hop_by_hop(fields);
    headers::set_forwarded(fields, &forwarding, host);
    headers::ensure_request_id(fields);
    headers::join_cookies(fields);
}

/// Makes the headers of an answer what the client is to see.
pub fn to_downstream(fields: &mut Fields, policy: &Policy) {
    headers::strip_hop_by_hop(fields);
    headers::apply_policy(fields, &policy.headers);
}
