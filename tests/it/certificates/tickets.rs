//! Session tickets that every replica reads.

use std::fs;

use tempfile::TempDir;

use crate::support::certs::{Ca, Pair};
use crate::support::programs::openssl;
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::Sidecar;

/// A sidecar with this certificate and these ticket secrets.
fn replica(certificates: &SecretDir, secrets: &SecretDir) -> Sidecar {
    Sidecar::start(&[
        "--cert-dir",
        certificates.as_str(),
        "--ticket-key-dir",
        secrets.as_str(),
    ])
}

/// `openssl s_client` that keeps its session in a file.
struct Sessions {
    folder: TempDir,
}

impl Sessions {
    fn new(ca: &Ca) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
        Self { folder }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Whether the session was resumed; `None` without openssl.
    fn resumes(&self, sidecar: &Sidecar, version: &str, flag: &str) -> Option<bool> {
        let (address, ca) = (sidecar.address().to_string(), self.file("ca.pem"));
        let own = ["s_client", "-connect", &address, "-CAfile", &ca, "-ign_eof"];
        let session = self.file(version);
        let rest = ["-servername", "localhost", version, flag, &session];
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let output = openssl(&[&own[..], &rest].concat(), request)?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(printed.contains("Verify return code: 0"), "{printed}");
        Some(printed.contains("Reused, TLSv1."))
    }
}

fn certificates(ca: &Ca) -> (SecretDir, Pair) {
    let pair = ca.leaf(&["localhost"]);
    (SecretDir::new(&pair.files()), pair)
}

#[test]
fn a_session_of_one_process_is_resumed_by_another_and_across_restarts() {
    let ca = Ca::new();
    let (mounted, _) = certificates(&ca);
    let secrets = SecretDir::new(&[("secret", &[7; 48])]);
    let (one, other) = (replica(&mounted, &secrets), replica(&mounted, &secrets));
    let sessions = Sessions::new(&ca);
    for version in ["-tls1_2", "-tls1_3"] {
        let Some(first) = sessions.resumes(&one, version, "-sess_out") else {
            return;
        };
        assert!(!first);
        assert_eq!(sessions.resumes(&other, version, "-sess_in"), Some(true));
    }
    drop((one, other));
    let restarted = replica(&mounted, &secrets);
    for version in ["-tls1_2", "-tls1_3"] {
        assert_eq!(
            sessions.resumes(&restarted, version, "-sess_in"),
            Some(true)
        );
    }
    let stranger = replica(&mounted, &SecretDir::new(&[("secret", &[8; 48])]));
    for version in ["-tls1_2", "-tls1_3"] {
        assert_eq!(
            sessions.resumes(&stranger, version, "-sess_in"),
            Some(false)
        );
    }
}

#[test]
fn a_replaced_secret_still_reads_what_it_made_and_the_new_one_makes_tickets() {
    let ca = Ca::new();
    let (mounted, _) = certificates(&ca);
    let secrets = SecretDir::new(&[("secret", &[7; 48])]);
    let one = replica(&mounted, &secrets);
    let sessions = Sessions::new(&ca);
    if sessions.resumes(&one, "-tls1_3", "-sess_out").is_none() {
        return;
    }
    secrets.swap(&[("secret", &[9; 48])]);
    one.wait_for_log("the new secret", |line| {
        line["message"] == "ticket secrets reloaded"
    });
    assert_eq!(sessions.resumes(&one, "-tls1_3", "-sess_in"), Some(true));
    assert_eq!(sessions.resumes(&one, "-tls1_2", "-sess_out"), Some(false));
    let new = replica(&mounted, &SecretDir::new(&[("secret", &[9; 48])]));
    assert_eq!(sessions.resumes(&new, "-tls1_2", "-sess_in"), Some(true));
}

#[test]
fn a_short_secret_keeps_the_last_good_one_and_does_not_start() {
    let ca = Ca::new();
    let (mounted, _) = certificates(&ca);
    let short = SecretDir::new(&[("secret", &[7; 31])]);
    let arguments = [
        "--cert-dir",
        mounted.as_str(),
        "--ticket-key-dir",
        short.as_str(),
    ];
    let ended = Sidecar::run_to_end(&arguments);
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    for word in ["--ticket-key-dir", "secret has 31 bytes", "openssl rand"] {
        assert!(ended.stderr.contains(word), "{word:?} in {}", ended.stderr);
    }
    let secrets = SecretDir::new(&[("secret", &[7; 48])]);
    let one = replica(&mounted, &secrets);
    secrets.swap(&[("secret", b"short")]);
    one.wait_for_log("the refusal", |line| {
        line["message"] == "ticket secrets not reloaded; the last good ones stay"
    });
}
