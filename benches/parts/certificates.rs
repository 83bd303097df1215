//! Certificates: read from a directory, looked up by name.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use criterion::Criterion;
use tempfile::TempDir;
use tls_sidecar::config::{CertificateSource, Config, Settings};
use tls_sidecar::live::{self, Publisher};
use tls_sidecar::tls::{self, Acceptor, CertSet, Certificate, Offer};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An acceptor, and what keeps it.
pub(crate) struct Served {
    pub(crate) acceptor: Acceptor,
    /// Its certificate, PEM.
    pub(crate) pem: String,
    _published: Publisher<CertSet>,
    _doorkeeper: tls::Doorkeeper,
}

/// Serves a P-256 certificate with these names at the defaults.
pub(crate) fn served(names: Vec<String>) -> Served {
    let (directory, pem) = directory_of(names);
    let set = CertSet::new(load(directory.path()).into_iter().map(Arc::new).collect());
    let (published, set) = live::live(set.expect("a certificate"));
    let config = Config::resolve(Settings::default()).expect("defaults");
    let (doorkeeper, acceptor) =
        tls::acceptor(&config.tls, Offer::Http, set, None, None).expect("an acceptor");
    Served {
        acceptor,
        pem,
        _published: published,
        _doorkeeper: doorkeeper,
    }
}

pub(crate) fn directory(c: &mut Criterion) {
    let (directory, _) = directory_of(vec!["localhost".to_owned()]);
    c.bench_function("certificate directory load", |b| {
        b.iter(|| load(black_box(directory.path())));
    });
}

pub(crate) fn lookup(c: &mut Criterion) {
    for count in [1, 1000] {
        let names = (0..count)
            .map(|number| format!("n{number}.example"))
            .collect();
        let served = served(names);
        let name = format!("n{}.example", count / 2);
        c.bench_function(&format!("certificate lookup in {count} names"), |b| {
            b.iter(|| served.acceptor.shown(black_box(Some(&name)), ADDRESS));
        });
    }
}

fn directory_of(names: Vec<String>) -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let pem = made.cert.pem();
    let write = |name, text: &str| {
        std::fs::write(directory.path().join(name), text).expect("a writable directory");
    };
    write("tls.crt", &pem);
    write("tls.key", &made.signing_key.serialize_pem());
    (directory, pem)
}

fn load(directory: &Path) -> Vec<Certificate> {
    let source = CertificateSource::Directories(vec![directory.to_path_buf()]);
    let scan = tls::scan(&source, &BTreeSet::new());
    let made = scan.entries.into_iter().map(tls::Entry::certificate);
    made.collect::<Result<Vec<_>, _>>().expect("a certificate")
}
