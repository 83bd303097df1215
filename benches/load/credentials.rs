//! The authority of a run, what it signed, and the TLS configurations of our own clients.
//!
//! A client verifies the certificate it is shown, but for a storm, whose clients are to be cheaper
//! than any proxy.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use crate::certs::{Ca, Leaf, Pair};

/// The key of a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    P256,
    Rsa2048,
}

/// The only key exchange a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    X25519,
    X25519Mlkem768,
}

/// Certificates of a run.
pub(crate) struct Credentials {
    ca: Ca,
    /// Two to rotate between.
    p256: [Pair; 2],
    rsa: Pair,
    client: Pair,
}

impl Credentials {
    /// Made anew.
    pub(crate) fn new() -> Self {
        let ca = Ca::named("load suite root");
        let names = ["localhost", "127.0.0.1"];
        let rsa = Leaf::server(&names).algorithm(&rcgen::PKCS_RSA_SHA256);
        Self {
            p256: [ca.leaf(&names), ca.leaf(&names)],
            rsa: ca.sign(rsa),
            client: ca.sign(Leaf::client(&["client"])),
            ca,
        }
    }

    /// The certificate that proxies serve.
    pub(crate) fn server(&self, key: Key) -> &Pair {
        match key {
            Key::P256 => &self.p256[0],
            Key::Rsa2048 => &self.rsa,
        }
    }

    /// Of two certificates for one name, by turns.
    pub(crate) fn by_turns(&self, turn: usize) -> &Pair {
        &self.p256[turn % 2]
    }

    /// Writes the authority, which signed servers and clients alike, as PEM.
    pub(crate) fn write_authority(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.ca.pem()).context("cannot write the authority")
    }

    /// A client that never resumes, with its certificate where the server asks for one.
    pub(crate) fn client(&self, exchange: Exchange) -> ClientConfig {
        let builder = ClientConfig::builder_with_provider(provider(exchange))
            .with_safe_default_protocol_versions()
            .expect("versions of the provider")
            .with_root_certificates(self.ca.roots());
        let mut config = builder
            .with_client_auth_cert(self.client.chain(), self.client.key())
            .expect("a key of ours");
        config.resumption = Resumption::disabled();
        config
    }

    /// A client that resumes whenever it can.
    pub(crate) fn resuming_client(&self) -> ClientConfig {
        let mut config = self.client(Exchange::X25519);
        config.resumption = Resumption::in_memory_sessions(8);
        config
    }
}

/// A client that looks at nothing.
pub(crate) fn careless_client() -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(provider(Exchange::X25519))
        .with_safe_default_protocol_versions()
        .expect("versions of the provider")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Careless))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config
}

/// The name that every certificate has.
pub(crate) fn server_name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

fn provider(exchange: Exchange) -> Arc<CryptoProvider> {
    let group: &'static dyn SupportedKxGroup = match exchange {
        Exchange::X25519 => aws_lc_rs::kx_group::X25519,
        Exchange::X25519Mlkem768 => aws_lc_rs::kx_group::X25519MLKEM768,
    };
    Arc::new(CryptoProvider {
        kx_groups: vec![group],
        ..aws_lc_rs::default_provider()
    })
}

#[derive(Debug)]
struct Careless;

impl ServerCertVerifier for Careless {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::RSA_PSS_SHA256,
        ]
    }
}
