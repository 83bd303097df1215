//! Which files are certificates, and which certificate a client is shown.

use rustls::SignatureScheme;

use crate::support::certs::{Ca, Leaf, Pair};
use crate::support::programs::openssl;
use crate::support::secret_dir::SecretDir;

use super::probe::Probe;
use super::{Shown, folder};

/// A certificate for each name, served from where `place` puts it.
fn served(places: &[(&str, &str, &str)]) -> (Shown, Vec<Pair>, tempfile::TempDir) {
    let ca = Ca::new();
    let pairs: Vec<_> = places
        .iter()
        .map(|(name, _, _)| ca.leaf(&[*name]))
        .collect();
    let mut files: Vec<(&str, Vec<u8>)> = Vec::new();
    for ((_, certificate, key), pair) in places.iter().zip(&pairs) {
        match certificate == key {
            true => files.push((certificate, (pair.key_pem.clone() + &pair.cert_pem).into())),
            false => {
                files.push((certificate, pair.cert_pem.clone().into()));
                files.push((key, pair.key_pem.clone().into()));
            }
        }
    }
    let borrowed: Vec<_> = files
        .iter()
        .map(|(name, bytes)| (*name, &bytes[..]))
        .collect();
    let folder = folder(&borrowed);
    (Shown::from(folder.path(), &[]), pairs, folder)
}

#[test]
fn every_layout_is_found_side_by_side_and_in_subdirectories() {
    let places = [
        ("kubernetes.example", "tls.crt", "tls.key"),
        ("pair.example", "site.crt", "site.key"),
        ("bundle.example", "bundle.pem", "bundle.pem"),
        (
            "certbot.example",
            "live/a/fullchain.pem",
            "live/a/privkey.pem",
        ),
        ("vault.example", "vault/certificate", "vault/private_key"),
        ("mkcert.example", "mk.pem", "mk-key.pem"),
        ("haproxy.example", "ha.pem", "ha.pem.key"),
        ("nested.example", "a/b/tls.crt", "a/b/tls.key"),
    ];
    let (shown, pairs, _folder) = served(&places);
    for ((name, _, _), pair) in places.iter().zip(&pairs) {
        assert_eq!(shown.leaf(name), *pair.leaf_der(), "{name}");
    }
    // Nobody's name, and no name at all: the default.
    assert_eq!(shown.leaf("nobody.example"), *pairs[0].leaf_der());
    let nameless = Probe::nameless().leaf(shown.sidecar.address());
    assert_eq!(nameless, *pairs[0].leaf_der());
}

#[test]
fn without_tls_crt_the_first_by_name_is_the_default() {
    let (shown, pairs, _folder) = served(&[
        ("z.example", "z.crt", "z.key"),
        ("a.example", "a.crt", "a.key"),
    ]);
    assert_eq!(shown.leaf("nobody.example"), *pairs[1].leaf_der());
}

#[test]
fn exact_beats_wildcard_and_case_does_not_matter() {
    let (shown, pairs, _folder) = served(&[
        ("default.example", "tls.crt", "tls.key"),
        ("*.site.example", "wild.crt", "wild.key"),
        ("WWW.Site.example", "www.crt", "www.key"),
    ]);
    assert_eq!(shown.leaf("www.site.example"), *pairs[2].leaf_der());
    assert_eq!(shown.leaf("WWW.SITE.EXAMPLE"), *pairs[2].leaf_der());
    assert_eq!(shown.leaf("Other.site.example"), *pairs[1].leaf_der());
    assert_eq!(shown.leaf("a.b.site.example"), *pairs[0].leaf_der());
    assert_eq!(shown.leaf("site.example"), *pairs[0].leaf_der());
}

#[test]
fn without_a_name_the_certificate_for_the_address_is_shown() {
    let (shown, pairs, _folder) = served(&[
        ("localhost", "tls.crt", "tls.key"),
        ("127.0.0.1", "address.crt", "address.key"),
        ("192.0.2.1", "other.crt", "other.key"),
    ]);
    let nameless = Probe::nameless().leaf(shown.sidecar.address());
    assert_eq!(nameless, *pairs[1].leaf_der());
    assert_eq!(shown.leaf("localhost"), *pairs[0].leaf_der());
    assert_eq!(shown.leaf("other.example"), *pairs[0].leaf_der());
}

#[test]
fn an_unknown_name_is_refused_where_asked_and_no_name_is_not() {
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["*.site.example"]).files());
    let shown = Shown::from(secret.path(), &["--unknown-sni", "refuse"]);
    let look = |name: &str| Probe::named(name).look(shown.sidecar.address());
    assert!(look("a.site.example").is_ok());
    assert!(look("other.example").is_err());
    assert!(Probe::nameless().look(shown.sidecar.address()).is_ok());
}

