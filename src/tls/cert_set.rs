//! The set of certificates in service, published as one value, and the resolver that reads it.
//!
//! A handshake loads the set once, so what it signs with and what it sends are of one version.
//! Replacing the set never rebuilds the rustls configuration: tickets survive a rotation.

use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Certificate;
use crate::config::UnknownSni;
use crate::live::Live;

/// Every certificate in service; never empty.
#[derive(Debug)]
pub struct CertSet {
    certificates: Vec<Certificate>,
}

impl CertSet {
    /// A set that serves `default` to everybody.
    pub fn new(default: Certificate) -> Self {
        Self {
            certificates: vec![default],
        }
    }

    /// The certificates, the default one first.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The certificate to serve, `None` when the policy is to refuse the name.
    fn resolve(&self, server_name: Option<&str>, unknown: UnknownSni) -> Option<&Certificate> {
        let default = self.certificates.first()?;
        match (unknown, server_name) {
            (UnknownSni::Refuse, Some(name)) if !default.has_name(name) => None,
            _ => Some(default),
        }
    }
}

/// Answers rustls from the set as it is when the ClientHello arrives.
pub(super) struct Resolver {
    pub(super) set: Live<CertSet>,
    pub(super) unknown_sni: UnknownSni,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let set = self.set.load();
        let certificate = set.resolve(hello.server_name(), self.unknown_sni)?;
        Some(Arc::clone(&certificate.certified))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("unknown_sni", &self.unknown_sni)
            .finish_non_exhaustive()
    }
}
