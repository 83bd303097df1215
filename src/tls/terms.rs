//! The terms on which clients are let in: one rustls configuration and the trust it was made from.
//!
//! A change of trust makes a new configuration with new tickets, because rustls resumes a session
//! with the chain it stored and does not verify it again. Published whole and loaded once per
//! connection. Invariant: a ticket is read only under the trust that it was made under.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use tokio::sync::watch;

use super::Acceptor;
use super::client::ClientFault;
use super::server_config::Recipe;
use super::step;
use super::suites::Choice;
use super::trust::{Judged, Trust};
use super::x509::Holder;
use crate::live::{Publisher, live};

/// What one connection is accepted by.
pub(super) struct Terms {
    pub(super) tls: Choice,
    /// `None` where nobody is asked for a certificate.
    pub(super) trust: Option<Arc<Trust>>,
    /// Grows with every change.
    pub(super) number: u64,
}

/// Changes the terms.
#[derive(Debug)]
pub struct Doorkeeper {
    recipe: Recipe,
    terms: Publisher<Terms>,
    changed: watch::Sender<u64>,
}

impl Doorkeeper {
    /// The first terms, and the end that accepts by them.
    pub(super) fn open(
        recipe: Recipe,
        trust: Option<Arc<Trust>>,
    ) -> Result<(Self, Acceptor), rustls::Error> {
        let config = recipe.config(trust.as_ref())?;
        let (terms, seen) = live(Terms {
            tls: Choice::of(config),
            trust,
            number: 0,
        });
        let (changed, changes) = watch::channel(0);
        let acceptor = Acceptor::new(seen, recipe.set.clone(), changes);
        let keeper = Self {
            recipe,
            terms,
            changed,
        };
        Ok((keeper, acceptor))
    }

    /// From now on clients are let in by `trust`, and those that are here are judged by it.
    ///
    /// # Errors
    /// When the system has no randomness for the ticket keys; the terms stay as they are.
    pub fn change(&self, trust: Arc<Trust>) -> Result<(), rustls::Error> {
        let config = self.recipe.config(Some(&trust))?;
        let number = self.terms.current().number + 1;
        self.terms.publish(Terms {
            tls: Choice::of(config),
            trust: Some(trust),
            number,
        });
        // After the terms: whoever wakes finds the new ones.
        self.changed.send_replace(number);
        Ok(())
    }
}

impl Terms {
    /// Judges a chain as it would be in a handshake now.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<Judged, ClientFault> {
        let (Some(trust), [leaf, rest @ ..]) = (&self.trust, chain) else {
            return Err(ClientFault::NoCertificate);
        };
        trust
            .judge(leaf, rest, UnixTime::now())
            .map_err(|error| ClientFault::of(&error).unwrap_or(ClientFault::BadCertificate))
    }

    /// Whether a client whose chain is good may come in.
    pub(super) fn admit(&self, holder: &Holder) -> Result<(), ClientFault> {
        match &self.trust {
            Some(trust) if trust.admits(holder) => Ok(()),
            _ => Err(ClientFault::NotAllowed),
        }
    }
}

/// Lets rustls ask the trust, and remembers for the handshake what was found.
#[derive(Debug)]
pub(super) struct Verifier(pub(super) Arc<Trust>);

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.0.verifier().client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.verifier().root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let judged = self.0.judge(leaf, rest, now)?;
        step::judged(judged);
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let verifier = self.0.verifier();
        verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let verifier = self.0.verifier();
        verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.verifier().supported_verify_schemes()
    }
}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
