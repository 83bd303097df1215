//! PEM texts and directories of them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Component, Path};

use tls_sidecar::config::CertificateSource;
use tls_sidecar::tls::{self, fuzzing};

const CERTIFICATE_A: &str = include_str!("../seeds/pem/certificate-a");
const CERTIFICATE_B: &str = include_str!("../seeds/pem/certificate-b");
const KEY_A: &str = include_str!("../seeds/pem/key-a-pkcs8");
const KEY_A_SEC1: &str = include_str!("../seeds/pem/key-a-sec1");
const KEY_B: &str = include_str!("../seeds/pem/key-b-pkcs1");

/// Holds the reading of a PEM text: no panic, what surrounds the sections does not matter, what
/// was read can be written and read again, and no error repeats the text.
pub fn hold_pem(text: &[u8]) {
    let certificates = fuzzing::certificates(text);
    let key = fuzzing::private_key(text);
    if let Err(error) = &certificates {
        one_line(&error.to_string());
    }
    if let Err(error) = &key {
        one_line(&error.to_string());
    }
    let is_text = !text.is_empty() && text[0] != 0x30 && !text.starts_with(b"\xef\xbb\xbf");
    if is_text {
        for before in [&b"\xef\xbb\xbf"[..], b"# leading text\n"] {
            let with = [before, text].concat();
            assert_eq!(certificates.is_ok(), fuzzing::certificates(&with).is_ok());
            assert_eq!(key.is_ok(), fuzzing::private_key(&with).is_ok());
        }
    }
    if let Ok(found) = certificates {
        let text: String = found.iter().map(|der| armour("CERTIFICATE", der)).collect();
        assert_eq!(fuzzing::certificates(text.as_bytes()).as_ref(), Ok(&found));
        let text = text.replace('\n', "\r\n");
        assert_eq!(fuzzing::certificates(text.as_bytes()), Ok(found));
    }
    if let Ok(found) = key {
        let text = armour("PRIVATE KEY", &found);
        assert_eq!(fuzzing::private_key(text.as_bytes()), Ok(found));
    }
}

/// Holds the loading of a directory that `input` describes, a line an entry: `PATH = PIECE+PIECE`
/// is a file of named pieces (anything else stands for itself), `PATH -> TARGET` a link,
/// `PATH /` a directory.
pub fn hold_directory(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let root = tempfile::tempdir_in(
        ["/dev/shm", "/tmp"]
            .iter()
            .find(|p| Path::new(p).is_dir())
            .unwrap(),
    )
    .unwrap();
    for line in text.lines().take(32) {
        // What the system refuses to make is not there.
        let _ = make(root.path(), line);
    }
    for source in [
        CertificateSource::Directories(vec![root.path().to_owned()]),
        CertificateSource::Directories(vec![root.path().join("..data"), root.path().join("a")]),
        CertificateSource::Pair {
            certificate: root.path().join("tls.crt"),
            key: root.path().join("tls.key"),
        },
    ] {
        let one = outcome(&source, root.path());
        assert_eq!(one, outcome(&source, root.path()), "not the same twice");
    }
}

/// What a load of `source` leads to, in words: a line for every entry and for every complaint.
fn outcome(source: &CertificateSource, root: &Path) -> Vec<String> {
    let scan = tls::scan(source, &BTreeSet::new());
    let mut lines = Vec::new();
    let mut loaded = Vec::new();
    for entry in scan.entries {
        lines.push(format!(
            "{:?} {:?} {:?}",
            entry.name,
            entry.layout,
            entry.digest()
        ));
        match entry.certificate() {
            Ok(certificate) => {
                assert!(certificate.file().starts_with(root), "{certificate:?}");
                assert_eq!(certificate.fingerprint().len(), 64);
                loaded.push(std::sync::Arc::new(certificate));
            }
            Err(error) => {
                one_line(&error.to_string());
                lines.push(error.to_string());
            }
        }
    }
    let count = loaded.len();
    let set = tls::CertSet::new(loaded);
    assert_eq!(set.is_some(), count > 0, "an empty set, or none of some");
    lines
}

fn make(root: &Path, line: &str) -> std::io::Result<()> {
    let (path, what) = line.split_once(' ').unwrap_or((line, "/"));
    let Some(path) = inside(path) else {
        return Ok(());
    };
    let path = root.join(path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    if let Some(target) = what.strip_prefix("-> ") {
        return inside(target).map_or(Ok(()), |target| symlink(target, &path));
    }
    match what.strip_prefix("= ") {
        Some(pieces) => {
            let content: Vec<u8> = pieces.split('+').flat_map(piece).collect();
            fs::write(path, content)
        }
        None => fs::create_dir(path),
    }
}

/// A path that cannot lead out of where it is used.
fn inside(path: &str) -> Option<&Path> {
    let is_inside = |component| matches!(component, Component::Normal(_));
    let path = Path::new(path);
    let is_good = path.components().all(is_inside) && path.as_os_str().len() < 200;
    (is_good && path.components().count() < 5).then_some(path)
}

fn piece(name: &str) -> Vec<u8> {
    match name {
        "certificate-a" => CERTIFICATE_A.into(),
        "certificate-b" => CERTIFICATE_B.into(),
        "key-a" => KEY_A.into(),
        "key-a-sec1" => KEY_A_SEC1.into(),
        "key-b" => KEY_B.into(),
        "half" => CERTIFICATE_A[..CERTIFICATE_A.len() / 2].into(),
        "bom" => b"\xef\xbb\xbf".to_vec(),
        "crlf" => CERTIFICATE_A.replace('\n', "\r\n").into_bytes(),
        "der" => vec![0x30, 0x82, 1, 2],
        other => other.as_bytes().to_vec(),
    }
}

fn one_line(error: &str) {
    assert!(!error.trim().is_empty(), "refused without a word");
    assert!(!error.contains('\n'), "more than one line: {error:?}");
    assert!(error.len() < 2000, "too long: {error:?}");
}

/// RFC 7468, by hand.
fn armour(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in der.chunks(3) {
        let bits = three
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte));
        for at in 0..4 {
            text.push(match at <= three.len() {
                true => char::from(DIGITS[bits >> (18 - 6 * at) & 63]),
                false => '=',
            });
        }
    }
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
