//! What is known and counted of certificates, read where the process itself reads it.

use tls_sidecar::config::Settings;
use tls_sidecar::reload::{Age, Health, Unready};
use tls_sidecar::telemetry::certificates::ReloadResult;
use tls_sidecar::tls::Reason;

use crate::support::certs::{Ca, Leaf};
use crate::support::inside::Inside;
use crate::support::secret_dir::SecretDir;
use crate::support::wait::{PATIENCE, eventually};

#[test]
fn the_status_names_what_is_in_service_and_what_is_wrong_with_the_files() {
    let ca = Ca::new();
    let secret = SecretDir::new(
        &ca.sign(Leaf::server(&["localhost", "a.example"]).serial(0xabcd))
            .files(),
    );
    let inside = Inside::start(&secret, Settings::default());
    let status = inside.handle.certificates();
    let certificate = &status.certificates[0];
    let served = certificate.in_service.as_ref().unwrap();
    let facts = served.facts();
    let names: Vec<_> = facts.names.iter().collect();
    assert_eq!(names, ["localhost", "a.example"]);
    assert_eq!(facts.serial, "ABCD");
    assert!(
        facts.issuer.contains("tls-sidecar test root"),
        "{}",
        facts.issuer
    );
    assert_eq!(certificate.file, secret.path().join("tls.crt"));
    assert_eq!(
        (certificate.age, &certificate.last_error),
        (Age::Fresh, &None)
    );
    assert!(certificate.loaded_at.is_some());

    secret.swap(&[("tls.crt", b"garbage"), ("tls.key", b"garbage")]);
    eventually("the problem in the status", PATIENCE, || {
        let status = inside.handle.certificates();
        let problem = status.certificates[0].last_error.clone();
        problem.is_some_and(|problem| problem.reason == Reason::NoCertificate)
    });
    let metrics = inside.handle.certificate_metrics();
    let kept = metrics.reloads(ReloadResult::Kept, Some(Reason::NoCertificate));
    assert_eq!(kept, 1);
    let status = inside.handle.certificates();
    let still = status.certificates[0].in_service.as_ref().unwrap();
    assert_eq!(still.fingerprint(), served.fingerprint());
    let last = status.reloads.back().unwrap();
    assert_eq!(
        (last.result, last.reason),
        (ReloadResult::Kept, Some(Reason::NoCertificate))
    );
}

#[test]
fn names_that_a_rotation_lost_are_in_status_and_gauge_until_they_are_back() {
    let ca = Ca::new();
    let full = || ca.leaf(&["localhost", "a.example"]);
    let secret = SecretDir::new(&full().files());
    let inside = Inside::start(&secret, Settings::default());
    let lost = || {
        inside.handle.certificates().certificates[0]
            .names_lost
            .clone()
    };
    secret.swap(&ca.leaf(&["localhost"]).files());
    eventually("the lost name", PATIENCE, || lost() == ["a.example"]);
    eventually("the gauge", PATIENCE, || {
        inside.handle.certificate_metrics().names_lost.value() == 1
    });
    secret.swap(&full().files());
    eventually("no lost name", PATIENCE, || lost().is_empty());
    eventually("the gauge", PATIENCE, || {
        inside.handle.certificate_metrics().names_lost.value() == 0
    });
}

// CERT-10
#[test]
fn an_expired_certificate_fails_readiness_only_when_asked_to() {
    let expired = Ca::new().sign(Leaf::server(&["localhost"]).expired());
    let secret = SecretDir::new(&expired.files());
    for (policy, unready) in [
        ("serve", None),
        ("unready", Some(Unready::CertificateExpired)),
    ] {
        let more = Settings {
            on_expiry: Some(policy.to_owned()),
            ..Settings::default()
        };
        let inside = Inside::start(&secret, more);
        let status = inside.handle.certificates();
        assert_eq!(status.certificates[0].age, Age::Expired);
        assert_eq!(status.unready(), unready, "{policy}");
        assert_eq!(inside.handle.certificate_metrics().expired.value(), 1);
    }
}

// CERT-03
#[test]
fn a_swap_is_one_load() {
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    let inside = Inside::start(&secret, Settings::default());
    let metrics = || inside.handle.certificate_metrics();
    let swap_and_see = |published: u64| {
        secret.swap(&ca.leaf(&["localhost"]).files());
        eventually("the reload", PATIENCE, || {
            metrics().reloads(ReloadResult::Published, None) == published
        });
    };
    // The start looks once more when the watch stands, and that look counts before it reads: the first
    // swap may be found by it, or by its own.
    eventually("the watch", PATIENCE, || metrics().loads.value() == 2);
    swap_and_see(2);
    let before = metrics().loads.value();
    assert!((2..=3).contains(&before), "{before}");
    for swap in 1..=5 {
        swap_and_see(2 + swap);
    }
    assert_eq!(metrics().loads.value(), before + 5);
    assert_eq!(inside.handle.certificates().watch, Health::Watching);
    assert_eq!(metrics().watch_degraded.value(), 0);
}
