//! What a scrape reads, the rules that watch it, and what it costs those who are served.

mod application;
mod prometheus;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tls_sidecar::config::Settings;
use tls_sidecar::telemetry::exposition::FAMILIES;

use crate::support::certs::Ca;
use crate::support::clients::Client;
use crate::support::h2::whole;
use crate::support::hyper_application::{Hyper, answer};
use crate::support::inside::Inside;
use crate::support::programs::promtool;
use crate::support::requests::get;
use crate::support::secret_dir::SecretDir;
use crate::support::wait::{PATIENCE, eventually_async};

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/k8s/monitoring/alerts.yaml");
const RULE_TESTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/k8s/monitoring/alerts_test.yaml"
);

struct Scene {
    inside: Inside,
    client: Client,
    _application: Hyper,
    _secret: SecretDir,
}

/// A proxy before an application that answers `ok` to everything.
fn scene(more: Settings) -> Scene {
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    let application = Hyper::http1(|_| async { answer(200, "ok") });
    let settings = Settings {
        upstream: Some(application.upstream().to_owned()),
        workers: Some("2".to_owned()),
        ..more
    };
    Scene {
        inside: Inside::start(&secret, settings),
        client: Client::new(&ca),
        _application: application,
        _secret: secret,
    }
}

async fn one_request(scene: &Scene, request: &str) -> u16 {
    let mut wire = scene.client.http1(scene.inside.address).await.unwrap();
    wire.write(request).await.unwrap();
    wire.response().await.unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_served_is_what_is_scraped() {
    let scene = scene(Settings::default());
    for _ in 0..3 {
        assert_eq!(one_request(&scene, &get("/a")).await, 200);
    }
    let mut h2 = scene.client.h2(scene.inside.address).await.unwrap();
    let streamed = whole(h2.get("/b").await.unwrap()).await.unwrap();
    assert_eq!(streamed.status, 200);
    assert_eq!(one_request(&scene, "GET / HTTP/1.1\r\n\r\n").await, 400);
    let inside = &scene.inside;
    let count = |name: &str| inside.sample(name);
    eventually_async("the connections' ends", PATIENCE, || {
        count("tls_sidecar_connections_total{result=\"closed\"}") >= 4.0
    })
    .await;
    for (name, value) in [
        (
            "tls_sidecar_requests_total{code=\"200\",method=\"GET\",protocol=\"http/1.1\"}",
            3.0,
        ),
        (
            "tls_sidecar_requests_total{code=\"200\",method=\"GET\",protocol=\"h2\"}",
            1.0,
        ),
        (
            "tls_sidecar_requests_total{code=\"400\",method=\"GET\",protocol=\"http/1.1\"}",
            1.0,
        ),
        (
            "tls_sidecar_handshakes_total{result=\"ok\",reason=\"none\",version=\"1.3\",resumed=\"false\"}",
            5.0,
        ),
        ("tls_sidecar_request_duration_seconds_count", 5.0),
        ("tls_sidecar_upstream_duration_seconds_count", 4.0),
        ("tls_sidecar_handshake_duration_seconds_count", 5.0),
        ("tls_sidecar_requests_in_flight", 0.0),
        ("tls_sidecar_connections{state=\"http2\"}", 1.0),
        ("tls_sidecar_draining", 0.0),
        ("tls_sidecar_certificate_frozen_mounts", 0.0),
    ] {
        assert_eq!(count(name), value, "{name}\n{}", inside.scrape());
    }
    assert!(count("process_resident_memory_bytes") > 1e6);
    let text = inside.scrape();
    let expiry = "tls_sidecar_certificate_not_after_timestamp_seconds{name=\"localhost\",sha256=\"";
    assert!(text.contains(expiry), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_label_takes_what_a_client_chooses() {
    const MARK: &str = "MYSECRET";
    let scene = scene(Settings::default());
    let odd = format!(
        "{MARK} /{MARK}?{MARK} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {MARK}\r\n\
         X-{MARK}: {MARK}\r\n\r\n"
    );
    assert_eq!(one_request(&scene, &odd).await, 200);
    let text = scene.inside.scrape();
    assert!(!text.contains(MARK), "{text}");
    let other = "tls_sidecar_requests_total{code=\"200\",method=\"other\",protocol=\"http/1.1\"}";
    assert_eq!(scene.inside.sample(other), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_accepts_what_is_scraped() {
    let scene = scene(Settings::default());
    assert_eq!(one_request(&scene, &get("/")).await, 200);
    let text = scene.inside.scrape();
    let Some(checked) = promtool(&["check", "metrics"], text.as_bytes()) else {
        return;
    };
    let words = String::from_utf8_lossy(&checked.stderr).into_owned();
    let lint = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{words}{lint}");
    assert_eq!(words + &lint, "");
}

#[test]
fn the_alert_rules_fire_for_what_they_are_about() {
    for arguments in [["check", "rules", RULES], ["test", "rules", RULE_TESTS]] {
        let Some(checked) = promtool(&arguments, b"") else {
            return;
        };
        let words = String::from_utf8_lossy(&checked.stdout);
        let error = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{arguments:?}: {words}{error}");
    }
}

#[test]
fn every_metric_of_the_alert_rules_is_scraped_and_every_rule_is_tested() {
    let rules = std::fs::read_to_string(RULES).unwrap();
    let tests = std::fs::read_to_string(RULE_TESTS).unwrap();
    let known: BTreeSet<String> = FAMILIES.iter().map(|family| family.name()).collect();
    let document: serde_yaml_ng::Value = serde_yaml_ng::from_str(&rules).unwrap();
    let groups = document["groups"].as_sequence().unwrap().iter();
    let all = groups.flat_map(|group| group["rules"].as_sequence().unwrap());
    let mut seen = 0;
    for rule in all {
        let name = rule["alert"].as_str().unwrap();
        let fires = format!("alertname: {name}\n        exp_alerts:\n          - exp_labels");
        assert!(tests.contains(&fires), "no test in which {name} fires");
        let expression = rule["expr"].as_str().unwrap();
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let metrics: Vec<_> = words
            .filter(|word| word.starts_with("tls_sidecar_") || word.starts_with("process_"))
            .collect();
        assert!(!metrics.is_empty(), "{name}");
        for metric in metrics {
            assert!(known.contains(metric), "{name}: {metric} is not scraped");
            seen += 1;
        }
    }
    assert!(seen > 10);
}

/// How long requests took, while `beside` runs on a thread of its own.
async fn latencies(scene: &Scene, requests: usize, beside: impl FnMut() + Send) -> Vec<Duration> {
    let is_over = AtomicBool::new(false);
    let mut beside = beside;
    let mut taken = Vec::with_capacity(requests);
    let mut wire = scene.client.http1(scene.inside.address).await.unwrap();
    // The other thread is joined before this function returns.
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                beside();
            }
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                for _ in 0..requests {
                    let begun = Instant::now();
                    wire.write(get("/")).await.unwrap();
                    assert_eq!(wire.response().await.unwrap().status, 200);
                    taken.push(begun.elapsed());
                }
            });
        });
        is_over.store(true, Ordering::Relaxed);
    });
    taken.sort();
    taken
}

