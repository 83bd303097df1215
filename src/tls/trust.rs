//! Whom clients may be certified by: authorities, revocation lists and patterns, as one value.
//!
//! Made whole by [`Trust::new`] or not at all, so that a bundle that is empty or half read never
//! opens the door. rustls verifies; what it leaves out is added here: authorities that have
//! expired themselves, and chains so long that verifying them is work for nothing.

mod error;
mod known;
mod sources;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, OtherError, RootCertStore};

use super::client::ClientFault;
use super::digest::{Digest, Parts};
use super::server_config::provider;
use super::x509::{self, AuthorityFacts, Holder, Link, RevocationFacts};
use crate::config::{ClientAuthMode, ClientPattern};
pub use error::TrustError;
use known::Known;
pub use sources::{TrustSources, trust_sources};

/// Certificates of one client: its own, as many intermediates as rustls follows, and the root.
const LONGEST_CHAIN: usize = 8;

/// What is found of a chain with something in it that only rustls can read, or nobody, holds so long:
/// it may have an end.
const UNREADABLE: Duration = Duration::from_secs(60);

type Verifier = Arc<dyn ClientCertVerifier>;

/// Who is trusted, and what of it.
#[derive(Debug)]
pub struct Trust {
    mode: ClientAuthMode,
    authorities: Vec<Authority>,
    revocations: Vec<RevocationFacts>,
    allow: Vec<ClientPattern>,
    passed_over: Vec<AuthorityFacts>,
    verifier: Verifier,
    /// With the lists of further authorities that share a name with one of the first's.
    others: Vec<Verifier>,
    known: Known,
    digest: Digest,
}

/// An authority that is trusted.
#[derive(Debug, Clone)]
pub struct Authority {
    /// What its certificate says.
    pub facts: AuthorityFacts,
    /// Over every trust that had it.
    handshakes: Arc<AtomicU64>,
    certificate: CertificateDer<'static>,
}

/// What was found of a chain that is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    /// The authority it leads to, by its place.
    pub(super) authority: Option<usize>,
    /// The first moment at which something in it has expired.
    pub(super) until: Option<SystemTime>,
}

