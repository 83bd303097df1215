//! Each condition of readiness, from both sides.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::served;
use crate::support::admin::{ask, until};
use crate::support::application::Raw;
use crate::support::certs::{Ca, Leaf};
use crate::support::hyper_application::{Hyper, answer};
use crate::support::ports;
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::{ADMIN, Served, Sidecar, Signal};
use crate::support::wait::within;

const SECOND: Duration = Duration::from_secs(1);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Tries at a time that another process on the machine may spoil.
const TRIES: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn all_conditions_are_told_when_asked_for() {
    let (application, served) = served(&[]);
    let admin = served.sidecar.admin();
    until(admin, "/readyz", 200).await;
    assert_eq!(ask(admin, "GET /readyz").await.text(), "ready\n");
    let told = ask(admin, "GET /readyz?verbose").await.text();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), 5, "{told}");
    assert_eq!(lines[0], "ready");
    assert!(
        lines[1].starts_with("[+] listening: on 127.0.0.1:"),
        "{told}"
    );
    assert!(lines[2].starts_with("[+] certificate: /"), "{told}");
    assert_eq!(
        lines[3],
        format!("[+] application: {}: reached", application.upstream())
    );
    assert_eq!(lines[4], "[+] not-draining: no drain runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_fail_do_not_make_it_ready() {
    let gone = Raw::answering(OK);
    let upstream = gone.upstream().to_owned();
    drop(gone);
    let impatient = ["--upstream-connect-timeout", "20ms"];
    let served = Served::start(&upstream, &[&ADMIN[..], &impatient].concat());
    let admin = served.sidecar.admin();
    let mut wire = served.client().http1(served.address()).await.unwrap();
    let begun = Instant::now();
    // Several looks at the application, with failed requests between any two of them.
    while begun.elapsed() < 2 * SECOND {
        wire.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(wire.response().await.unwrap().status, 503);
        assert_eq!(ask(admin, "GET /readyz").await.status, 503);
    }
    let lines = served.sidecar.log_lines();
    let reached = |line: &serde_json::Value| line["message"] == "application reached";
    assert!(!lines.iter().any(reached), "{lines:?}");
}