// RES-08: a scrape takes no lock and stops no worker.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_scrapes_delay_no_request() {
    const SCRAPES: usize = 10_000;
    const REQUESTS: usize = 2_000;
    let scene = scene(Settings::default());
    let alone = latencies(&scene, REQUESTS, std::thread::yield_now).await;
    let scrapes = Arc::new(AtomicUsize::new(0));
    let mut taken = Vec::new();
    while scrapes.load(Ordering::Relaxed) < SCRAPES {
        let scrape = || {
            assert!(scene.inside.scrape().contains("tls_sidecar_requests_total"));
            scrapes.fetch_add(1, Ordering::Relaxed);
        };
        taken.extend(latencies(&scene, REQUESTS, scrape).await);
    }
    taken.sort();
    let median = |sorted: &[Duration]| sorted[sorted.len() / 2];
    let (before, during) = (median(&alone), median(&taken));
    eprintln!(
        "{} scrapes: median {during:?} (without {before:?}), 99 % {:?} (without {:?})",
        scrapes.load(Ordering::Relaxed),
        taken[taken.len() * 99 / 100],
        alone[alone.len() * 99 / 100],
    );
    // The scraping thread itself takes a core; what a lock would cost is far more than this.
    assert!(during < before * 5 + Duration::from_millis(5), "{during:?}");
}
