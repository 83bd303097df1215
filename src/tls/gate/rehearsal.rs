//! One whole handshake in memory, client and server, with a certificate as it would be served.
//!
//! Whatever rustls dislikes of it shows here and not at the first client. The client checks the
//! signature and trusts any chain: whom real clients trust is not known here. Invariant: bounded
//! rounds, no socket, no clock.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection,
    SignatureScheme,
};

use crate::config::TlsVersion;
use crate::tls::certificate::Certificate;
use crate::tls::fault::LoadError;
use crate::tls::server_config::{provider, versions};

/// A handshake takes two; more means that it goes nowhere.
const MAX_ROUNDS: usize = 8;

/// Lets `certificate` serve one handshake.
///
/// # Errors
/// What rustls said, with the file.
pub fn rehearse(certificate: &Certificate, min: TlsVersion) -> Result<(), LoadError> {
    run(certificate, min)
        .map_err(|why| LoadError::Handshake(certificate.file().to_path_buf(), why.to_string()))
}

fn run(certificate: &Certificate, min: TlsVersion) -> Result<(), rustls::Error> {
    let provider = Arc::new(provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(min))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Always(Arc::clone(&certificate.certified))));
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions(min))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(SignatureOnly(provider)))
        .with_no_client_auth();
    let name = name_of(certificate);
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    let mut wire = Vec::new();
    for _ in 0..MAX_ROUNDS {
        if !client.is_handshaking() && !server.is_handshaking() {
            return Ok(());
        }
        pass(
            &mut wire,
            |out| client.write_tls(out),
            |from| server.read_tls(from),
        );
        server.process_new_packets()?;
        pass(
            &mut wire,
            |out| server.write_tls(out),
            |from| client.read_tls(from),
        );
        client.process_new_packets()?;
    }
    Err(rustls::Error::General(
        "it does not come to an end".to_owned(),
    ))
}

/// Carries what one side has to say to the other.
fn pass(
    wire: &mut Vec<u8>,
    mut write: impl FnMut(&mut dyn std::io::Write) -> std::io::Result<usize>,
    mut read: impl FnMut(&mut dyn std::io::Read) -> std::io::Result<usize>,
) {
    wire.clear();
    while write(wire).is_ok_and(|written| written > 0) {}
    let mut rest = wire.as_slice();
    while !rest.is_empty() && read(&mut rest).is_ok_and(|taken| taken > 0) {}
}

/// The first name a client could ask for.
fn name_of(certificate: &Certificate) -> ServerName<'static> {
    let names = &certificate.facts().names;
    let dns = names.dns.iter().map(|name| name.replacen('*', "a", 1));
    let parsed = dns
        .filter_map(|name| ServerName::try_from(name).ok())
        .next();
    let address = || {
        names
            .addresses
            .first()
            .map(|address| ServerName::from(*address))
    };
    parsed
        .or_else(address)
        .unwrap_or_else(|| ServerName::from(std::net::IpAddr::from([127, 0, 0, 1])))
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Checks that the key signed, and leaves trust to the clients.
#[derive(Debug)]
struct SignatureOnly(Arc<CryptoProvider>);

impl ServerCertVerifier for SignatureOnly {
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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
