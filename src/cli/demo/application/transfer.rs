//! `/upload` and `/download`: bodies larger than any buffer.
//!
//! Neither keeps a body: an upload is counted frame by frame, a download is one static block sent
//! again and again. What is measured is the path to the application, not the application.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Instant;

use http::{HeaderValue, Request, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;
use serde_json::json;

use super::answer::{self, Answer};
use super::body::Body;
use super::query::{self, BadValue, Query};

/// More than any test wants and an end all the same.
const MOST_BYTES: u64 = 100 << 30;

/// Reads the body to its end; answers its size, the time it took and the speed.
pub(super) async fn upload(request: Request<Incoming>) -> Answer {
    let started = Instant::now();
    let mut body = request.into_body();
    let mut bytes = 0_u64;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        match frame {
            Ok(frame) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Err(error) => {
                let line = format!("the body broke off after {bytes} bytes: {error}");
                return answer::text(StatusCode::BAD_REQUEST, line);
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    answer::json(&json!({
        "bytes": bytes,
        "duration_ms": rounded(seconds * 1e3),
        "mb_per_s": rounded(bytes as f64 / 1e6 / seconds.max(1e-9)),
    }))
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// As many bytes as `?bytes=` says, with their `Content-Length`.
pub(super) fn download(query: Option<&str>) -> Result<Answer, BadValue> {
    let query = Query::parse(query, &["bytes"])?;
    let asked = query.value("bytes").unwrap_or("1MiB");
    let bytes = query::size(asked)
        .filter(|bytes| *bytes <= MOST_BYTES)
        .ok_or_else(|| {
            let mend =
                "give a size up to 100GiB as 4096, 64KiB, 100MiB or 1GiB, such as bytes=100MiB";
            BadValue::new("bytes", asked, mend)
        })?;
    let body = Body::Repeated(bytes);
    let mut answer = answer::of(StatusCode::OK, "application/octet-stream", body);
    answer
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    Ok(answer)
}
