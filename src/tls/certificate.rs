//! One certificate as it is served: chain, key that fits it, and how people recognise it.
//!
//! Made by [`Certificate::new`] alone, which refuses a key that does not fit: a pair that exists
//! can be served. Fingerprints are SHA-256 of the DER, as `openssl x509 -fingerprint -sha256`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

/// A chain with the key that fits its leaf.
#[derive(Debug)]
pub struct Certificate {
    pub(super) certified: Arc<CertifiedKey>,
    fingerprint: String,
    file: PathBuf,
}

impl Certificate {
    /// Pairs `chain` with `key`, or says why they are no pair.
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        file: PathBuf,
        provider: &CryptoProvider,
    ) -> Result<Self, rustls::Error> {
        let fingerprint = chain.first().map(|leaf| sha256(leaf)).unwrap_or_default();
        let certified = CertifiedKey::from_der(chain, key, provider)?;
        Ok(Self {
            certified: Arc::new(certified),
            fingerprint,
            file,
        })
    }

    /// Whether the SANs cover `server_name` (RFC 9525: case is ignored, `*` is one whole label).
    pub(super) fn has_name(&self, server_name: &str) -> bool {
        let (Some(leaf), Ok(name)) = (
            self.certified.cert.first(),
            ServerName::try_from(server_name),
        ) else {
            return false;
        };
        ParsedCertificate::try_from(leaf)
            .is_ok_and(|leaf| rustls::client::verify_server_name(&leaf, &name).is_ok())
    }

    /// SHA-256 of the leaf, lower-case hex.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The file the chain was read from.
    pub fn file(&self) -> &std::path::Path {
        &self.file
    }
}

fn sha256(der: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    digest
        .as_ref()
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
