use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode, Version};

use super::*;
use crate::telemetry::certificates::ReloadResult;
use crate::telemetry::record::Outlets;

/// Two workers, a certificate and a state that fill every family.
fn sources() -> Sources {
    let workers: Arc<[_]> = (0..2)
        .map(|_| Arc::new(Telemetry::new(Outlets::off())))
        .collect();
    for worker in &*workers {
        let metrics = &worker.metrics;
        metrics.count_request(StatusCode::OK, &Method::GET, Version::HTTP_2);
        metrics.request_duration.observe(Duration::from_millis(3));
        metrics.connections.http1.increment();
        metrics.request_bytes.add(10);
    }
    let certificate_metrics = CertificateMetrics::default();
    certificate_metrics.count_reload(ReloadResult::Published, None);
    Sources {
        workers,
        certificate_metrics: Arc::new(certificate_metrics),
        certificates: vec![ServedCertificate {
            name: "localhost".to_owned(),
            sha256: "ab".repeat(32),
            not_after: SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000),
        }],
        failing_certificates: 0,
        trust: Some(ServedTrust {
            authorities: vec![ServedAuthority {
                sha256: "cd".repeat(32),
                not_after: SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000),
                handshakes: 5,
            }],
            next_update: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000)),
            is_failing: false,
        }),
        lost_lines: Lost::none(),
        state: State {
            conditions: vec![("listening", true), ("upstream_reached", false)],
            upstream_up: Some(true),
            upstream_exposed: Some(0),
            is_draining: false,
        },
    }
}

fn names(text: &str, comment: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(comment));
    lines
        .filter_map(|line| line.split_once(' '))
        .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
        .collect()
}

#[test]
fn every_family_has_its_help_and_type() {
    let text = render(&sources(), Dialect::Prometheus);
    let (help, types) = (names(&text, "# HELP "), names(&text, "# TYPE "));
    assert_eq!(help.len(), FAMILIES.len(), "{text}");
    for family in FAMILIES {
        let name = family.name();
        assert_eq!(help[&name], family.help, "{name}");
        let kind = match family.kind {
            Kind::Info => "gauge",
            kind => kind.as_str(),
        };
        assert_eq!(types[&name], kind, "{name}");
        let is_sample = |line: &&str| {
            let end = line.find(['{', ' ']).unwrap();
            line[..end]
                .strip_prefix(name.as_str())
                .is_some_and(|rest| matches!(rest, "" | "_bucket" | "_sum" | "_count"))
        };
        let samples: Vec<&str> = text.lines().filter(is_sample).collect();
        assert!(!samples.is_empty(), "{name}");
        for label in family.labels {
            let label = format!("{label}=\"");
            assert!(samples.iter().all(|s| s.contains(&label)), "{samples:?}");
        }
    }
}

#[test]
fn workers_are_added_up() {
    let text = render(&sources(), Dialect::OpenMetrics);
    for line in [
        "tls_sidecar_requests_total{code=\"200\",method=\"GET\",protocol=\"h2\"} 2",
        "tls_sidecar_request_duration_seconds_sum 0.006",
        "tls_sidecar_request_duration_seconds_count 2",
        "tls_sidecar_request_duration_seconds_bucket{le=\"0.001\"} 0",
        "tls_sidecar_request_duration_seconds_bucket{le=\"0.005\"} 2",
        "tls_sidecar_request_duration_seconds_bucket{le=\"+Inf\"} 2",
        "# UNIT tls_sidecar_request_bytes bytes",
        "tls_sidecar_request_bytes_total 20",
        "tls_sidecar_connections{state=\"http1\"} 2",
        "tls_sidecar_certificate_reloads_total{result=\"published\",reason=\"none\"} 1",
        "tls_sidecar_ready 0",
        "tls_sidecar_ready_condition{condition=\"upstream_reached\"} 0",
        "tls_sidecar_upstream_up 1",
        "tls_sidecar_handshakes_total{result=\"failed\",reason=\"timeout\",version=\"none\",resumed=\"false\"} 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn no_sample_stands_twice() {
    let text = render(&sources(), Dialect::Prometheus);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let mut seen = BTreeSet::new();
    for sample in samples {
        let (name, value) = sample.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{sample}");
        assert!(seen.insert(name), "{sample}");
    }
}

#[test]
fn what_is_not_known_is_left_out() {
    let unknown = Sources {
        state: State::default(),
        ..sources()
    };
    let text = render(&unknown, Dialect::Prometheus);
    for name in ["tls_sidecar_upstream_up", "tls_sidecar_ready"] {
        assert!(!text.contains(name), "{name}");
    }
    assert!(text.contains("tls_sidecar_draining 0"));
}

#[test]
fn the_readme_lists_every_family() {
    let readme = include_str!("../../../README.md");
    let mut missing = Vec::new();
    for family in FAMILIES {
        let labels = match family.labels {
            [] => String::new(),
            labels => format!("{{{}}}", labels.join(",")),
        };
        let (name, kind) = (family.name(), family.kind.as_str());
        let row = format!("| `{name}{labels}` | {kind} | {} |", family.help);
        if !readme.lines().any(|line| line == row) {
            missing.push(row);
        }
    }
    assert!(
        missing.is_empty(),
        "not in the README:\n{}",
        missing.join("\n")
    );
    let rows = readme.lines().filter(|line| {
        let name = line.strip_prefix("| `").unwrap_or_default();
        name.starts_with("tls_sidecar_") || name.starts_with("process_")
    });
    assert_eq!(rows.count(), FAMILIES.len(), "a family that is no more");
}
