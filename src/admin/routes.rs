//! From a request on the admin port to its answer.
//!
//! Pure dispatch: which route, whether by the right method, whether by somebody who may. Invariant:
//! what changes anything is asked for by a peer on loopback and by no web page.

use std::net::SocketAddr;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use super::{Admin, control, metrics, page, probes, report};
use crate::readiness::Question;

/// An answer; all of them are short enough to be made whole.
pub(super) type Answer = Response<String>;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Sent by browsers with what a web page asks for.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Page,
    Live,
    Ready,
    Started,
    Metrics,
    ApplicationMetrics,
    Certificates,
    Configuration,
    Status,
    Reload,
    Drain,
    LogLevel,
}

const ROUTES: [(&str, Route); 13] = [
    ("/", Route::Page),
    ("/livez", Route::Live),
    ("/healthz", Route::Live),
    ("/readyz", Route::Ready),
    ("/startupz", Route::Started),
    ("/metrics", Route::Metrics),
    ("/metrics/app", Route::ApplicationMetrics),
    ("/certs", Route::Certificates),
    ("/config", Route::Configuration),
    ("/status", Route::Status),
    ("/reload", Route::Reload),
    ("/drain", Route::Drain),
    ("/log-level", Route::LogLevel),
];

impl Route {
    fn of(path: &str) -> Option<Self> {
        let found = ROUTES.iter().find(|(known, _)| *known == path);
        found.map(|(_, route)| *route)
    }

    /// What changes something goes by a method that no link and no crawler uses.
    fn method(self) -> Method {
        match self {
            Self::Reload | Self::Drain => Method::POST,
            Self::LogLevel => Method::PUT,
            _ => Method::GET,
        }
    }

    fn allow(self) -> &'static str {
        match self {
            Self::Reload | Self::Drain => "POST",
            Self::LogLevel => "PUT",
            _ => "GET, HEAD",
        }
    }
}

/// The answer to `request` of `peer`.
pub(super) async fn answer(admin: &Admin, peer: SocketAddr, request: Request<Incoming>) -> Answer {
    let mut answer = route(admin, peer, request).await;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    answer
}

async fn route(admin: &Admin, peer: SocketAddr, request: Request<Incoming>) -> Answer {
    if let Some(refusal) = malformed(&request) {
        return text(StatusCode::BAD_REQUEST, refusal);
    }
    let Some(route) = Route::of(request.uri().path()) else {
        return text(StatusCode::NOT_FOUND, not_found());
    };
    let is_head = *request.method() == Method::HEAD && route.method() == Method::GET;
    if *request.method() != route.method() && !is_head {
        let allow = route.allow();
        let mut answer = text(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{} takes {allow}\n", request.uri().path()),
        );
        let value = HeaderValue::from_static(allow);
        answer.headers_mut().insert(ALLOW, value);
        return answer;
    }
    if route.method() != Method::GET
        && let Some(refusal) = stranger(peer, request.headers())
    {
        tracing::warn!(client.address = %peer, route = ?route, "control refused: {}", refusal.trim_end());
        return text(StatusCode::FORBIDDEN, refusal);
    }
    let query = request.uri().query().unwrap_or_default();
    match route {
        Route::Page => page::answer(admin),
        Route::Live => text(StatusCode::OK, "live\n"),
        Route::Ready => probes::answer(admin, Question::Ready, query),
        Route::Started => probes::answer(admin, Question::Started, query),
        Route::Metrics => metrics::answer(admin, request.headers()),
        Route::ApplicationMetrics => metrics::of_application(admin, request.headers()).await,
        Route::Certificates => json(report::certificates(admin)),
        Route::Configuration => json(report::configuration(admin)),
        Route::Status => json(Some(report::Report::of(admin))),
        Route::Reload => control::reload(admin),
        Route::Drain => control::drain(admin).await,
        Route::LogLevel => control::log_level(admin, request.into_body()).await,
    }
}

/// Whom a request is for must be said once (RFC 9112 section 3.2); hyper has judged the rest.
fn malformed<B>(request: &Request<B>) -> Option<&'static str> {
    let hosts = request.headers().get_all(HOST).iter().count();
    let is_said = hosts == 1 || (hosts == 0 && request.version() == Version::HTTP_10);
    (!is_said).then_some("one Host is needed\n")
}

/// Why somebody may not change anything.
///
/// A peer on loopback may be a browser that a web page of anybody steers, through a port that was
/// forwarded: browsers say so, and programs do not.
fn stranger(peer: SocketAddr, headers: &HeaderMap) -> Option<&'static str> {
    if !peer.ip().to_canonical().is_loopback() {
        return Some(
            "control is for loopback peers: ask from inside the Pod, \
             e.g. with tls-sidecar drain\n",
        );
    }
    let is_web_page = headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE);
    is_web_page.then_some("control is not for web pages\n")
}

fn not_found() -> String {
    let paths: Vec<_> = ROUTES.iter().map(|(path, _)| *path).collect();
    format!("nothing here; there is {}\n", paths.join(" "))
}

/// A short text.
pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Answer {
    typed(status, TEXT, body.into())
}

/// A body of a type.
pub(super) fn typed(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let value = HeaderValue::from_static(content_type);
    answer.headers_mut().insert(CONTENT_TYPE, value);
    answer
}

/// `None` is what there is not before the proxy serves.
fn json(body: Option<impl serde::Serialize>) -> Answer {
    let Some(body) = body else {
        return starting();
    };
    match serde_json::to_string_pretty(&body) {
        Ok(json) => typed(StatusCode::OK, JSON, json + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// The answer before the proxy serves.
pub(super) fn starting() -> Answer {
    let words = "starting: there is no certificate to serve yet\n";
    text(StatusCode::SERVICE_UNAVAILABLE, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_is_for_loopback_peers_and_for_no_web_page() {
        let none = HeaderMap::new();
        for ours in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert_eq!(stranger(ours.parse().unwrap(), &none), None, "{ours}");
        }
        for other in [
            "10.0.0.1:1",
            "[::ffff:10.0.0.1]:1",
            "[fe80::1]:1",
            "0.0.0.0:1",
        ] {
            assert!(stranger(other.parse().unwrap(), &none).is_some(), "{other}");
        }
        for name in [ORIGIN, SEC_FETCH_SITE] {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static("null"))]);
            assert!(stranger("127.0.0.1:1".parse().unwrap(), &headers).is_some());
        }
    }
}