impl Trust {
    /// The trust that `sources` make, counting on where `former` has counted.
    ///
    /// # Errors
    /// What keeps anybody from being trusted, with the file.
    pub fn new(sources: TrustSources, former: Option<&Self>) -> Result<Self, TrustError> {
        let digest = sources.digest();
        let (authorities, passed_over) = authorities(&sources, former)?;
        let revocations = revocations(&sources, &authorities)?;
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots
                .add(authority.certificate.clone())
                .map_err(|error| TrustError::Refused(error.to_string()))?;
        }
        let (verifier, others) = verifiers(sources.mode, roots, &revocations)?;
        Ok(Self {
            mode: sources.mode,
            authorities,
            revocations: revocations.into_iter().map(|(facts, _)| facts).collect(),
            allow: sources.allow,
            passed_over,
            verifier,
            others,
            known: Known::none(),
            digest,
        })
    }

    /// Whether a client without a certificate is let in.
    pub fn mode(&self) -> ClientAuthMode {
        self.mode
    }

    /// The authorities.
    pub fn authorities(&self) -> &[Authority] {
        &self.authorities
    }

    /// The revocation lists.
    pub fn revocations(&self) -> &[RevocationFacts] {
        &self.revocations
    }

    /// Who may come in; empty for everybody with a good certificate.
    pub fn allow(&self) -> &[ClientPattern] {
        &self.allow
    }

    /// Certificates that stood among the authorities and are none.
    pub fn passed_over(&self) -> &[AuthorityFacts] {
        &self.passed_over
    }

    /// Authorities whose clients are refused because no list covers them, when there are lists.
    pub fn without_revocations(&self) -> impl Iterator<Item = &AuthorityFacts> {
        let authorities = self.authorities.iter().map(|authority| &authority.facts);
        authorities.filter(|facts| {
            !self.revocations.is_empty()
                && !self.revocations.iter().any(|list| {
                    let is_by = |signer: &Vec<u8>| *signer == facts.key;
                    list.name == facts.name && list.signer.as_ref().is_none_or(is_by)
                })
        })
    }

    /// Whether nobody could come in at `now`: every authority or some list is out of date.
    pub fn is_out_of_date(&self, now: SystemTime) -> bool {
        let mut authorities = self.authorities.iter();
        authorities.all(|authority| authority.facts.not_after <= now)
            || self.lists_out_of_date(now).next().is_some()
    }

    /// The lists that have expired at `now`.
    pub fn lists_out_of_date(&self, now: SystemTime) -> impl Iterator<Item = &RevocationFacts> {
        let is_over = move |list: &&RevocationFacts| list.next_update.is_some_and(|at| at <= now);
        self.revocations.iter().filter(is_over)
    }

    /// Tells one trust from another, over restarts and replicas.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn verifier(&self) -> &Arc<dyn ClientCertVerifier> {
        &self.verifier
    }

    /// Whether a client with a good certificate may come in.
    pub(super) fn admits(&self, holder: &Holder) -> bool {
        let is_meant = |pattern: &ClientPattern| {
            holder.uris.iter().any(|uri| pattern.is_uri(uri))
                || holder.dns.iter().any(|name| pattern.is_dns(name))
                || holder
                    .common_names
                    .iter()
                    .any(|name| pattern.is_common_name(name))
                || pattern.is_key(&holder.key_sha256)
        };
        self.allow.is_empty() || self.allow.iter().any(is_meant)
    }

    /// Judges a whole chain.
    pub(super) fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Judged, rustls::Error> {
        if rest.len() >= LONGEST_CHAIN {
            let fault = Arc::new(ClientFault::ChainTooLong);
            return Err(CertificateError::Other(OtherError(fault)).into());
        }
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
        let chain = known::digest(leaf, rest);
        if let Some(judged) = self.known.find(chain, at) {
            return Ok(judged);
        }
        self.verify(leaf, rest, now)?;
        let judged = self.found_good(leaf, rest, at)?;
        self.known.keep(chain, judged, at);
        Ok(judged)
    }

    /// Of which authority a verified chain is, and how long that holds.
    fn found_good(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: SystemTime,
    ) -> Result<Judged, rustls::Error> {
        let authority = self.authority_of(leaf, rest, now)?;
        let shown = [leaf].into_iter().chain(rest);
        let ends = shown.map(|certificate| {
            x509::validity(certificate).map_or(now + UNREADABLE, |validity| validity.not_after)
        });
        let lists = self.revocations.iter().filter_map(|list| list.next_update);
        let own = authority.map(|at| self.authorities[at].facts.not_after);
        let ends = ends.chain(lists).chain(own);
        // The second in which a certificate ends is its last (RFC 5280 section 4.1.2.5).
        let ends = ends.map(|end| end + Duration::from_secs(1));
        Ok(Judged {
            authority,
            until: ends.filter(|end| *end > now).min(),
        })
    }

    /// As rustls verifies, but under each of the lists that authorities of one name have: rustls
    /// looks for a list by that name and takes the first.
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let Err(mut fault) = self.verifier.verify_client_cert(leaf, rest, now) else {
            return Ok(());
        };
        let mut others = self.others.iter();
        // Revoked is said by a list of the right authority alone.
        while fault != CertificateError::Revoked.into()
            && let Some(other) = others.next()
        {
            match other.verify_client_cert(leaf, rest, now) {
                Ok(_) => return Ok(()),
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }

    /// The authority that a verified chain leads to; rustls takes one as it is, and so would let
    /// an expired one certify for ever.
    fn authority_of(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: SystemTime,
    ) -> Result<Option<usize>, rustls::Error> {
        for child in [leaf].into_iter().chain(rest) {
            let issuer = x509::issuer(child).map_err(|_| CertificateError::BadEncoding)?;
            let named = |(_, authority): &(usize, &Authority)| authority.facts.name == issuer;
            let mut found: Vec<_> = self.authorities.iter().enumerate().filter(named).collect();
            if found.len() > 1 {
                // One name over several keys, as while an authority is replaced.
                found.retain(|(_, authority)| {
                    x509::link(child, &authority.certificate) == Ok(Link::Signed)
                });
            }
            let Some((_, first)) = found.first() else {
                continue;
            };
            let is_valid =
                |facts: &AuthorityFacts| facts.not_before <= now && now <= facts.not_after;
            let valid = found
                .iter()
                .find(|(_, authority)| is_valid(&authority.facts));
            return match valid {
                Some((at, _)) => Ok(Some(*at)),
                None if first.facts.not_after < now => Err(CertificateError::Expired.into()),
                None => Err(CertificateError::NotValidYet.into()),
            };
        }
        Ok(None)
    }
}

impl Authority {
    /// Handshakes of clients that it has certified, since it was first trusted.
    pub fn handshakes(&self) -> u64 {
        self.handshakes.load(Ordering::Relaxed)
    }

    pub(super) fn count_handshake(&self) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
    }

    fn new(
        facts: AuthorityFacts,
        certificate: &CertificateDer<'static>,
        former: Option<&Trust>,
    ) -> Self {
        let mut known = former.iter().flat_map(|trust| &trust.authorities);
        let same = known.find(|known| known.facts.sha256 == facts.sha256);
        Self {
            handshakes: same.map_or_else(Arc::default, |same| Arc::clone(&same.handshakes)),
            facts,
            certificate: certificate.clone(),
        }
    }
}

