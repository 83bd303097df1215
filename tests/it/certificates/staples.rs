//! OCSP answers beside a certificate, made and seen by openssl.

use std::fs;

use crate::support::certs::{Ca, Leaf, Pair};
use crate::support::programs::openssl;
use crate::support::secret_dir::SecretDir;
use crate::support::wait::{PATIENCE, eventually};

use super::{Shown, folder, probe::Probe, secret_with};

/// A certificate with its answer, good for a day; `None` without openssl.
fn answered(ca: &Ca) -> Option<(Pair, Vec<u8>)> {
    let pair = ca.sign(Leaf::server(&["localhost"]).serial(0x1234));
    let index = b"V\t491231235959Z\t\t1234\tunknown\t/CN=localhost\n";
    let place = folder(&[
        ("index", index),
        ("ca.pem", ca.pem().as_bytes()),
        ("ca.key", ca.key_pem().as_bytes()),
        ("leaf.pem", pair.cert_pem.as_bytes()),
    ]);
    let file = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (index, root, key) = (file("index"), file("ca.pem"), file("ca.key"));
    let (leaf, answer) = (file("leaf.pem"), file("answer"));
    let signer = ["ocsp", "-index", &index, "-CA", &root, "-rsigner", &root];
    let question = ["-rkey", &key, "-issuer", &root, "-cert", &leaf];
    let output = ["-ndays", "1", "-respout", &answer];
    let made = openssl(&[&signer[..], &question, &output].concat(), b"")?;
    let der = fs::read(&answer).unwrap_or_else(|_| panic!("{made:?}"));
    Some((pair, der))
}

/// The same answer, with its next update in the past: the signature is the client's to check.
fn outdated(answer: &[u8]) -> Vec<u8> {
    let mut answer = answer.to_vec();
    let is_time = |at: &usize| answer[*at..].starts_with(&[0x18, 15]);
    // Made, valid from, next update.
    let at = (0..answer.len()).filter(is_time).nth(2).unwrap();
    answer[at + 2..at + 6].copy_from_slice(b"2020");
    answer
}

fn stapled(shown: &Shown) -> Vec<u8> {
    let probe = Probe::named("localhost");
    probe.look(shown.sidecar.address()).unwrap().1
}

#[test]
fn an_ocsp_answer_beside_the_certificate_is_stapled_and_openssl_reads_it() {
    let Some((pair, answer)) = answered(&Ca::new()) else {
        return;
    };
    let mut files = pair.files().to_vec();
    files.push(("tls.ocsp", &answer));
    let secret = SecretDir::new(&files);
    let shown = Shown::from(secret.path(), &[]);
    assert_eq!(stapled(&shown), answer);
    let address = shown.sidecar.address().to_string();
    let ask = [
        "s_client",
        "-connect",
        &address,
        "-servername",
        "localhost",
        "-status",
    ];
    let printed = String::from_utf8_lossy(&openssl(&ask, b"").unwrap().stdout).into_owned();
    assert!(printed.contains("Cert Status: good"), "{printed}");
    // Without an answer for the same certificate there is none: a change like any other.
    secret.swap(&pair.files());
    eventually("no staple", PATIENCE, || stapled(&shown).is_empty());
}

#[test]
fn an_answer_past_its_next_update_is_not_stapled_and_warned_about() {
    let Some((pair, answer)) = answered(&Ca::new()) else {
        return;
    };
    let old = outdated(&answer);
    let mut files = pair.files().to_vec();
    files.push(("tls.ocsp", &old));
    let secret = SecretDir::new(&files);
    let shown = Shown::from(secret.path(), &[]);
    let line = shown.warned("ocsp");
    let words = line["warning"].as_str().unwrap();
    assert!(words.contains("past its next update"), "{words}");
    assert_eq!(shown.leaf("localhost"), *pair.leaf_der());
    assert!(stapled(&shown).is_empty());
    files[2].1 = &answer;
    secret.swap(&files);
    eventually("the new answer", PATIENCE, || stapled(&shown) == answer);
}

#[test]
fn a_file_that_is_no_ocsp_answer_is_refused_with_its_name() {
    let ca = Ca::new();
    let (secret, first, shown) = secret_with(&ca, &[]);
    let new = ca.leaf(&["localhost"]);
    let mut files = new.files().to_vec();
    files.push(("tls.ocsp", b"-----BEGIN OCSP RESPONSE-----"));
    secret.swap(&files);
    let line = shown.kept("ocsp");
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("tls.ocsp is no OCSP answer"), "{error}");
    assert_eq!(shown.leaf("localhost"), *first.leaf_der());
}
