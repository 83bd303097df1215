//! Header fields on their way through, as a browser and a usual application send them.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use tls_sidecar::config::{Config, Settings};
use tls_sidecar::fields::{Fields, Name, Value};
use tls_sidecar::proxy::{Policy, rewriting};

const REQUEST: [(&str, &str); 11] = [
    ("host", "shop.example"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    ),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("connection", "keep-alive"),
    ("cookie", "session=0123456789abcdef"),
    ("cookie", "theme=dark"),
    ("x-forwarded-for", "203.0.113.9"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "none"),
];
const ANSWER: [(&str, &str); 7] = [
    ("content-type", "text/html; charset=utf-8"),
    ("content-length", "10240"),
    ("cache-control", "no-cache"),
    ("etag", "\"66f2a3b1-2800\""),
    ("date", "Tue, 24 Nov 2026 11:00:00 GMT"),
    ("server", "application"),
    ("connection", "keep-alive"),
];

/// What the defaults say to connections and requests.
pub(crate) fn policy(config: &Config) -> Policy {
    Policy {
        listen: config.listen.clone(),
        http: config.http.clone(),
        headers: config.headers.clone(),
        protocol: config.upstream.target.protocol,
        proxy_protocol_out: config.upstream.proxy_protocol,
    }
}

pub(crate) fn headers(c: &mut Criterion) {
    let policy = policy(&Config::resolve(Settings::default()).expect("defaults"));
    let (request, answer) = (fields(&REQUEST), fields(&ANSWER));
    let client = ([198, 51, 100, 7], 4711).into();
    c.bench_function("header rewriting of a request", |b| {
        b.iter_batched(
            || request.clone(),
            |mut fields| {
                rewriting::to_upstream(
                    &mut fields,
                    black_box(client),
                    Some("shop.example"),
                    &policy,
                );
                fields
            },
            BatchSize::SmallInput,
        );
    });
    c.bench_function("header rewriting of an answer", |b| {
        b.iter_batched(
            || answer.clone(),
            |mut fields| {
                rewriting::to_downstream(&mut fields, &policy);
                fields
            },
            BatchSize::SmallInput,
        );
    });
}

fn fields(of: &[(&'static str, &'static str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in of {
        fields.append(Name::from_static(name), Value::from_static(value));
    }
    fields
}
