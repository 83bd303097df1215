//! What keeps a new certificate out, and what does not.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use crate::support::certs::{Ca, Leaf, Pair};
use crate::support::programs::openssl;
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::Sidecar;

use super::{Shown, folder, secret_with};

const HOUR: Duration = Duration::from_secs(3600);

/// Swaps `files` in and sees that the first certificate stays, for `reason`.
fn refused(files: &[(&str, &[u8])], reason: &str) -> String {
    let ca = Ca::new();
    let (secret, first, shown) = secret_with(&ca, &[]);
    secret.swap(files);
    let line = shown.kept(reason);
    assert_eq!(shown.leaf("localhost"), *first.leaf_der());
    // It is only in the way of itself.
    let new = ca.leaf(&["localhost"]);
    secret.swap(&new.files());
    shown.until_shown(&new);
    line["error"].as_str().unwrap().to_owned()
}

fn files<'a>(certificate: &'a [u8], key: &'a [u8]) -> [(&'static str, &'a [u8]); 2] {
    [("tls.crt", certificate), ("tls.key", key)]
}

fn good() -> Pair {
    Ca::new().leaf(&["localhost"])
}

/// SHA-256 of the public key of a private key, as openssl computes it; `None` without openssl.
fn key_sha256(pair: &Pair) -> Option<String> {
    let public = openssl(
        &["pkey", "-pubout", "-outform", "der"],
        pair.key_pem.as_bytes(),
    )?;
    let digest = openssl(&["dgst", "-sha256", "-r"], &public.stdout)?;
    let text = String::from_utf8(digest.stdout).unwrap();
    Some(text.split(' ').next().unwrap().to_owned())
}

// CERT-06
#[test]
fn a_key_of_another_certificate_is_refused_with_both_fingerprints() {
    let (one, other) = (good(), good());
    let words = refused(
        &files(one.cert_pem.as_bytes(), other.key_pem.as_bytes()),
        "key_mismatch",
    );
    for pair in [&one, &other] {
        let Some(sha256) = key_sha256(pair) else {
            return;
        };
        assert!(words.contains(&sha256), "{sha256} in {words}");
    }
}

// CERT-07
#[test]
fn garbage_is_refused() {
    let pair = good();
    let words = refused(
        &files(b"garbage", pair.key_pem.as_bytes()),
        "no_certificate",
    );
    assert!(words.contains("tls.crt"), "{words}");
}

// CERT-09
#[test]
fn a_file_that_may_not_be_read_any_more_is_refused_and_read_when_it_may() {
    let ca = Ca::new();
    let first = ca.leaf(&["localhost"]);
    let folder = folder(&first.files());
    let key = folder.path().join("tls.key");
    // Root reads everything: in a user namespace without a mapping nobody is root.
    let nobody = ["unshare", "-U", "sh", "-c", "exec \"$0\" \"$@\""];
    let directory = folder.path().to_str().unwrap();
    let Some(sidecar) = Sidecar::start_under(&nobody, &["--cert-dir", directory]) else {
        return;
    };
    let shown = Shown { sidecar };
    std::fs::set_permissions(&key, Permissions::from_mode(0o000)).unwrap();
    let line = shown.kept("permission_denied");
    assert!(
        line["error"].as_str().unwrap().contains("fsGroup"),
        "{line}"
    );
    assert_eq!(shown.leaf("localhost"), *first.leaf_der());
    let new = ca.leaf(&["localhost"]);
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    super::write(folder.path(), &new.files());
    shown.until_shown(&new);
}

