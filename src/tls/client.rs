//! One connection's client, known by its certificate: who it is, and whether that still holds.
//!
//! Judged in the handshake, again when a session is resumed, whenever the trust changes and when
//! something in the chain expires. Invariant: a standing is that of the whole chain under the
//! trust as last published, never what an earlier handshake found.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, OtherError};
use tokio::sync::watch;

use super::terms::Terms;
use super::trust::Judged;
use super::x509::Holder;
use crate::live::Live;

/// Between two looks at the clock on the wall, which may be set while a timer runs.
const LOOK: Duration = Duration::from_secs(60);

/// Why a client's certificate does not let it in: a fixed set of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named for what its label says")]
pub enum ClientFault {
    NoCertificate,
    UnknownCa,
    Expired,
    NotYetValid,
    WrongUsage,
    Revoked,
    RevocationUnknown,
    CrlExpired,
    ChainTooLong,
    BadSignature,
    BadCertificate,
    NotAllowed,
}

/// A client that has shown a certificate.
#[derive(Debug)]
pub struct Client {
    holder: Holder,
    chain: Vec<CertificateDer<'static>>,
    server_uris: Vec<String>,
    /// 0 for good, else the place of its fault in [`ClientFault::ALL`], from 1.
    standing: AtomicU8,
    terms: Live<Terms>,
    changed: watch::Receiver<u64>,
    /// The terms it was last judged by, when it came.
    number: u64,
    /// When what was found then must be looked at again.
    until: Option<SystemTime>,
}

/// What a handshake with a client's certificate came to.
pub(super) struct Arrival<'a> {
    pub(super) terms: &'a Terms,
    pub(super) judged: Judged,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) server_uris: Vec<String>,
}

impl ClientFault {
    /// Every fault.
    pub const ALL: [Self; 12] = [
        Self::NoCertificate,
        Self::UnknownCa,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongUsage,
        Self::Revoked,
        Self::RevocationUnknown,
        Self::CrlExpired,
        Self::ChainTooLong,
        Self::BadSignature,
        Self::BadCertificate,
        Self::NotAllowed,
    ];

    /// The fault as a label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::UnknownCa => "unknown_ca",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongUsage => "wrong_usage",
            Self::Revoked => "revoked",
            Self::RevocationUnknown => "revocation_unknown",
            Self::CrlExpired => "crl_expired",
            Self::ChainTooLong => "chain_too_long",
            Self::BadSignature => "bad_signature",
            Self::BadCertificate => "bad_certificate",
            Self::NotAllowed => "not_allowed",
        }
    }

    /// The fault as a client is told it over HTTP.
    pub fn words(self) -> &'static str {
        match self {
            Self::NoCertificate => "no client certificate was shown",
            Self::UnknownCa => "the client certificate is of no authority that is trusted here",
            Self::Expired => "the client certificate or one of its issuers has expired",
            Self::NotYetValid => "the client certificate or one of its issuers is not valid yet",
            Self::WrongUsage => "the certificate is not for clients",
            Self::Revoked => "the client certificate or one of its issuers was revoked",
            Self::RevocationUnknown => "no revocation list covers the client certificate",
            Self::CrlExpired => "the revocation list for the client certificate has expired",
            Self::ChainTooLong => "the chain of the client certificate is too long",
            Self::BadSignature => "a signature in the chain of the client certificate is wrong",
            Self::BadCertificate => "the client certificate is damaged",
            Self::NotAllowed => "the client certificate is valid, but this client is not allowed",
        }
    }

    /// What `error` says of a client's certificate, if it is about one.
    pub(super) fn of(error: &rustls::Error) -> Option<Self> {
        use CertificateError as E;
        Some(match error {
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            rustls::Error::InvalidCertRevocationList(_) => Self::RevocationUnknown,
            rustls::Error::InvalidCertificate(error) => match error {
                E::UnknownIssuer => Self::UnknownCa,
                E::Expired | E::ExpiredContext { .. } => Self::Expired,
                E::NotValidYet | E::NotValidYetContext { .. } => Self::NotYetValid,
                E::InvalidPurpose | E::InvalidPurposeContext { .. } => Self::WrongUsage,
                E::Revoked => Self::Revoked,
                E::UnknownRevocationStatus => Self::RevocationUnknown,
                E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => {
                    Self::CrlExpired
                }
                E::BadSignature => Self::BadSignature,
                E::Other(OtherError(error)) => {
                    let own = error.downcast_ref::<Self>();
                    own.copied().unwrap_or(Self::BadCertificate)
                }
                _ => Self::BadCertificate,
            },
            _ => return None,
        })
    }
}

