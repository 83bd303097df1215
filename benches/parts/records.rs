//! What is counted and told of a request.

use std::fs::File;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use std::time::Instant;

use criterion::Criterion;
use http::{Method, StatusCode, Version};
use tls_sidecar::config::{AccessLog, Config, LogFormat, Settings};
use tls_sidecar::telemetry::log::{self, Logs};
use tls_sidecar::telemetry::metrics::Metrics;
use tls_sidecar::telemetry::record::{ConnectionFacts, Outlets, Record, Telemetry};
use tls_sidecar::telemetry::spans::Spans;
use tls_sidecar::tls::{Alpn, Session};

/// Everything that is counted for a small request over a pooled connection.
pub(crate) fn counting(c: &mut Criterion) {
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

/// From the head of a request to its end in metrics, and with `all` in a line of the access log.
pub(crate) fn emission(c: &mut Criterion) {
    let target = "/articles/42?page=3".parse().expect("a target");
    for access in [AccessLog::Errors, AccessLog::All] {
        let logs = logs_to_nowhere(access);
        let facts = facts(Outlets::new(logs.access.clone(), Spans::off()));
        let name = match access {
            AccessLog::All => "record of a request, logged",
            AccessLog::Errors | AccessLog::Off => "record of a request, not logged",
        };
        c.bench_function(name, |b| {
            b.iter(|| {
                let mut record =
                    Record::open(&facts, &Method::GET, black_box(&target), Version::HTTP_2);
                record.sent();
                record.answered(Instant::now());
                record.status(StatusCode::OK);
                record.body_bytes(10_240);
                record.complete();
            });
        });
    }
}

fn facts(outlets: Outlets) -> Arc<ConnectionFacts> {
    Arc::new(ConnectionFacts {
        telemetry: Arc::new(Telemetry::new(outlets)),
        client: ([198, 51, 100, 7], 4711).into(),
        server: ([192, 0, 2, 1], 443).into(),
        session: Session {
            version: "1.3",
            cipher: "TLS13_AES_256_GCM_SHA384",
            server_name: Some("shop.example".into()),
            resumed: false,
            certificate: 0,
            alpn: Alpn::H2,
            client: None,
        },
        cut: AtomicBool::new(false),
    })
}

/// Logs as `run` sets them up, for which standard output is nowhere.
fn logs_to_nowhere(access: AccessLog) -> Logs {
    let mut section = Config::resolve(Settings::default()).expect("defaults").log;
    section.access = access;
    section.format = LogFormat::Json;
    let ours = rustix::io::dup(rustix::stdio::stdout()).expect("a descriptor");
    let nowhere = File::create("/dev/null").expect("a descriptor");
    rustix::stdio::dup2_stdout(&nowhere).expect("a descriptor");
    let logs = log::init(&section);
    rustix::stdio::dup2_stdout(&ours).expect("a descriptor");
    logs
}