// CERT-09: the memory of a process has nothing at its beginning, and reading there is EIO.
#[test]
fn a_file_whose_reading_fails_is_refused_and_read_when_it_does_not() {
    let ca = Ca::new();
    let first = ca.leaf(&["localhost"]);
    let folder = folder(&first.files());
    let shown = Shown::from(folder.path(), &[]);
    let key = folder.path().join("tls.key");
    std::fs::remove_file(&key).unwrap();
    std::os::unix::fs::symlink("/proc/self/mem", &key).unwrap();
    let line = shown.kept("unreadable");
    let error = line["error"].as_str().unwrap();
    assert!(
        error.contains("tls.key") && error.contains("os error 5"),
        "{error}"
    );
    assert_eq!(shown.leaf("localhost"), *first.leaf_der());
    std::fs::remove_file(&key).unwrap();
    let new = ca.leaf(&["localhost"]);
    super::write(folder.path(), &new.files());
    shown.until_shown(&new);
}

// CERT-07
#[test]
fn an_empty_file_is_refused() {
    let pair = good();
    let words = refused(&files(b"", pair.key_pem.as_bytes()), "empty");
    assert!(words.contains("tls.crt is empty"), "{words}");
}

// CERT-07
#[test]
fn half_a_certificate_is_refused() {
    let pair = good();
    let half = &pair.cert_pem.as_bytes()[..pair.cert_pem.len() / 2];
    refused(&files(half, pair.key_pem.as_bytes()), "malformed_pem");
}

// CERT-07
#[test]
fn der_is_refused_with_the_command_that_converts_it() {
    let pair = good();
    let words = refused(&files(pair.leaf_der(), pair.key_pem.as_bytes()), "der");
    assert!(words.contains("openssl x509"), "{words}");
}

// CERT-07
#[test]
fn two_keys_are_refused() {
    let pair = good();
    let twice = pair.key_pem.repeat(2);
    refused(
        &files(pair.cert_pem.as_bytes(), twice.as_bytes()),
        "several_keys",
    );
}

// CERT-07
#[test]
fn an_encrypted_key_is_refused_with_the_command_that_decrypts_it() {
    let pair = good();
    for form in [&["-traditional"][..], &[]] {
        let encrypt = ["pkey", "-aes256", "-passout", "pass:secret"];
        let Some(key) = openssl(&[&encrypt, form].concat(), pair.key_pem.as_bytes()) else {
            return;
        };
        let words = refused(
            &files(pair.cert_pem.as_bytes(), &key.stdout),
            "encrypted_key",
        );
        assert!(words.contains("openssl pkey"), "{words}");
    }
}

// CERT-07
#[test]
fn ten_mebibytes_are_refused_unread() {
    let pair = good();
    let large = vec![b'x'; 10 << 20];
    refused(&files(&large, pair.key_pem.as_bytes()), "too_large");
}

#[test]
fn a_weak_key_is_refused() {
    let arguments = [
        "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-days", "30",
    ];
    let names = [
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
    ];
    let outputs = ["-keyout", "-", "-out", "-"];
    let Some(both) = openssl(&[&arguments[..], &names, &outputs].concat(), b"") else {
        return;
    };
    let words = refused(&files(&both.stdout, &both.stdout), "key_not_accepted");
    assert!(words.contains("RSA"), "{words}");
}

// A version 1 certificate parses and fits its key, and no client takes its signature.
#[test]
fn one_that_fails_a_handshake_in_memory_is_refused() {
    let key = good().key_pem;
    let request = [
        "req",
        "-new",
        "-key",
        "/dev/stdin",
        "-subj",
        "/CN=localhost",
    ];
    let Some(request) = openssl(&request, key.as_bytes()) else {
        return;
    };
    let folder = folder(&[("key", key.as_bytes())]);
    let path = folder.path().join("key");
    let sign = [
        "x509",
        "-req",
        "-days",
        "30",
        "-signkey",
        path.to_str().unwrap(),
    ];
    let certificate = openssl(&sign, &request.stdout).unwrap();
    let words = refused(&files(&certificate.stdout, key.as_bytes()), "handshake");
    assert!(words.contains("a handshake with it fails"), "{words}");
}

