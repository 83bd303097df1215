//! What the start does when there is no certificate, or none that is any good.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::certs::{Ca, Leaf};
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::{Ended, Sidecar, Signal};

use super::{Shown, folder, message};

fn refused_start(folder: &std::path::Path, words: &[&str]) -> Ended {
    let ended = Sidecar::run_to_end(&["--cert-dir", folder.to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} in {}", ended.stderr);
    }
    ended
}

// CERT-09
#[test]
fn half_of_a_pair_is_one_line_that_names_the_other_half() {
    let pair = Ca::new().leaf(&["localhost"]);
    let only = folder(&[("tls.crt", pair.cert_pem.as_bytes())]);
    refused_start(only.path(), &["tls.key", "side by side"]);
    let only = folder(&[("tls.key", pair.key_pem.as_bytes())]);
    refused_start(only.path(), &["tls.crt", "side by side"]);
}

// CERT-09
#[test]
fn files_without_a_partner_are_named() {
    let pair = Ca::new().leaf(&["localhost"]);
    let only = folder(&[("site.pem", pair.cert_pem.as_bytes())]);
    refused_start(
        only.path(),
        &["without a partner", "site.pem", "--cert-file"],
    );
}

// CERT-07
#[test]
fn a_directory_in_place_of_a_file_is_told_apart() {
    let folder = folder(&[("tls.key/x", b""), ("tls.crt/x", b"")]);
    refused_start(folder.path(), &["tls.crt is a directory"]);
}

// CERT-07: opening it must not wait for a writer.
#[test]
fn a_fifo_and_a_loop_of_links_end_the_start_at_once() {
    let pair = Ca::new().leaf(&["localhost"]);
    let fifo = folder(&[("tls.key", pair.key_pem.as_bytes())]);
    let made = Command::new("mkfifo")
        .arg(fifo.path().join("tls.crt"))
        .status();
    assert!(made.unwrap().success());
    refused_start(fifo.path(), &["tls.crt is not a regular file"]);

    let circle = folder(&[("tls.key", pair.key_pem.as_bytes())]);
    std::os::unix::fs::symlink("tls.crt", circle.path().join("tls.crt")).unwrap();
    refused_start(circle.path(), &["tls.crt"]);
}

// CERT-09
#[test]
fn unreadable_files_are_one_line_with_the_mend() {
    let pair = Ca::new().leaf(&["localhost"]);
    let secret = SecretDir::with_mode(&pair.files(), 0o600);
    // Root reads everything: somebody else has to look.
    let is_root =
        std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if !is_root {
        eprintln!("SKIPPED: only root can own files and run as somebody else");
        return;
    }
    // Where that other user can reach it.
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = place.path().join("tls-sidecar");
    std::fs::copy(env!("CARGO_BIN_EXE_tls-sidecar"), &program).unwrap();
    let ended = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&program)
        .args(["--listen", "127.0.0.1:0", "--cert-dir", secret.as_str()])
        .output()
        .unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{stderr}");
    for word in ["tls.crt", "Permission denied", "fsGroup"] {
        assert!(stderr.contains(word), "{word:?} in {stderr}");
    }
}

// CERT-10
#[test]
fn an_expired_certificate_is_served_with_a_warning_when_there_is_no_other() {
    let pair = Ca::new().sign(Leaf::server(&["localhost"]).expired());
    let secret = SecretDir::new(&pair.files());
    let shown = Shown::from(secret.path(), &[]);
    shown.warned("expired");
    assert_eq!(shown.leaf("localhost"), *pair.leaf_der());
    let is_loud = |line: &serde_json::Value| message(line).contains("has expired");
    let line = shown.sidecar.wait_for_log("the reminder", is_loud);
    assert_eq!(line["level"], "ERROR");
}

#[test]
fn a_renewal_that_is_overdue_is_warned_about() {
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    let cases = [
        (700, 300, "renewal overdue", "WARN"),
        (950, 50, "expires soon", "WARN"),
        (990, 10, "about to expire", "ERROR"),
    ];
    for (age, left, words, level) in cases {
        let leaf = Leaf::server(&["localhost"]).valid(now - age * hour, now + left * hour);
        let secret = SecretDir::new(&Ca::new().sign(leaf).files());
        let shown = Shown::from(secret.path(), &["--certificate-poll-interval", "100ms"]);
        let line = shown
            .sidecar
            .wait_for_log(words, |line| message(line).contains(words));
        assert_eq!(line["level"], level, "{line}");
        // Said at the start and not again at every poll.
        let new = Ca::new().leaf(&["localhost"]);
        secret.swap(&new.files());
        shown.until_shown(&new);
        assert_eq!(shown.said(words), 1);
    }
}

