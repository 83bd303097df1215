//! What a connection pays once.

use std::hint::black_box;

use criterion::Criterion;
use tls_sidecar::config::ProxyProtocolOut;
use tls_sidecar::{live, net};

pub(crate) fn published(c: &mut Criterion) {
    let (_publisher, live) = live::live(0_u64);
    c.bench_function("load what is published", |b| b.iter(|| live.load()));
}

pub(crate) fn proxy_header(c: &mut Criterion) {
    let (from, to) = (([192, 0, 2, 1], 1).into(), ([192, 0, 2, 2], 443).into());
    c.bench_function("PROXY header version 2", |b| {
        b.iter(|| net::encode_proxy_header(ProxyProtocolOut::V2, black_box(from), to));
    });
}
