//! The listener in clear: 308 to `https://`, and nothing else.
//!
//! A connection here is served by the same code as one behind TLS, with the same checks, limits
//! and timeouts; it only has no TLS, and one request. What differs stands in this file: where the
//! client is sent, and which paths are passed to the application all the same. Invariant: nothing
//! but those paths reaches the application, however it reads a path.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Uri;
use tokio::net::TcpStream;

use super::connection;
use super::error::Refusal;
use super::establish;
use super::{Permit, Worker};
use crate::config;
use crate::message::Request;

/// Serves one socket that was accepted in clear to its end.
pub async fn accepted_in_clear(
    worker: Arc<Worker>,
    socket: TcpStream,
    peer: SocketAddr,
    permit: Permit,
) {
    let limit = worker.policy.listen.handshake_timeout;
    let begun = tokio::time::timeout(limit, establish::in_clear(&worker, socket, peer)).await;
    match begun {
        Ok(Ok(established)) => {
            connection::serve(worker, established, peer, permit).await;
        }
        Ok(Err(failure)) => {
            worker.telemetry.metrics.connections.failed.increment();
            let reason = failure.as_str();
            tracing::debug!(client.address = %peer, reason, "nothing asked in clear");
        }
        Err(_) => worker.telemetry.metrics.connections.timed_out.increment(),
    }
}

/// Lets a request through that may reach the application in clear.
///
/// # Errors
/// Where any other is sent.
pub(super) fn admit<B>(
    section: &config::Redirect,
    request: &Request<B>,
    host: Option<&str>,
) -> Result<(), Refusal> {
    let path = request.uri.path();
    if section.except.iter().any(|prefix| is_below(path, prefix)) {
        return Ok(());
    }
    let host = host.ok_or(Refusal::BadRequest(
        "without a Host nobody can be sent to https",
    ))?;
    let location = location(host, section.port, &request.uri);
    Err(location.map_or(
        Refusal::BadRequest("the request target is not a path"),
        Refusal::Redirect,
    ))
}

/// Whether `path` is `prefix` or below it, also to whoever decodes it and resolves its dots.
fn is_below(path: &str, prefix: &str) -> bool {
    let Some(rest) = path.strip_prefix(prefix) else {
        return false;
    };
    let is_bounded = rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/');
    let is_plain = !rest.contains(['%', '\\', ';']);
    is_bounded && is_plain && rest.split('/').all(|part| !part.starts_with('.'))
}

/// The same target on the TLS listener at `port`.
fn location(host: &str, port: u16, target: &Uri) -> Option<String> {
    let end = match host.find(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    let target = target.path_and_query()?.as_str();
    if !target.starts_with('/') {
        return None;
    }
    let name = &host[..end];
    Some(match port {
        config::defaults::REDIRECT_PORT => format!("https://{name}{target}"),
        port => format!("https://{name}:{port}{target}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(host: &str, port: u16, target: &str) -> Option<String> {
        location(host, port, &target.parse().unwrap())
    }

    #[test]
    fn the_target_stays_and_the_port_is_that_of_the_tls_listener() {
        for (host, port, target, expected) in [
            ("a.example", 443, "/x?y=1", "https://a.example/x?y=1"),
            ("a.example:8080", 443, "/", "https://a.example/"),
            ("a.example:8080", 8443, "/", "https://a.example:8443/"),
            ("[::1]:80", 8443, "/a//b", "https://[::1]:8443/a//b"),
            (
                "192.0.2.1:",
                443,
                "//b.example/",
                "https://192.0.2.1//b.example/",
            ),
            ("a", 443, "http://a/x?", "https://a/x?"),
        ] {
            assert_eq!(sent(host, port, target).as_deref(), Some(expected));
        }
        assert_eq!(sent("a", 443, "*"), None);
    }

    #[test]
    fn only_what_is_below_a_prefix_to_everybody_is_below_it() {
        let prefix = "/.well-known/acme-challenge/";
        for below in ["", "token", "to-ken_1/x.txt", "a//b"] {
            assert!(is_below(&format!("{prefix}{below}"), prefix), "{below}");
        }
        for not in [
            "..",
            "../x",
            "a/../../x",
            "a/./b",
            "%2e%2e/x",
            "..%2fx",
            "a\\..\\x",
            "..;/x",
        ] {
            assert!(!is_below(&format!("{prefix}{not}"), prefix), "{not}");
        }
        assert!(!is_below("/.well-known/acme-challenge", prefix));
        assert!(is_below("/a", "/a") && is_below("/a/b", "/a") && !is_below("/ab", "/a"));
    }

    proptest! {
        #[test]
        fn nobody_is_sent_to_another_host(target in "/[!-~&&[^#]]{0,30}") {
            prop_assume!(target.parse::<Uri>().is_ok());
            let sent = sent("a.example:80", 443, &target).unwrap();
            prop_assert!(sent.starts_with("https://a.example/"));
        }
    }
}
