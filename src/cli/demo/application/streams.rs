//! `/stream`, `/events` and `/trailers`: answers whose parts matter one by one.
//!
//! A proxy that buffers, or that drops trailers, is seen here at once. Every stream but the
//! events is bounded; the events end when the client leaves and hyper drops the body.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::super::clock::Utc;
use super::answer::{self, Answer};
use super::body::{Body, Paced};
use super::query::{BadValue, Query, number};

/// Lines of text, one at each interval.
pub(super) fn lines(query: Option<&str>) -> Result<Answer, BadValue> {
    let query = Query::parse(query, &["chunks", "interval"])?;
    let chunks = query.count("chunks", 10, 1..=10_000)?;
    let interval = query.value("interval").unwrap_or("500ms");
    let mend = "give a time from 1ms to 1m with its unit, such as interval=500ms";
    let bounds = Duration::from_millis(1)..=Duration::from_secs(60);
    let interval = Query::time("interval", interval, bounds, mend)?;
    let render = |number| format!("line {number} at {}\n", Utc::now());
    let body = Body::Paced(Paced::new(1..chunks + 1, interval, render));
    Ok(answer::of(
        StatusCode::OK,
        "text/plain; charset=utf-8",
        body,
    ))
}

/// How many event streams are open.
#[derive(Debug, Clone, Default)]
pub(super) struct Listeners(Arc<AtomicUsize>);

impl Listeners {
    fn join(&self) -> Listening {
        self.0.fetch_add(1, Ordering::Relaxed);
        Listening(self.clone())
    }
}

/// One open event stream.
struct Listening(Listeners);

impl Listening {
    fn count(&self) -> usize {
        self.0.0.load(Ordering::Relaxed)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Server-sent events, one a second; ids go on from `Last-Event-ID` after a reconnect.
pub(super) fn events(headers: &HeaderMap, listeners: &Listeners) -> Answer {
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .and_then(number);
    let first = last.unwrap_or(0).saturating_add(1);
    let listening = listeners.join();
    let render = move |id| {
        let (time, listeners) = (Utc::now().to_string(), listening.count());
        let data = json!({ "id": id, "time": time, "listeners": listeners });
        format!("id: {id}\ndata: {data}\n\n")
    };
    let body = Paced::new(first..u64::MAX, Duration::from_secs(1), render);
    answer::of(StatusCode::OK, "text/event-stream", Body::Paced(body))
}

/// Three chunks and two trailers, announced in `Trailer` (RFC 9110 section 6.6.2).
///
/// hyper sends trailers only to a client that asked with `TE: trailers`.
pub(super) fn trailers() -> Answer {
    let pieces = [
        "first chunk\n",
        "second chunk\n",
        "third chunk, then trailers\n",
    ];
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    let trailers = [
        ("x-chunks", HeaderValue::from(pieces.len())),
        ("x-bytes", HeaderValue::from(length)),
    ];
    let body = Body::trailed(pieces, trailers);
    let mut answer = answer::of(StatusCode::OK, "text/plain; charset=utf-8", body);
    answer.headers_mut().insert(
        header::TRAILER,
        HeaderValue::from_static("x-chunks, x-bytes"),
    );
    answer
}