impl fmt::Display for ClientFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl Error for ClientFault {}

impl Client {
    pub(super) fn new(
        arrival: Arrival<'_>,
        holder: Holder,
        terms: Live<Terms>,
        changed: watch::Receiver<u64>,
    ) -> Self {
        let Arrival {
            terms: by,
            judged,
            chain,
            server_uris,
        } = arrival;
        let client = Self {
            holder,
            chain,
            server_uris,
            standing: AtomicU8::new(0),
            terms,
            changed,
            number: by.number,
            until: judged.until,
        };
        client.stand(by.admit(&client.holder));
        client
    }

    /// What its certificate says of it.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// The certificates it has shown in DER, its own first.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.chain.iter().map(|certificate| certificate.as_ref())
    }

    /// The URI SANs of the certificate that it was shown.
    pub fn server_uris(&self) -> &[String] {
        &self.server_uris
    }

    /// Whether it may be here, as last found: one relaxed load, for the path of a request.
    ///
    /// # Errors
    /// Why it may not.
    pub fn standing(&self) -> Result<(), ClientFault> {
        match usize::from(self.standing.load(Ordering::Relaxed)) {
            0 => Ok(()),
            at => Err(ClientFault::ALL
                .get(at - 1)
                .copied()
                .unwrap_or(ClientFault::BadCertificate)),
        }
    }

    /// Returns, with the reason, when it was good and is no longer.
    pub async fn lost(&self) -> ClientFault {
        let mut changed = self.changed.clone();
        changed.mark_unchanged();
        let (mut number, mut until) = (self.number, self.until);
        loop {
            let terms = self.terms.load();
            let left = until.map(|until| until.duration_since(SystemTime::now()));
            if terms.number != number || left.as_ref().is_some_and(Result::is_err) {
                let before = self.standing();
                number = terms.number;
                let now = match terms.judge(&self.chain) {
                    Ok(judged) => {
                        until = judged.until;
                        terms.admit(&self.holder)
                    }
                    Err(fault) => Err(fault),
                };
                self.stand(now);
                match now {
                    Err(fault) if before != now => return fault,
                    _ => {}
                }
                continue;
            }
            // A moment beyond, so that the clock has passed it.
            let wait = left.and_then(Result::ok);
            let wait = wait.map_or(LOOK, |left| LOOK.min(left + Duration::from_millis(1)));
            tokio::select! {
                result = changed.changed() => if result.is_err() {
                    // Nobody is left who could change the trust: the clock alone still counts.
                    tokio::time::sleep(wait).await;
                },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn stand(&self, standing: Result<(), ClientFault>) {
        let place = match standing {
            Ok(()) => 0,
            Err(fault) => fault as u8 + 1,
        };
        self.standing.store(place, Ordering::Relaxed);
    }
}

impl Arrival<'_> {
    /// The client that has arrived.
    pub(super) fn client(
        self,
        terms: &Live<Terms>,
        changed: &watch::Receiver<u64>,
    ) -> Result<Arc<Client>, ClientFault> {
        let leaf = self.chain.first().ok_or(ClientFault::NoCertificate)?;
        let holder = super::x509::holder(leaf).map_err(|_| ClientFault::BadCertificate)?;
        let client = Client::new(self, holder, terms.clone(), changed.clone());
        Ok(Arc::new(client))
    }
}

#[cfg(test)]
mod tests {
    use super::ClientFault;

    #[test]
    fn a_fault_is_found_again_by_its_place() {
        for (at, fault) in ClientFault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, at, "{fault:?}");
        }
    }
}