#[test]
fn one_bad_certificate_does_not_keep_the_others_from_starting() {
    let ca = Ca::new();
    let good = ca.leaf(&["good.example"]);
    let folder = folder(&[
        ("tls.crt", b"no certificate"),
        ("tls.key", b"no key"),
        ("good.crt", good.cert_pem.as_bytes()),
        ("good.key", good.key_pem.as_bytes()),
    ]);
    let shown = Shown::from(folder.path(), &[]);
    assert_eq!(shown.leaf("good.example"), *good.leaf_der());
    assert_eq!(shown.said("certificate not loaded"), 1);
    let mended = ca.leaf(&["localhost"]);
    super::write(folder.path(), &mended.files());
    shown.until_shown(&mended);
}

// CERT-09
#[test]
fn a_secret_that_arrives_later_is_waited_for() {
    let pair = Ca::new().leaf(&["localhost"]);
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("certificates");
    let shown = std::thread::scope(|scope| {
        let start = scope.spawn(|| Shown::from(&directory, &["--wait-for-certificate", "60s"]));
        super::write(&directory, &pair.files());
        start.join().unwrap()
    });
    assert_eq!(shown.leaf("localhost"), *pair.leaf_der());
}

// CERT-09
#[test]
fn a_ticket_secret_that_arrives_later_is_waited_for_too() {
    let pair = Ca::new().leaf(&["localhost"]);
    let place = tempfile::tempdir().unwrap();
    let (certificates, tickets) = (place.path().join("tls"), place.path().join("tickets"));
    super::write(&certificates, &pair.files());
    let directory = tickets.to_str().unwrap();
    let wait = [
        "--ticket-key-dir",
        directory,
        "--wait-for-certificate",
        "60s",
    ];
    let shown = std::thread::scope(|scope| {
        let start = scope.spawn(|| Shown::from(&certificates, &wait));
        super::write(&tickets, &[("secret", &[7; 48])]);
        start.join().unwrap()
    });
    assert_eq!(shown.leaf("localhost"), *pair.leaf_der());
    // Without the secret it does wait, and says at the end what is missing.
    let (certificates, none) = (certificates.to_str().unwrap(), place.path().join("none"));
    let none = none.to_str().unwrap();
    let own = ["--cert-dir", certificates, "--ticket-key-dir", none];
    let ended = Sidecar::run_to_end(&[&own[..], &["--wait-for-certificate", "300ms"]].concat());
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stdout.contains("waiting for it"), "{ended:?}");
    assert!(ended.stderr.contains(none), "{ended:?}");
}

// CERT-09
#[test]
fn waiting_ends_with_the_line_that_says_what_is_missing() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().to_str().unwrap();
    let start = std::time::Instant::now();
    let ended = Sidecar::run_to_end(&["--cert-dir", directory, "--wait-for-certificate", "500ms"]);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(start.elapsed().as_millis() >= 500);
    assert!(ended.stdout.contains("waiting for it"), "{ended:?}");
    assert!(ended.stderr.contains(directory), "{ended:?}");
}

// CERT-09: as process 1 it has no default for signals.
#[test]
fn a_signal_ends_the_wait_for_a_certificate() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().to_str().unwrap();
    let arguments = ["--cert-dir", directory, "--wait-for-certificate", "10m"];
    let ended = Sidecar::run_until(&arguments, "waiting for it", Signal::TERM);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.stderr.contains("stopped while waiting"), "{ended:?}");
}

#[test]
fn a_pair_of_files_is_followed_too() {
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    let file = |name: &str| secret.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (file("tls.crt"), file("tls.key"));
    let sidecar = Sidecar::start(&["--cert-file", &certificate, "--key-file", &key]);
    let shown = Shown { sidecar };
    for _ in 0..3 {
        let new = ca.leaf(&["localhost"]);
        secret.swap(&new.files());
        shown.until_shown(&new);
    }
    assert_eq!(shown.said("last good one stays"), 0);
}
