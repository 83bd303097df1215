//! Limits on a head, and the words that name them.

use std::time::Duration;

use super::{GOOD, Guarded};

// H1-14
#[tokio::test(flavor = "multi_thread")]
async fn each_limit_has_a_status_and_names_its_flag() {
    let guarded = Guarded::start(&["--max-header-size", "2KiB", "--max-headers", "5"]);
    let long = "x".repeat(4096);
    for (request, status, flag) in [
        (
            format!("GET /evil{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
            414,
            "--max-header-size",
        ),
        (format!("GET /evil?{long}"), 414, "--max-header-size"),
        (
            format!("GET /evil HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
            431,
            "--max-header-size",
        ),
        (
            format!("GET /evil HTTP/1.1\r\nHost: a\r\nX: {long}"),
            431,
            "--max-header-size",
        ),
        (
            format!(
                "GET /evil HTTP/1.1\r\nHost: a\r\n{}\r\n",
                "X: y\r\n".repeat(5)
            ),
            431,
            "--max-headers",
        ),
    ] {
        guarded.refuses_with(status, &request).await;
        let answer = guarded.last(&[request.as_bytes()], 0).await.unwrap();
        assert!(answer.text().contains(flag), "{answer:?}");
    }
    let fits = format!(
        "GET /good HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X: y\r\n".repeat(4)
    );
    let closing = "GET /good HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = guarded
        .last(&[fits.as_bytes(), closing.as_bytes()], 1)
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
}

// H1-14
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_head_is_recorded_with_its_reason() {
    let guarded = Guarded::start(&[]);
    let request = "GET /evil HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n";
    guarded.refuses_with(400, request).await;
    let line = guarded
        .served
        .sidecar
        .wait_for_log("a refused request", |line| line["flag"] == "bad_header");
    assert_eq!(line["http.response.status_code"], 400);
    assert!(line["url.path"].is_null(), "{line}");
    assert!(!line.to_string().contains("evil"), "{line}");
}

// H1-18
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end_behind_another_request_is_timed_out_too() {
    let guarded = Guarded::start(&["--request-header-timeout", "200ms"]);
    let both = format!("{GOOD}GET /evil HTTP/1.1\r\nHo");
    let started = std::time::Instant::now();
    let answer = guarded.last(&[both.as_bytes()], 1).await.unwrap();
    assert_eq!(answer.status, 408);
    assert!(started.elapsed() >= Duration::from_millis(200));
}
