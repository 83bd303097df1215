//! Findings about the trust in clients.

use std::time::{Duration, SystemTime};

use super::{Checked, Place};
use crate::support::certs::{Ca, Leaf};
use crate::support::secret_dir::SecretDir;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Checks a place whose clients are to have certificates, with these files.
fn checked(bundle: &str, list: Option<&str>) -> Checked {
    let place = Place::new();
    let list = list.map(|list| ("crl.pem", list.as_bytes()));
    let files: Vec<_> = [("ca.crt", bundle.as_bytes())]
        .into_iter()
        .chain(list)
        .collect();
    let trust = SecretDir::new(&files);
    let path = |name: &str| trust.path().join(name).to_str().unwrap().to_owned();
    let (bundle, lists) = (path("ca.crt"), path("crl.pem"));
    let mut arguments = vec!["--client-auth", "required", "--client-ca-file", &bundle];
    if list.is_some() {
        arguments.extend(["--client-crl-file", &lists]);
    }
    place.check(&arguments)
}

#[test]
fn a_good_trust_is_no_finding() {
    let ca = Ca::named("clients");
    checked(&ca.pem(), Some(&ca.revocation_list(&[1]))).clean();
}

// CERT-13
#[test]
fn a_bundle_that_holds_no_authority_is_an_error_with_the_mount_that_mends_it() {
    let checked = checked("garbage", None);
    assert!(
        checked.stdout.contains("name: client-ca"),
        "{}",
        checked.stdout
    );
    let message = checked.only("client_trust");
    assert!(message.contains("ca.crt"), "{message}");
}

// TLS-09
#[test]
fn an_authority_that_has_expired_or_ends_within_a_week_is_found() {
    let message = checked(&Ca::expired().pem(), None).only("authority_expired");
    assert!(message.contains("put its successor"), "{message}");
    let ending = Ca::until(SystemTime::now() + 100 * HOUR);
    let message = checked(&ending.pem(), None).only("authority_expires_soon");
    assert!(message.contains(" h, and its clients"), "{message}");
}

// TLS-09
#[test]
fn a_revocation_list_that_is_over_nearly_over_or_missing_is_found() {
    let ca = Ca::named("clients");
    let now = SystemTime::now();
    let over = ca.revocation_list_until(&[], now - HOUR);
    checked(&ca.pem(), Some(&over)).only("crl_expired");
    let nearly = ca.revocation_list_until(&[], now + 2 * HOUR);
    let message = checked(&ca.pem(), Some(&nearly)).only("crl_expires_soon");
    assert!(message.contains("in 1 h"), "{message}");
    let bare = Ca::named("bare");
    let both = ca.pem() + &bare.pem();
    let message = checked(&both, Some(&ca.revocation_list(&[]))).only("authority_without_crl");
    assert!(message.contains("CN=bare"), "{message}");
}

#[test]
fn a_leaf_among_the_authorities_is_a_note_and_nothing_wrong() {
    let ca = Ca::named("clients");
    let bundle = ca.pem() + &ca.sign(Leaf::client(&["somebody"])).cert_pem;
    let checked = checked(&bundle, None);
    assert_eq!(checked.code, 0, "{}", checked.stdout);
    assert!(
        checked
            .stdout
            .starts_with("note: no_authority: CN=somebody"),
        "{}",
        checked.stdout
    );
}
