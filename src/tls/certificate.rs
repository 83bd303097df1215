//! One certificate as it is served: chain, key that fits it, and how people recognise it.
//!
//! Made by [`Certificate::new`] alone, which refuses a key that does not fit: a pair that exists
//! can be served. Fingerprints are SHA-256 of the DER, as `openssl x509 -fingerprint -sha256`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::fault::{LoadError, Mismatch};
use super::server_config::provider;
use super::x509::{self, Facts, KeyKind, Link, Staple};

/// A chain with the key that fits its leaf.
#[derive(Debug)]
pub struct Certificate {
    pub(super) certified: Arc<CertifiedKey>,
    /// Without its staple, and from when on that is what is served.
    unstapled: Option<(SystemTime, Arc<CertifiedKey>)>,
    facts: Facts,
    chain: ChainShape,
    fingerprint: String,
    files: Files,
}

/// The files of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The chain.
    pub certificate: PathBuf,
    /// The key; the same file in a bundle.
    pub key: PathBuf,
    /// The stapled OCSP answer.
    pub ocsp: Option<PathBuf>,
}

/// How the certificates of a chain follow each other; places count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChainShape {
    /// Each is signed by the next.
    InOrder,
    /// The issuer of the one at this place is there, but not next.
    OutOfOrder(usize),
    /// The next one has the issuer's name and another key than signed this one.
    Forged(usize),
    /// In order up to this place, which has nothing to do with the rest.
    Stray(usize),
}

impl Certificate {
    /// Pairs `chain` with `key`, or says why they are no pair.
    pub(super) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        ocsp: Option<Vec<u8>>,
        files: Files,
    ) -> Result<Self, LoadError> {
        let damaged = |place| LoadError::Certificate(files.certificate.clone(), place);
        let leaf = chain.first().ok_or_else(|| damaged(1))?;
        let facts = Facts::of(leaf).map_err(|_| damaged(1))?;
        if let KeyKind::Rsa(bits @ ..2048) = facts.key {
            let why = format!("RSA with {bits} bits is too weak");
            return Err(LoadError::Key(files.key, why));
        }
        let signer = provider()
            .key_provider
            .load_private_key(key)
            .map_err(|error| LoadError::Key(files.key.clone(), error.to_string()))?;
        let public = signer.public_key().map(|key| key.as_ref().to_vec());
        if let Some(public) = public.filter(|public| *public != facts.public_key) {
            return Err(wrong_key(&chain, &public, &facts, files));
        }
        let until = match &ocsp {
            Some(ocsp) => staple_until(ocsp, files.ocsp.as_deref())?,
            None => None,
        };
        let shape = ChainShape::of(&chain).map_err(damaged)?;
        let fingerprint = x509::sha256(leaf);
        let mut certified = CertifiedKey::new(chain, signer);
        let unstapled = until.map(|until| (until, Arc::new(certified.clone())));
        certified.ocsp = ocsp;
        Ok(Self {
            certified: Arc::new(certified),
            unstapled,
            facts,
            chain: shape,
            fingerprint,
            files,
        })
    }

    /// What the leaf says.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// SHA-256 of the leaf, lower-case hex.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The file the chain was read from.
    pub fn file(&self) -> &Path {
        &self.files.certificate
    }

    /// All files it was read from.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The beginning of the fingerprint as a number.
    pub(super) fn number(&self) -> u64 {
        let digits = self.fingerprint.get(..16).unwrap_or_default();
        u64::from_str_radix(digits, 16).unwrap_or_default()
    }

    /// Its own certificate in DER.
    pub(super) fn leaf(&self) -> Option<&[u8]> {
        self.certified.cert.first().map(|leaf| leaf.as_ref())
    }

    /// What is served at this moment: an answer that says nothing any more is not stapled.
    pub(super) fn served(&self) -> &Arc<CertifiedKey> {
        match &self.unstapled {
            Some((until, bare)) if *until <= SystemTime::now() => bare,
            _ => &self.certified,
        }
    }

    /// Whether its OCSP answer says nothing any more at `now`.
    pub(super) fn is_staple_over(&self, now: SystemTime) -> bool {
        self.unstapled
            .as_ref()
            .is_some_and(|(until, _)| *until <= now)
    }

    pub(super) fn chain(&self) -> ChainShape {
        self.chain
    }

    /// Whether clients see no difference: same chain, same key, same staple.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert && self.certified.ocsp == other.certified.ocsp
    }
}

impl ChainShape {
    /// The shape of `chain`; the place of a certificate that cannot be read otherwise.
    fn of(chain: &[CertificateDer<'_>]) -> Result<Self, usize> {
        for (at, pair) in chain.windows(2).enumerate() {
            let [child, next] = pair else { break };
            match x509::link(child, next) {
                Ok(Link::Signed) => continue,
                Ok(Link::Forged) => return Ok(Self::Forged(at + 1)),
                Ok(Link::Stranger) => {}
                Err(_) => return Err(at + 2),
            }
            let after = &chain[at + 1..];
            let before = &chain[..=at];
            let is_issuer = |other: &CertificateDer<'_>| {
                x509::link(child, other) == Ok(Link::Signed) && other != child
            };
            let misplaced = after.iter().any(is_issuer)
                // Its issuer came too early: leaf, root, intermediate.
                || before[1..].iter().any(|other| x509::link(next, other) == Ok(Link::Signed));
            return Ok(match misplaced {
                true => Self::OutOfOrder(at + 1),
                false => Self::Stray(at + 2),
            });
        }
        Ok(Self::InOrder)
    }
}

fn wrong_key(chain: &[CertificateDer<'_>], public: &[u8], leaf: &Facts, files: Files) -> LoadError {
    let is_its_own =
        |der: &CertificateDer<'_>| x509::public_key(der).is_ok_and(|key| key == public);
    if let Some(at) = chain.iter().position(is_its_own) {
        return LoadError::LeafNotFirst(files.certificate, at + 1);
    }
    LoadError::Mismatch(Box::new(Mismatch {
        certificate: files.certificate,
        key: files.key,
        certificate_key_sha256: leaf.key_sha256.clone(),
        key_sha256: x509::sha256(public),
    }))
}

/// When the answer no longer says anything.
fn staple_until(ocsp: &[u8], file: Option<&Path>) -> Result<Option<SystemTime>, LoadError> {
    let what = match x509::staple(ocsp) {
        Ok(Staple::Answer(until)) => return Ok(until),
        Ok(Staple::Failure) => "is an OCSP answer that reports an error",
        Err(_) => "is no OCSP answer",
    };
    let file = file.unwrap_or(Path::new("the OCSP answer"));
    Err(LoadError::Ocsp(file.to_path_buf(), what))
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (SHA-256 {})",
            self.file().display(),
            self.fingerprint
        )
    }
}
