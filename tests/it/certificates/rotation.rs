//! What a swap of the Secret does when the new certificate is good.

use std::fs;

use crate::support::application::Raw;
use crate::support::certs::{Ca, Leaf, Pair};
use crate::support::h1::Wire;
use crate::support::hyper_application::Hyper;
use crate::support::sidecar::{Served, Signal};
use crate::support::wait::{PATIENCE, eventually, within};

use super::{Shown, folder, message, secret_with};

// CERT-01
#[test]
fn a_swap_is_served_without_a_signal() {
    let ca = Ca::new();
    let (secret, _, shown) = secret_with(&ca, &[]);
    for _ in 0..3 {
        let new = ca.leaf(&["localhost"]);
        secret.swap(&new.files());
        shown.until_shown(&new);
    }
    // The line follows the publication.
    let reloaded = || shown.said("certificate reloaded");
    eventually("the line of every reload", PATIENCE, || reloaded() >= 3);
    assert_eq!(reloaded(), 3);
    assert_eq!(shown.said("last good one stays"), 0);
}

// CERT-01
#[test]
fn a_new_chain_for_the_same_key_is_served() {
    let ca = Ca::new();
    let between = ca.intermediate("one");
    let one = between.leaf(&["localhost"]);
    let (secret, first, shown) = secret_with(&ca, &[]);
    secret.swap(&one.files());
    shown.until_shown(&one);
    // Back again: the same contents as at first are as new as any other.
    secret.swap(&first.files());
    shown.until_shown(&first);
}

// CERT-01
#[tokio::test(flavor = "multi_thread")]
async fn open_connections_go_on_under_the_certificate_they_began_with() {
    let application = Hyper::saying("served");
    let served = Served::start(application.upstream(), &[]);
    let mut open = served.client().http1(served.address()).await.unwrap();
    for _ in 0..3 {
        let new = served.ca.leaf(&["localhost"]);
        served.secret.swap(&new.files());
        let is_served = |line: &serde_json::Value| message(line) == "certificate reloaded";
        served.sidecar.wait_for_log("the reload", is_served);
        open.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(open.response().await.unwrap().text(), "served");
    }
}

// CERT-03: the last one wins.
#[test]
fn a_thousand_swaps_in_a_row_end_with_the_last_one_served() {
    let ca = Ca::new();
    let (secret, _, shown) = secret_with(&ca, &[]);
    let pairs: Vec<Pair> = (0..10).map(|_| ca.leaf(&["localhost"])).collect();
    let start = std::time::Instant::now();
    for number in 0..1000 {
        secret.swap(&pairs[number % pairs.len()].files());
    }
    let seconds = start.elapsed().as_secs_f64();
    shown.until_shown(pairs.last().unwrap());
    let reloads = shown.said("certificate reloaded");
    // Twenty a second, and what the swaps left to be done at their end.
    assert!(
        (reloads as f64) <= 20.0 * (seconds + 1.0),
        "{reloads} in {seconds} s"
    );
    assert_eq!(shown.said("last good one stays"), 0);
}

// CERT-14
#[test]
fn a_hundred_signals_at_once_are_answered_by_a_few_looks() {
    let ca = Ca::new();
    let (secret, _, shown) = secret_with(&ca, &[]);
    let new = ca.leaf(&["localhost"]);
    secret.swap(&new.files());
    for number in 0..100 {
        let signal = [Signal::HUP, Signal::USR1][number % 2];
        shown.sidecar.signal(signal);
    }
    shown.until_shown(&new);
    let newest = ca.leaf(&["localhost"]);
    secret.swap(&newest.files());
    shown.sidecar.signal(Signal::HUP);
    shown.until_shown(&newest);
    assert!(shown.said("certificate unchanged") <= 100);
}

// CERT-14: during a drain a reload does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_swap_during_the_drain_changes_nothing() {
    let application = Raw::tcp(|mut conn| async move { drop(conn.read_to_end().await) });
    let served = Served::start(application.upstream(), &["--drain-delay", "10m"]);
    let before = served.client().connect(served.address()).await.unwrap();
    served.sidecar.signal(Signal::TERM);
    let is_draining = |line: &serde_json::Value| message(line).starts_with("draining");
    served.sidecar.wait_for_log("the drain", is_draining);
    let new = served.ca.leaf(&["localhost"]);
    served.secret.swap(&new.files());
    served.sidecar.signal(Signal::HUP);
    // The thread that would reload is gone, and nobody else could.
    let tasks = format!("/proc/{}/task", served.sidecar.id());
    eventually("the end of the reload thread", PATIENCE, || {
        let tasks = fs::read_dir(&tasks).unwrap().flatten();
        let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        !names.into_iter().any(|name| name.trim_end() == "reload")
    });
    let stream = within("a handshake", served.client().connect(served.address())).await;
    let old = before.get_ref().1.peer_certificates().unwrap().to_vec();
    assert_eq!(
        stream.unwrap().get_ref().1.peer_certificates().unwrap()[0],
        old[0]
    );
    let is_reload = |line: &&serde_json::Value| message(line).starts_with("certificate re");
    assert_eq!(
        served.sidecar.log_lines().iter().filter(is_reload).count(),
        0
    );
    drop(Wire::new(before));
}

