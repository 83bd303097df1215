//! Building blocks of an answer.
//!
//! Everything a page returns is made here or starts from here, so that type, length and caching
//! are said in one place. Nothing fails: header values are constants or numbers.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::body::Body;

/// What every page returns.
pub(super) type Answer = Response<Body>;

/// `content` under `media_type`, complete in memory, never cached: it is about one request.
pub(super) fn whole(
    status: StatusCode,
    media_type: &'static str,
    content: impl Into<Bytes>,
) -> Answer {
    let content = content.into();
    let length = HeaderValue::from(content.len());
    let mut answer = of(status, media_type, Body::whole(content));
    answer.headers_mut().insert(header::CONTENT_LENGTH, length);
    answer
}

/// `body` under `media_type`, with no length said.
pub(super) fn of(status: StatusCode, media_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Answers repeat what the client sent: no browser may take text for a page.
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    answer
}

/// `line` as plain text, ended by a line feed.
pub(super) fn text(status: StatusCode, line: impl Into<String>) -> Answer {
    let mut line = line.into();
    line.push('\n');
    whole(status, "text/plain; charset=utf-8", line)
}

/// `value` as indented JSON, ended by a line feed.
pub(super) fn json(value: &serde_json::Value) -> Answer {
    whole(StatusCode::OK, "application/json", format!("{value:#}\n"))
}

/// A status alone.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}

/// `404 Not Found`, or the number alone where it has no name.
pub(super) fn named(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}
