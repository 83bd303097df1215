//! A client that looks at the certificate it is shown and believes anything of it.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, Stream};

/// How to ask.
pub(super) struct Probe {
    name: String,
    schemes: Vec<SignatureScheme>,
    sends_name: bool,
}

/// What was shown beside the leaf.
#[derive(Debug, Default)]
struct Seen {
    staple: Mutex<Vec<u8>>,
    schemes: Vec<SignatureScheme>,
}

impl Probe {
    /// Asks for `name`, verifies every kind of key.
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            schemes: default_provider()
                .signature_verification_algorithms
                .supported_schemes(),
            sends_name: true,
        }
    }

    /// Asks for no name.
    pub(super) fn nameless() -> Self {
        Self {
            sends_name: false,
            ..Self::named("localhost")
        }
    }

    /// Verifies only these kinds of signatures.
    pub(super) fn verifying(mut self, schemes: &[SignatureScheme]) -> Self {
        self.schemes = schemes.to_vec();
        self
    }

    /// The leaf; panics when there is no session.
    pub(super) fn leaf(&self, address: SocketAddr) -> CertificateDer<'static> {
        self.look(address).unwrap().0
    }

    /// The leaf and the stapled answer, or why there is no session.
    pub(super) fn look(
        &self,
        address: SocketAddr,
    ) -> std::io::Result<(CertificateDer<'static>, Vec<u8>)> {
        let seen = Arc::new(Seen {
            schemes: self.schemes.clone(),
            ..Seen::default()
        });
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&seen) as _)
            .with_no_client_auth();
        config.enable_sni = self.sends_name;
        let name = ServerName::try_from(self.name.clone()).unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = TcpStream::connect(address)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let leaf = connection.peer_certificates().unwrap()[0]
            .clone()
            .into_owned();
        // Ends in order, so that no line about a cut connection is in the log.
        connection.send_close_notify();
        connection.complete_io(&mut socket)?;
        let _ = Stream::new(&mut connection, &mut socket).read(&mut [0; 64]);
        let staple = seen.staple.lock().unwrap().clone();
        Ok((leaf, staple))
    }
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        staple: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.staple.lock().unwrap() = staple.to_vec();
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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
