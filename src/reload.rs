//! Keeps the published certificates in step with their files; keeps the last good ones otherwise.
//!
//! Every reload goes through one [`Reloader`], so that two never cross. Invariant: what is
//! published was loaded whole; a failed load changes nothing.

use crate::config::CertificateSource;
use crate::live::Publisher;
use crate::tls::{self, CertSet};

/// The one place where certificates are replaced.
#[derive(Debug)]
pub struct Reloader {
    source: CertificateSource,
    publisher: Publisher<CertSet>,
}

/// What a reload came to.
#[derive(Debug)]
pub enum Outcome {
    /// New certificates are in service.
    Published,
    /// The files hold what is in service already.
    Unchanged,
    /// The files are no good; the last good ones stay.
    Kept(tls::LoadError),
}

impl Reloader {
    /// Reloads from `source` into `publisher`.
    pub fn new(source: CertificateSource, publisher: Publisher<CertSet>) -> Self {
        Self { source, publisher }
    }

    /// Loads the files once more and publishes what is new.
    pub fn reload(&self) -> Outcome {
        let loaded = match tls::load(&self.source) {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::warn!(%error, "certificate not reloaded; the last good one stays in service");
                return Outcome::Kept(error);
            }
        };
        let (old, new) = (
            fingerprints(&self.publisher.current()),
            fingerprints(&loaded),
        );
        if old == new {
            tracing::info!(sha256 = new, "certificate unchanged");
            return Outcome::Unchanged;
        }
        self.publisher.publish(loaded);
        tracing::info!(old.sha256 = old, new.sha256 = new, "certificate reloaded");
        Outcome::Published
    }
}

fn fingerprints(set: &CertSet) -> String {
    let all: Vec<_> = set
        .certificates()
        .iter()
        .map(tls::Certificate::fingerprint)
        .collect();
    all.join(",")
}