// CERT-10
#[test]
fn an_expired_one_is_refused() {
    let ca = Ca::new();
    let expired = ca.sign(Leaf::server(&["localhost"]).expired());
    refused(&expired.files(), "expired");
}

// CERT-10
#[test]
fn one_that_is_not_yet_valid_is_refused_and_served_when_its_time_has_come() {
    let ca = Ca::new();
    let (secret, first, shown) = secret_with(&ca, &["--certificate-poll-interval", "100ms"]);
    let now = SystemTime::now();
    let soon = now + Duration::from_secs(3);
    let new = ca.sign(Leaf::server(&["localhost"]).valid(soon, now + 24 * HOUR));
    secret.swap(&new.files());
    shown.kept("not_yet_valid");
    assert_eq!(shown.leaf("localhost"), *first.leaf_der());
    shown.until_shown(&new);
    assert!(SystemTime::now() + Duration::from_secs(1) > soon);
}

// CERT-10
#[test]
fn one_without_a_name_in_common_is_refused_as_a_mix_up() {
    let other = Ca::new().leaf(&["other.example"]);
    let words = refused(&other.files(), "no_shared_name");
    assert!(words.contains("mix-up"), "{words}");
}

// CERT-10
#[test]
fn one_that_lacks_some_names_is_served_with_a_warning_that_lists_them() {
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost", "a.example"]).files());
    let shown = Shown::from(secret.path(), &[]);
    let fewer = ca.leaf(&["localhost"]);
    secret.swap(&fewer.files());
    let line = shown.warned("names_lost");
    assert!(
        line["warning"].as_str().unwrap().contains("a.example"),
        "{line}"
    );
    shown.until_shown(&fewer);
}

// CERT-10
#[test]
fn on_name_loss_refuse_keeps_the_one_with_all_names() {
    let ca = Ca::new();
    let full = ca.leaf(&["localhost", "a.example"]);
    let secret = SecretDir::new(&full.files());
    let shown = Shown::from(secret.path(), &["--on-name-loss", "refuse"]);
    secret.swap(&ca.leaf(&["localhost"]).files());
    shown.kept("names_lost");
    assert_eq!(shown.leaf("localhost"), *full.leaf_der());
}

// CERT-10: a wildcard covers what it covers.
#[test]
fn a_wildcard_in_place_of_a_name_loses_nothing() {
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["a.example.com", "localhost"]).files());
    let shown = Shown::from(secret.path(), &["--on-name-loss", "refuse"]);
    let new = ca.leaf(&["*.example.com", "localhost"]);
    secret.swap(&new.files());
    shown.until_shown(&new);
}

// CERT-10
#[test]
fn one_that_is_disliked_is_served_when_the_one_in_service_is_about_to_expire() {
    let ca = Ca::new();
    let now = SystemTime::now();
    let dying = ca.sign(Leaf::server(&["localhost"]).valid(now - 24 * HOUR, now + HOUR));
    let secret = SecretDir::new(&dying.files());
    let shown = Shown::from(secret.path(), &[]);
    let other = ca.leaf(&["other.example"]);
    secret.swap(&other.files());
    shown.warned("no_shared_name");
    shown.until_shown(&other);
}

// CERT-10
#[test]
fn an_expired_one_is_replaced_by_one_that_expired_later_and_not_by_an_older_one() {
    let ca = Ca::new();
    let now = SystemTime::now();
    let until = |hours: u32| {
        ca.sign(Leaf::server(&["localhost"]).valid(now - 90 * HOUR, now - hours * HOUR))
    };
    let (older, old, less_old) = (until(30), until(20), until(10));
    let secret = SecretDir::new(&old.files());
    let shown = Shown::from(secret.path(), &[]);
    shown.warned("expired");
    secret.swap(&less_old.files());
    shown.until_shown(&less_old);
    secret.swap(&older.files());
    shown.kept("expired");
    assert_eq!(shown.leaf("localhost"), *less_old.leaf_der());
}