// CERT-11
#[test]
fn a_removed_secret_goes_on_from_memory_and_is_picked_up_when_it_is_back() {
    let ca = Ca::new();
    let (secret, first, shown) = secret_with(&ca, &[]);
    secret.swap(&[]);
    shown.kept("missing");
    assert_eq!(shown.leaf("localhost"), *first.leaf_der());
    shown.sidecar.signal(Signal::HUP);
    let new = ca.leaf(&["localhost"]);
    secret.swap(&new.files());
    shown.until_shown(&new);
}

// CERT-11: of several, one that others make up for is given up.
#[test]
fn a_removed_certificate_is_served_until_others_have_its_names() {
    let ca = Ca::new();
    let (default, other) = (ca.leaf(&["localhost"]), ca.leaf(&["other.example"]));
    let files: [(&str, &[u8]); 4] = [
        ("tls.crt", default.cert_pem.as_bytes()),
        ("tls.key", default.key_pem.as_bytes()),
        ("other.crt", other.cert_pem.as_bytes()),
        ("other.key", other.key_pem.as_bytes()),
    ];
    let secret = crate::support::secret_dir::SecretDir::new(&files);
    let shown = Shown::from(secret.path(), &["--certificate-poll-interval", "200ms"]);
    secret.swap(&default.files());
    shown.kept("missing");
    assert_eq!(shown.leaf("other.example"), *other.leaf_der());
    let both = ca.leaf(&["localhost", "other.example"]);
    secret.swap(&both.files());
    eventually("the removed one given up", PATIENCE, || {
        shown.leaf("other.example") == *both.leaf_der()
    });
}

// CERT-05
#[test]
fn a_file_written_byte_by_byte_is_served_when_it_is_whole_and_never_called_bad() {
    let ca = Ca::new();
    let first = ca.leaf(&["localhost"]);
    let folder = folder(&first.files());
    let shown = Shown::from(folder.path(), &[]);
    let new = ca.leaf(&["localhost"]);
    for (name, contents) in new.files() {
        let mut file = fs::File::create(folder.path().join(name)).unwrap();
        for byte in contents {
            std::io::Write::write_all(&mut file, &[*byte]).unwrap();
        }
    }
    shown.until_shown(&new);
    assert_eq!(shown.said("last good one stays"), 0);
}

// CERT-05
#[test]
fn one_file_before_the_other_is_an_error_only_after_two_seconds() {
    let ca = Ca::new();
    let first = ca.leaf(&["localhost"]);
    let folder = folder(&first.files());
    let shown = Shown::from(folder.path(), &[]);
    let new = ca.leaf(&["localhost"]);
    let start = std::time::Instant::now();
    fs::write(folder.path().join("tls.crt"), &new.cert_pem).unwrap();
    let line = shown.kept("key_mismatch");
    assert!(
        start.elapsed().as_secs_f64() >= 2.0,
        "{:?}",
        start.elapsed()
    );
    assert_eq!(shown.leaf("localhost"), *first.leaf_der());
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("tls.key does not belong"), "{error}");
    fs::write(folder.path().join("tls.key"), &new.key_pem).unwrap();
    shown.until_shown(&new);
}

#[test]
fn every_kind_of_key_is_served() {
    let ca = Ca::new();
    let (secret, _, shown) = secret_with(&ca, &[]);
    for algorithm in [
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_RSA_SHA256,
        &rcgen::PKCS_ECDSA_P256_SHA256,
    ] {
        let new = ca.sign(Leaf::server(&["localhost"]).algorithm(algorithm));
        secret.swap(&new.files());
        shown.until_shown(&new);
    }
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_4096);
    let new = ca.sign_key(Leaf::server(&["localhost"]), &key.unwrap());
    secret.swap(&new.files());
    shown.until_shown(&new);
}
