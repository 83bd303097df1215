//! The parts that every connection or request pays for and that can be measured alone.
#![allow(
    clippy::expect_used,
    missing_docs,
    reason = "a benchmark without its inputs is to stop"
)]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{Method, StatusCode, Version};
use tls_sidecar::config::{CertificateSource, ProxyProtocolOut};
use tls_sidecar::telemetry::metrics::Metrics;
use tls_sidecar::{live, net, tls};

fn certificate_directory(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(dir.path().join("tls.crt"), made.cert.pem()).expect("a writable directory");
    std::fs::write(dir.path().join("tls.key"), made.signing_key.serialize_pem())
        .expect("a writable directory");
    let source = CertificateSource::Directories(vec![dir.path().to_path_buf()]);
    c.bench_function("certificate directory load", |b| {
        b.iter(|| {
            let scan = tls::scan(black_box(&source), &BTreeSet::new());
            let made = scan.entries.into_iter().map(tls::Entry::certificate);
            made.collect::<Result<Vec<_>, _>>().expect("a certificate")
        });
    });
}

/// Everything that is counted for a small request over a pooled connection.
fn counting(c: &mut Criterion) {
    let metrics = Metrics::default();
    c.bench_function("count one request", |b| {
        b.iter(|| {
            let took = black_box(Duration::from_micros(250));
            metrics.requests_in_flight.increment();
            metrics.upstream.idle.decrement();
            metrics.upstream.active.increment();
            metrics.upstream.active.decrement();
            metrics.upstream.idle.increment();
            metrics.requests_in_flight.decrement();
            metrics.count_request(StatusCode::OK, black_box(&Method::GET), Version::HTTP_2);
            metrics.request_duration.observe(took);
            metrics.upstream_duration.observe(took / 2);
            metrics.overhead.observe(took / 20);
            metrics.response_bytes.add(13);
        });
    });
}

fn published(c: &mut Criterion) {
    let (_publisher, live) = live::live(0_u64);
    c.bench_function("load what is published", |b| b.iter(|| live.load()));
}

fn proxy_header(c: &mut Criterion) {
    let (from, to) = (([192, 0, 2, 1], 1).into(), ([192, 0, 2, 2], 443).into());
    c.bench_function("PROXY header version 2", |b| {
        b.iter(|| net::encode_proxy_header(ProxyProtocolOut::V2, black_box(from), to));
    });
}

criterion_group!(
    parts,
    certificate_directory,
    counting,
    published,
    proxy_header
);
criterion_main!(parts);
