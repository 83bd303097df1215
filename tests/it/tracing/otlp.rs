//! Spans as a collector gets them. Only in a build with the feature.

use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;

use super::{PARENT, TRACE};
use crate::support::certs::Ca;
use crate::support::clients::Client;
use crate::support::hyper_application::{Hyper, answer};
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::{Sidecar, Signal};
use crate::support::wait::{PATIENCE, eventually_async};

/// The bytes of a number written in hexadecimal, as they stand in a protobuf.
fn bytes(hex: &str) -> Vec<u8> {
    let pairs = (0..hex.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn times(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).filter(|w| *w == wanted).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn handshake_request_and_upstream_reach_a_collector() {
    let got = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&got);
    let collector = Hyper::http1(move |request| {
        let kept = Arc::clone(&kept);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            kept.lock().unwrap().extend_from_slice(&body);
            answer(200, "")
        }
    });
    let application = Hyper::saying("ok");
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    let endpoint = format!("OTEL_EXPORTER_OTLP_ENDPOINT={}", collector.upstream());
    let sidecar = Sidecar::start_under(
        &["env", "OTEL_BSP_SCHEDULE_DELAY=50", &endpoint],
        &[
            "--cert-dir",
            secret.as_str(),
            "--upstream",
            application.upstream(),
            "--drain-delay",
            "0s",
        ],
    )
    .unwrap();
    let mut wire = Client::new(&ca).http1(sidecar.address()).await.unwrap();
    for flags in ["01", "00"] {
        let parent = format!("{}{flags}", &PARENT[..53]);
        let request =
            format!("GET /a HTTP/1.1\r\nHost: localhost\r\ntraceparent: {parent}\r\n\r\n");
        wire.write(request).await.unwrap();
        assert_eq!(wire.response().await.unwrap().status, 200);
    }
    let all = || got.lock().unwrap().clone();
    eventually_async("the spans", PATIENCE, || times(&all(), &bytes(TRACE)) >= 2).await;

    // The application was asked from within the span of its own part; what is not sampled passes.
    let asked = application.asked();
    let handed_on = asked[0].headers["traceparent"].to_str().unwrap();
    assert_eq!(handed_on[..36], PARENT[..36]);
    assert_ne!(handed_on, PARENT);
    assert_eq!(
        asked[1].headers["traceparent"],
        format!("{}00", &PARENT[..53])
    );

    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit().status.success());
    let all = all();
    assert_eq!(times(&all, &bytes(TRACE)), 2, "request and upstream");
    assert_eq!(
        times(&all, &bytes(&PARENT[36..52])),
        1,
        "the client's span is a parent"
    );
    assert_eq!(
        times(&all, &bytes(&handed_on[36..52])),
        1,
        "the upstream span"
    );
    assert_eq!(times(&all, b"TLS handshake"), 1);
    for words in [
        &b"http.response.status_code"[..],
        b"TLS13_AES_128_GCM_SHA256",
        b"service.name",
    ] {
        assert!(
            times(&all, words) >= 1,
            "{}",
            String::from_utf8_lossy(words)
        );
    }
    assert!(
        collector
            .asked()
            .iter()
            .all(|asked| asked.uri == "/v1/traces")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_gone_delays_neither_requests_nor_the_end() {
    let application = Hyper::saying("ok");
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    let sidecar = Sidecar::start_under(
        &["env", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"],
        &[
            "--cert-dir",
            secret.as_str(),
            "--upstream",
            application.upstream(),
            "--drain-delay",
            "0s",
            "--trace-start",
            "on",
        ],
    )
    .unwrap();
    let mut wire = Client::new(&ca).http1(sidecar.address()).await.unwrap();
    // More than the queue of the exporter holds.
    for _ in 0..3000 {
        wire.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(wire.response().await.unwrap().status, 200);
    }
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit().status.success());
}