#[test]
fn of_several_key_types_a_client_is_shown_one_that_it_verifies() {
    let ca = Ca::new();
    let leaf = || Leaf::server(&["localhost"]);
    let rsa = ca.sign(leaf().algorithm(&rcgen::PKCS_RSA_SHA256));
    let ed25519 = ca.sign(leaf().algorithm(&rcgen::PKCS_ED25519));
    let p256 = ca.sign(leaf());
    let folder = folder(&[
        ("tls.crt", rsa.cert_pem.as_bytes()),
        ("tls.key", rsa.key_pem.as_bytes()),
        ("ed.crt", ed25519.cert_pem.as_bytes()),
        ("ed.key", ed25519.key_pem.as_bytes()),
        ("ec.crt", p256.cert_pem.as_bytes()),
        ("ec.key", p256.key_pem.as_bytes()),
    ]);
    let shown = Shown::from(folder.path(), &[]);
    let cases: [(&[SignatureScheme], _); 4] = [
        (&[SignatureScheme::ED25519], &ed25519),
        (&[SignatureScheme::RSA_PSS_SHA256], &rsa),
        (
            &[
                SignatureScheme::RSA_PSS_SHA256,
                SignatureScheme::ECDSA_NISTP256_SHA256,
            ],
            &p256,
        ),
        (
            &[SignatureScheme::RSA_PSS_SHA512, SignatureScheme::ED25519],
            &ed25519,
        ),
    ];
    for (schemes, pair) in cases {
        for probe in [Probe::named("localhost"), Probe::nameless()] {
            let leaf = probe.verifying(schemes).leaf(shown.sidecar.address());
            assert_eq!(leaf, *pair.leaf_der(), "{schemes:?}");
        }
    }
}

// CERT-08
#[test]
fn every_form_of_a_pem_file_is_read() {
    let ca = Ca::new();
    let rsa = ca.sign(Leaf::server(&["localhost"]).algorithm(&rcgen::PKCS_RSA_SHA256));
    let ec = ca.leaf(&["localhost"]);
    let traditional = |pair: &Pair| {
        let key = openssl(&["pkey", "-traditional"], pair.key_pem.as_bytes())?;
        Some(String::from_utf8(key.stdout).unwrap())
    };
    let (Some(pkcs1), Some(sec1)) = (traditional(&rsa), traditional(&ec)) else {
        return;
    };
    assert!(pkcs1.contains("BEGIN RSA PRIVATE KEY") && sec1.contains("BEGIN EC PRIVATE KEY"));
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let marked = format!(
        "\u{feff}# made today\r\n{}",
        ec.cert_pem.replace('\n', "\r\n")
    );
    let cases = [
        (rsa.cert_pem.clone(), pkcs1, &rsa),
        (ec.cert_pem.clone(), sec1.clone(), &ec),
        (ec.cert_pem.clone(), parameters.to_owned() + &sec1, &ec),
        (marked, format!("Key:\n{}", ec.key_pem), &ec),
    ];
    for (certificate, key, pair) in cases {
        let files: [(&str, &[u8]); 2] = [
            ("tls.crt", certificate.as_bytes()),
            ("tls.key", key.as_bytes()),
        ];
        let folder = folder(&files);
        let shown = Shown::from(folder.path(), &[]);
        assert_eq!(shown.leaf("localhost"), *pair.leaf_der());
    }
}

// CERT-08
#[test]
fn a_bundle_is_read_with_the_key_in_any_place() {
    let ca = Ca::new();
    let pair = ca.intermediate("one").leaf(&["localhost"]);
    let end = pair.cert_pem.find("-----BEGIN CERTIFICATE-----\n").unwrap();
    let second = pair.cert_pem[end + 1..].find("-----BEGIN").unwrap() + end + 1;
    let (leaf, issuer) = pair.cert_pem.split_at(second);
    let key = pair.key_pem.as_str();
    for bundle in [
        [key, leaf, issuer],
        [leaf, key, issuer],
        [leaf, issuer, key],
    ] {
        let folder = folder(&[("credentialbundle.pem", bundle.concat().as_bytes())]);
        let shown = Shown::from(folder.path(), &[]);
        assert_eq!(shown.leaf("localhost"), *pair.leaf_der());
    }
}

#[test]
fn a_thousand_certificates_are_served_from_one_directory() {
    let ca = Ca::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let name = |number: usize| format!("host-{number}.example");
    let pairs: Vec<_> = (0..1000)
        .map(|number| ca.sign_key(Leaf::server(&[&name(number)]), &key))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    for (number, pair) in pairs.iter().enumerate() {
        let files: [(&str, &[u8]); 2] = [
            (&format!("{number}.crt"), pair.cert_pem.as_bytes()),
            (&format!("{number}.key"), pair.key_pem.as_bytes()),
        ];
        super::write(folder.path(), &files);
    }
    let shown = Shown::from(folder.path(), &[]);
    for number in [0, 1, 499, 998, 999] {
        assert_eq!(shown.leaf(&name(number)), *pairs[number].leaf_der());
    }
    // One of them changes.
    let new = ca.sign_key(Leaf::server(&[&name(500)]), &key);
    std::fs::write(folder.path().join("500.crt"), &new.cert_pem).unwrap();
    crate::support::wait::eventually("the new one", crate::support::wait::PATIENCE, || {
        shown.leaf(&name(500)) == *new.leaf_der()
    });
    let is_reload = |line: &serde_json::Value| super::message(line) == "certificate reloaded";
    let line = shown.sidecar.wait_for_log("the reload", is_reload);
    assert!(
        line["file"].as_str().unwrap().ends_with("/500.crt"),
        "{line}"
    );
    assert_eq!(shown.said("certificate reloaded"), 1);
}
