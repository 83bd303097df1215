//! The set of certificates in service, published as one value, and the resolver that reads it.
//!
//! A handshake loads the set once, so what it signs with and what it sends are of one version.
//! Replacing the set never rebuilds the rustls configuration: tickets survive a rotation.
//! Invariant: looking a name up is at most two hash look-ups, without an allocation.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::x509;
use super::x509::KeyKind;
use super::{Certificate, step};
use crate::config::UnknownSni;
use crate::live::Live;

/// Every certificate in service; never empty.
#[derive(Debug)]
pub struct CertSet {
    certificates: Vec<Arc<Certificate>>,
    exact: HashMap<Box<str>, Choice>,
    /// By what stands after `*.`.
    wildcard: HashMap<Box<str>, Choice>,
    /// For clients that name an address, which SNI has no room for.
    addresses: HashMap<IpAddr, Choice>,
    default: Choice,
}

/// What a client asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The name in its ClientHello.
    pub(super) name: Option<&'a str>,
    /// The address that it connected to.
    pub(super) address: Option<IpAddr>,
}

/// Certificates for one name, in the order in which they are offered.
#[derive(Debug, Clone, Default)]
struct Choice(Vec<Offer>);

#[derive(Debug, Clone)]
struct Offer {
    kind: KeyKind,
    /// The beginning of its fingerprint.
    number: u64,
    is_out_of_time: bool,
    certificate: Arc<Certificate>,
}

impl CertSet {
    /// A set of these, the default one first; `None` without any.
    pub fn new(certificates: Vec<Arc<Certificate>>) -> Option<Self> {
        let first = Arc::clone(certificates.first()?);
        let now = SystemTime::now();
        let mut set = Self {
            certificates,
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            addresses: HashMap::new(),
            default: Choice::default(),
        };
        for certificate in &set.certificates {
            for name in &certificate.facts().names.dns {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut set.wildcard, parent),
                    None => (&mut set.exact, &**name),
                };
                map.entry(name.into()).or_default().add(certificate, now);
            }
        }
        for certificate in &set.certificates {
            for address in &certificate.facts().names.addresses {
                let choice = set.addresses.entry(*address).or_default();
                choice.add(certificate, now);
            }
        }
        // Whoever asks for no name may still be unable to verify the first one's key.
        let names = &first.facts().names.dns;
        let mut alike = names
            .iter()
            .filter_map(|name| match name.strip_prefix("*.") {
                Some(parent) => set.wildcard.get(parent),
                None => set.exact.get(name),
            });
        let with_first = alike.next().cloned().unwrap_or_default();
        set.default = with_first;
        set.default.add(&first, now);
        Some(set)
    }

    /// The certificates, the default one first.
    pub fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }

    /// The certificate to serve, `None` when the policy is to refuse the name.
    fn resolve(
        &self,
        asked: Asked<'_>,
        schemes: &[SignatureScheme],
        unknown: UnknownSni,
    ) -> Option<&Arc<Certificate>> {
        match self.choice(asked) {
            Some(choice) => choice.verified_by(schemes),
            None if asked.name.is_some() && unknown == UnknownSni::Refuse => None,
            None => self.default.verified_by(schemes),
        }
    }

    /// A number that changes with the certificates for what was asked.
    pub(super) fn identity(&self, asked: Asked<'_>) -> u64 {
        let offers = self.choice(asked).unwrap_or(&self.default).0.iter();
        offers.fold(0, |all, offer| all.rotate_left(1) ^ offer.number)
    }

    /// The URI SANs of the certificate that is offered first for what was asked.
    pub(super) fn uris(&self, asked: Asked<'_>) -> Vec<String> {
        let offers = &self.choice(asked).unwrap_or(&self.default).0;
        let leaf = offers.first().and_then(|offer| offer.certificate.leaf());
        leaf.map(x509::uris).unwrap_or_default()
    }

    /// Exact beats wildcard; the name is in lower case already.
    fn choice(&self, asked: Asked<'_>) -> Option<&Choice> {
        let Some(name) = asked.name else {
            return self.addresses.get(&asked.address?.to_canonical());
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        self.exact.get(name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.wildcard.get(parent)
        })
    }
}

impl Choice {
    /// Adds one; of several with one kind of key the first stays first, unless it is not valid now.
    fn add(&mut self, certificate: &Arc<Certificate>, now: SystemTime) {
        if self
            .0
            .iter()
            .any(|offer| Arc::ptr_eq(&offer.certificate, certificate))
        {
            return;
        }
        let facts = certificate.facts();
        self.0.push(Offer {
            kind: facts.key,
            number: certificate.number(),
            is_out_of_time: facts.not_after <= now || facts.not_before > now,
            certificate: Arc::clone(certificate),
        });
        // Stable: what is equal stays in the order of the files.
        self.0
            .sort_by_key(|offer| (offer.is_out_of_time, offer.kind));
    }

    /// The first that the client can verify; else the first, whose refusal says what is missing.
    fn verified_by(&self, schemes: &[SignatureScheme]) -> Option<&Arc<Certificate>> {
        let offers = match self.0.as_slice() {
            [only] => return Some(&only.certificate),
            offers => offers,
        };
        let mut usable = offers
            .iter()
            .filter(|offer| offer.kind.is_verified_by(schemes));
        usable
            .next()
            .or(offers.first())
            .map(|offer| &offer.certificate)
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
        let schemes = hello.signature_schemes();
        let asked = Asked {
            name: hello.server_name(),
            address: step::address(),
        };
        let certificate = set.resolve(asked, schemes, self.unknown_sni)?;
        Some(Arc::clone(certificate.served()))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("unknown_sni", &self.unknown_sni)
            .finish_non_exhaustive()
    }
}