#[test]
fn a_client_certificate_is_refused() {
    let client = Ca::new().sign(Leaf::client(&["localhost"]));
    refused(&client.files(), "not_server_auth");
}

/// The PEM blocks of a chain.
fn blocks(pem: &str) -> Vec<String> {
    let end = "-----END CERTIFICATE-----";
    let all = pem
        .split_inclusive(end)
        .map(|block| block.trim().to_owned() + "\n");
    all.filter(|block| block.contains(end)).collect()
}

#[test]
fn a_chain_out_of_order_is_refused() {
    let ca = Ca::new();
    let pair = ca
        .intermediate("one")
        .intermediate("two")
        .leaf(&["localhost"]);
    let [leaf, two, one] = &blocks(&pair.cert_pem)[..] else {
        panic!("{}", pair.cert_pem)
    };
    let swapped = [leaf.as_str(), one, two].concat();
    let words = refused(
        &files(swapped.as_bytes(), pair.key_pem.as_bytes()),
        "chain_order",
    );
    assert!(words.contains("out of order"), "{words}");
}

#[test]
fn a_chain_with_the_leaf_behind_is_refused() {
    let pair = Ca::new().intermediate("one").leaf(&["localhost"]);
    let mut turned = blocks(&pair.cert_pem);
    turned.reverse();
    let words = refused(
        &files(turned.concat().as_bytes(), pair.key_pem.as_bytes()),
        "leaf_not_first",
    );
    assert!(words.contains("must stand first"), "{words}");
}

#[test]
fn an_intermediate_of_the_right_name_and_another_key_is_refused() {
    let ca = Ca::new();
    let pair = ca.intermediate("one").leaf(&["localhost"]);
    let impostor = ca.intermediate("one");
    let chain = blocks(&pair.cert_pem)[0].clone() + &impostor.pem();
    let words = refused(
        &files(chain.as_bytes(), pair.key_pem.as_bytes()),
        "chain_order",
    );
    assert!(words.contains("another key"), "{words}");
}

// CERT-08
#[test]
fn a_stray_certificate_behind_the_chain_is_warned_about() {
    let ca = Ca::new();
    let (secret, _, shown) = secret_with(&ca, &[]);
    let new = ca.leaf(&["localhost"]);
    let chain = new.cert_pem.clone() + &Ca::named("stray").leaf(&["stray.example"]).cert_pem;
    secret.swap(&files(chain.as_bytes(), new.key_pem.as_bytes()));
    shown.warned("stray_certificate");
    shown.until_shown(&new);
}

// CERT-10: one bad certificate is in nobody's way but its own.
#[test]
fn a_bad_certificate_keeps_its_own_last_good_one_and_does_not_stop_others() {
    let ca = Ca::new();
    let (default, other) = (ca.leaf(&["localhost"]), ca.leaf(&["other.example"]));
    let files = |default: &Pair, key: &[u8]| {
        SecretFiles(vec![
            ("tls.crt", default.cert_pem.clone().into_bytes()),
            ("tls.key", default.key_pem.clone().into_bytes()),
            ("other.crt", other.cert_pem.clone().into_bytes()),
            ("other.key", key.to_vec()),
        ])
    };
    let secret = SecretDir::new(&files(&default, other.key_pem.as_bytes()).borrowed());
    let shown = Shown::from(secret.path(), &[]);
    let new = ca.leaf(&["localhost"]);
    secret.swap(&files(&new, b"no key").borrowed());
    shown.until_shown(&new);
    shown.kept("no_key");
    assert_eq!(shown.leaf("other.example"), *other.leaf_der());
}

struct SecretFiles(Vec<(&'static str, Vec<u8>)>);

impl SecretFiles {
    fn borrowed(&self) -> Vec<(&str, &[u8])> {
        self.0
            .iter()
            .map(|(name, bytes)| (*name, bytes.as_slice()))
            .collect()
    }
}