/// The authorities, each once, and what stands among them and is none.
fn authorities(
    sources: &TrustSources,
    former: Option<&Trust>,
) -> Result<(Vec<Authority>, Vec<AuthorityFacts>), TrustError> {
    let (mut found, mut others) = (BTreeMap::new(), Vec::new());
    for (file, place, certificate) in &sources.authorities {
        let facts = x509::authority(certificate)
            .map_err(|_| TrustError::Certificate(file.clone(), *place))?;
        // What another has signed and may not sign itself is somebody's leaf in the wrong place;
        // one that signs itself is a client's own, to be trusted for that client alone.
        if facts.is_ca || facts.is_self_signed {
            let authority = Authority::new(facts, certificate, former);
            found.insert(authority.facts.sha256.clone(), authority);
        } else {
            others.push(facts);
        }
    }
    match found.is_empty() {
        true => Err(TrustError::NoAuthority(sources.authority_paths.clone())),
        false => Ok((found.into_values().collect(), others)),
    }
}

/// The verifier, and one more for each further authority of one name that has a list.
fn verifiers(
    mode: ClientAuthMode,
    roots: RootCertStore,
    revocations: &[(RevocationFacts, List)],
) -> Result<(Verifier, Vec<Verifier>), TrustError> {
    let mut signers: BTreeMap<&[u8], Vec<Option<&[u8]>>> = BTreeMap::new();
    let ranks: Vec<_> = revocations
        .iter()
        .map(|(facts, _)| {
            let (same_name, signer) = (
                signers.entry(&facts.name).or_default(),
                facts.signer.as_deref(),
            );
            let known = same_name.iter().position(|other| *other == signer);
            known.unwrap_or_else(|| {
                same_name.push(signer);
                same_name.len() - 1
            })
        })
        .collect();
    let most = signers.values().map(Vec::len).max().unwrap_or(1);
    let (roots, provider) = (Arc::new(roots), Arc::new(provider()));
    let verifier = |turn: usize| {
        let count = |facts: &RevocationFacts| signers.get(&*facts.name).map_or(1, Vec::len);
        let lists = revocations.iter().zip(&ranks);
        let lists = lists.filter(|((facts, _), rank)| **rank == turn % count(facts));
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
                .with_crls(lists.map(|((_, list), _)| list.clone()))
                // A list that is out of date says nothing, and who is not known to be good is not.
                .enforce_revocation_expiration();
        let builder = match mode {
            ClientAuthMode::Optional => builder.allow_unauthenticated(),
            ClientAuthMode::Required => builder,
        };
        builder
            .build()
            .map_err(|error| TrustError::Refused(error.to_string()))
    };
    let others: Result<_, _> = (1..most).map(verifier).collect();
    Ok((verifier(0)?, others?))
}

type List = rustls::pki_types::CertificateRevocationListDer<'static>;

/// The revocation lists, of one issuer the newest first: rustls takes the first that fits.
fn revocations(
    sources: &TrustSources,
    authorities: &[Authority],
) -> Result<Vec<(RevocationFacts, List)>, TrustError> {
    let mut lists = Vec::new();
    for (file, list) in &sources.revocations {
        let signers = authorities
            .iter()
            .map(|authority| authority.certificate.as_ref());
        let facts = x509::revocations(list, signers)
            .map_err(|_| TrustError::RevocationList(file.clone()))?;
        lists.push((facts, list.clone()));
    }
    if lists.is_empty() && !sources.revocation_paths.is_empty() {
        return Err(TrustError::NoRevocationList(
            sources.revocation_paths.clone(),
        ));
    }
    lists.sort_by_key(|(facts, _)| std::cmp::Reverse(facts.this_update));
    Ok(lists)
}

impl TrustSources {
    /// Over everything that makes a difference, in an order that makes none.
    pub fn digest(&self) -> Digest {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        parts.extend(self.authorities.iter().map(|(_, _, der)| tagged(b'a', der)));
        parts.extend(self.revocations.iter().map(|(_, der)| tagged(b'r', der)));
        parts.extend(
            self.allow
                .iter()
                .map(|p| tagged(b'p', p.to_string().as_bytes())),
        );
        parts.sort();
        parts.dedup();
        let mut all = Parts::none();
        all.add(Some(match self.mode {
            ClientAuthMode::Optional => b"optional",
            ClientAuthMode::Required => b"required",
        }));
        parts.iter().for_each(|part| all.add(Some(part)));
        all.digest()
    }
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag], bytes].concat()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    #[test]
    fn what_has_an_end_that_cannot_be_read_is_soon_looked_at_again() {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        let leaf = CertificateParams::new(["client".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &issuer);
        let leaf = leaf.unwrap().der().clone();
        let sources = TrustSources {
            mode: ClientAuthMode::Required,
            authorities: vec![(PathBuf::new(), 1, authority)],
            revocations: Vec::new(),
            allow: Vec::new(),
            authority_paths: Vec::new(),
            revocation_paths: Vec::new(),
        };
        let trust = Trust::new(sources, None).unwrap();
        let now = UnixTime::now();
        let soon = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs()) + 2 * UNREADABLE;
        let until = |rest| trust.judge(&leaf, rest, now).unwrap().until.unwrap();
        assert!(until(&[]) > soon);
        assert!(until(&[CertificateDer::from(b"unreadable".to_vec())]) < soon);
    }
}