// LIFE-05
#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_late_holds_back_readiness_and_not_the_start() {
    let address = ports::unused();
    let upstream = format!("http://{address}");
    let served = Served::start(&upstream, &ADMIN);
    let admin = served.sidecar.admin();
    assert_eq!(ask(admin, "GET /livez").await.status, 200);
    assert_eq!(ask(admin, "GET /startupz").await.text(), "started\n");
    let ready = ask(admin, "GET /readyz").await;
    assert_eq!(ready.status, 503);
    assert!(
        ready
            .text()
            .starts_with("not ready: application\n[-] application: ")
    );
    let _application = Raw::tcp_at(address, |mut conn| async move {
        let _ = conn.answer_all(OK).await;
    });
    until(admin, "/readyz", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_the_application_within_a_second_both_ways() {
    let address = ports::unused();
    let upstream = format!("http://{address}");
    let first = Raw::tcp_at(address, |mut conn| async move {
        let _ = conn.answer_all(OK).await;
    });
    let served = Served::start(&upstream, &ADMIN);
    let admin = served.sidecar.admin();
    let mut running = Some(first);
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..TRIES {
        until(admin, "/readyz", 200).await;
        drop(running.take());
        let (took, response) = until(admin, "/readyz", 503).await;
        assert!(
            response.text().contains("connection refused"),
            "{}",
            response.text()
        );
        fastest[0] = fastest[0].min(took);
        running = Some(Raw::tcp_at(address, |mut conn| async move {
            let _ = conn.answer_all(OK).await;
        }));
        fastest[1] = fastest[1].min(until(admin, "/readyz", 200).await.0);
        if fastest.iter().all(|took| *took < SECOND) {
            break;
        }
    }
    assert!(fastest.iter().all(|took| *took < SECOND), "{fastest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_lost_probe_changes_nothing() {
    const LOST: usize = 3;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let application = Hyper::http1(move |_| {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        let status = if number == LOST { 500 } else { 200 };
        async move { answer(status, "") }
    });
    let health = ["--upstream-health-path", "/healthz"];
    let arguments = [&ADMIN[..], &health].concat();
    let served = Served::start(application.upstream(), &arguments);
    let admin = served.sidecar.admin();
    until(admin, "/readyz", 200).await;
    within("probes after the lost one", async {
        while asked.load(Ordering::Relaxed) < LOST + 3 {
            let ready = ask(admin, "GET /readyz").await;
            assert_eq!(ready.status, 200, "{}", ready.text());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_path_must_be_answered_below_500() {
    let status = Arc::new(AtomicUsize::new(500));
    let health = ["--upstream-health-path", "/health?deep=1"];
    let arguments = [&ADMIN[..], &health].concat();
    let now = Arc::clone(&status);
    let handler = move |_| {
        let status = u16::try_from(now.load(Ordering::Relaxed)).unwrap();
        async move { answer(status, "") }
    };
    for application in [Hyper::http1(handler.clone()), Hyper::h2c(handler)] {
        status.store(500, Ordering::Relaxed);
        let served = Served::start(application.upstream(), &arguments);
        let admin = served.sidecar.admin();
        served.sidecar.wait_for_log("the first look", |line| {
            line["message"] == "application not reached yet"
        });
        let ready = ask(admin, "GET /readyz").await;
        assert_eq!(ready.status, 503);
        assert!(
            ready.text().contains("was answered 500"),
            "{}",
            ready.text()
        );
        for (answered, ready) in [(404, 200), (503, 503), (200, 200)] {
            status.store(answered, Ordering::Relaxed);
            until(admin, "/readyz", ready).await;
        }
        let asked = application.asked();
        assert_eq!(asked[0].uri.path_and_query().unwrap(), "/health?deep=1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_connects_and_says_nothing_is_not_reached() {
    let application = Raw::tcp(|mut conn| async move {
        let _ = conn.read_head().await;
        std::future::pending().await
    });
    let health = ["--upstream-health-path", "/healthz"];
    let arguments = [&ADMIN[..], &health].concat();
    let served = Served::start(application.upstream(), &arguments);
    served.sidecar.wait_for_log("the first look", |line| {
        line["message"] == "application not reached yet"
    });
    let ready = ask(served.sidecar.admin(), "GET /readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("within 1s"), "{}", ready.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_it_lives_and_has_not_started() {
    let ca = Ca::new();
    let secret = SecretDir::new(&[("README", b"nothing yet")]);
    let arguments = [
        &ADMIN[..],
        &[
            "--cert-dir",
            secret.as_str(),
            "--wait-for-certificate",
            "60s",
        ],
    ]
    .concat();
    // Its log is read before it listens: it does so only with a certificate.
    let starting = Sidecar::start_early(&arguments);
    let admin = starting.admin();
    assert_eq!(ask(admin, "GET /livez").await.status, 200);
    let startup = ask(admin, "GET /startupz").await;
    assert_eq!(startup.status, 503);
    assert!(
        startup
            .text()
            .starts_with("not started: listening, certificate\n"),
        "{}",
        startup.text()
    );
    for line in ["GET /certs", "GET /metrics", "GET /config", "POST /drain"] {
        assert_eq!(ask(admin, line).await.status, 503, "{line}");
    }
    assert_eq!(ask(admin, "GET /").await.status, 200);
    secret.swap(&ca.leaf(&["localhost"]).files());
    until(admin, "/startupz", 200).await;
}

// CERT-10
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_told_and_unready_only_when_asked_to_be() {
    let expired = Ca::new().sign(Leaf::server(&["localhost"]).expired());
    let secret = SecretDir::new(&expired.files());
    let application = Raw::answering(OK);
    for (policy, status, words) in [
        ("serve", 200, "[+] certificate: "),
        ("unready", 503, "not ready: certificate\n"),
    ] {
        let own = [
            "--cert-dir",
            secret.as_str(),
            "--upstream",
            application.upstream(),
            "--on-expiry",
            policy,
        ];
        let sidecar = Sidecar::start(&[&ADMIN[..], &own].concat());
        let admin = sidecar.admin();
        sidecar.wait_for_log("the application", |line| {
            line["message"] == "application reached"
        });
        let ready = ask(admin, "GET /readyz?verbose").await;
        assert_eq!(ready.status, status, "{policy}: {}", ready.text());
        let text = ready.text();
        assert!(
            text.contains(words) && text.contains("expired"),
            "{policy}: {text}"
        );
        assert_eq!(ask(admin, "GET /livez").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_fails_readiness_at_once_and_liveness_never() {
    let (_application, served) = served(&["--drain-delay", "10m"]);
    let admin = served.sidecar.admin();
    until(admin, "/readyz", 200).await;
    served.sidecar.signal(Signal::TERM);
    let (_, response) = until(admin, "/readyz", 503).await;
    assert!(
        response.text().starts_with("not ready: not-draining\n"),
        "{}",
        response.text()
    );
    assert_eq!(ask(admin, "GET /livez").await.status, 200);
    // Still listening: load balancers have not heard of it yet.
    assert_eq!(ask(admin, "GET /startupz").await.status, 200);
}
