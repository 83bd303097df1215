//! What a certificate says: the only file that knows `x509-parser`.
//!
//! rustls serves a certificate without reading it; the gate, the lookup by name and the status
//! need its names, times and key. Invariant: everything here is plain data, owned, and no parser
//! type leaves this file.

mod client;
mod staple;

use std::fmt;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rustls::SignatureScheme;
use x509_parser::asn1_rs::Oid;
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;
use x509_parser::x509::SubjectPublicKeyInfo;

pub use client::{AuthorityFacts, Holder, RevocationFacts};
pub(super) use client::{authority, holder, issuer, revocations, uris, validity};
pub(super) use staple::{Staple, staple};

/// What a leaf says about itself.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Names it is for: DNS names in lower case, then IP addresses.
    pub names: Names,
    /// Serial number in upper-case hexadecimal, as `openssl x509 -serial` prints it.
    pub serial: String,
    /// Who signed it, as a distinguished name.
    pub issuer: String,
    /// Valid from this moment.
    pub not_before: SystemTime,
    /// Valid up to this moment.
    pub not_after: SystemTime,
    /// What its key is.
    pub key: KeyKind,
    /// SHA-256 of the key (SubjectPublicKeyInfo), lower-case hexadecimal.
    pub key_sha256: String,
    /// Whether a client may use it to recognise a server (RFC 5280 section 4.2.1.12).
    pub is_for_servers: bool,
    /// SubjectPublicKeyInfo in DER.
    pub(super) public_key: Vec<u8>,
}

/// The SANs of a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Lower case, without a final dot; a wildcard begins with `*.`.
    pub dns: Vec<Box<str>>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

/// Kinds of keys, in the order in which they are offered to a client that can verify several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// ECDSA on P-256: fast, and verified by everybody but very old clients.
    P256,
    /// Ed25519.
    Ed25519,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// RSA with this many bits.
    Rsa(usize),
    /// Anything else.
    Other,
}

/// A certificate that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// How a certificate stands to the one after it in a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Signed by it.
    Signed,
    /// It names somebody else as its issuer.
    Stranger,
    /// It names that one as its issuer, but the signature is by another key.
    Forged,
}

impl Facts {
    /// Reads a leaf.
    pub(super) fn of(der: &[u8]) -> Result<Self, Unreadable> {
        let certificate = parse(der)?;
        let validity = certificate.validity();
        let usage = certificate.extended_key_usage().map_err(|_| Unreadable)?;
        Ok(Self {
            names: names(&certificate)?,
            serial: hex_upper(certificate.raw_serial()),
            issuer: certificate.issuer().to_string(),
            not_before: moment(validity.not_before),
            not_after: moment(validity.not_after),
            key: kind(certificate.public_key()),
            key_sha256: sha256(certificate.public_key().raw),
            is_for_servers: usage.is_none_or(|usage| usage.value.any || usage.value.server_auth),
            public_key: certificate.public_key().raw.to_vec(),
        })
    }

    /// How long it is valid in all.
    pub fn lifetime(&self) -> Duration {
        self.not_after
            .duration_since(self.not_before)
            .unwrap_or_default()
    }
}

/// Whether `child` was signed by `parent`.
pub(super) fn link(child: &[u8], parent: &[u8]) -> Result<Link, Unreadable> {
    let (child, parent) = (parse(child)?, parse(parent)?);
    if child.issuer().as_raw() != parent.subject().as_raw() {
        return Ok(Link::Stranger);
    }
    Ok(match child.verify_signature(Some(parent.public_key())) {
        // An algorithm this cannot check is the client's to judge.
        Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => Link::Signed,
        Err(_) => Link::Forged,
    })
}

/// SubjectPublicKeyInfo of a certificate, in DER.
pub(super) fn public_key(der: &[u8]) -> Result<Vec<u8>, Unreadable> {
    Ok(parse(der)?.public_key().raw.to_vec())
}

/// Lower-case hexadecimal SHA-256, as `openssl x509 -fingerprint -sha256` without its colons.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut hex = String::with_capacity(64);
    for byte in digest.as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

impl Names {
    /// Every name as text.
    pub fn iter(&self) -> impl Iterator<Item = String> + '_ {
        let dns = self.dns.iter().map(ToString::to_string);
        dns.chain(self.addresses.iter().map(ToString::to_string))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.addresses.is_empty()
    }

    /// Whether a client that asked for `name`, one of another certificate's, is still served.
    pub fn cover(&self, name: &str) -> bool {
        if let Ok(address) = name.parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        let wildcard = name.split_once('.').map(|(_, parent)| parent);
        self.dns.iter().any(|own| {
            **own == *name || (own.strip_prefix("*.").is_some_and(|p| Some(p) == wildcard))
        })
    }
}

impl KeyKind {
    /// Whether a client that lists `schemes` can verify a signature by such a key.
    pub(super) fn is_verified_by(self, schemes: &[SignatureScheme]) -> bool {
        use SignatureScheme as S;
        let usable: &[SignatureScheme] = match self {
            Self::P256 => &[S::ECDSA_NISTP256_SHA256],
            Self::P384 => &[S::ECDSA_NISTP384_SHA384],
            Self::P521 => &[S::ECDSA_NISTP521_SHA512],
            Self::Ed25519 => &[S::ED25519],
            Self::Rsa(_) => &[
                S::RSA_PSS_SHA256,
                S::RSA_PSS_SHA384,
                S::RSA_PSS_SHA512,
                S::RSA_PKCS1_SHA256,
                S::RSA_PKCS1_SHA384,
                S::RSA_PKCS1_SHA512,
            ],
            Self::Other => return false,
        };
        schemes.iter().any(|scheme| usable.contains(scheme))
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::P521 => f.write_str("P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::Other => f.write_str("unknown"),
        }
    }
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Unreadable> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Unreadable),
    }
}

fn names(certificate: &X509Certificate<'_>) -> Result<Names, Unreadable> {
    let mut names = Names::default();
    let extension = certificate.subject_alternative_name();
    let Some(extension) = extension.map_err(|_| Unreadable)? else {
        return Ok(names);
    };
    for name in &extension.value.general_names {
        match name {
            GeneralName::DNSName(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                names.dns.push(name.to_ascii_lowercase().into());
            }
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
                names.addresses.extend(address);
            }
            _ => {}
        }
    }
    Ok(names)
}

fn kind(key: &SubjectPublicKeyInfo<'_>) -> KeyKind {
    let algorithm = &key.algorithm;
    if algorithm.algorithm == OID_SIG_ED25519 {
        return KeyKind::Ed25519;
    }
    if algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
        let bits = key.parsed().map_or(0, |key| key.key_size());
        return KeyKind::Rsa(bits);
    }
    let parameters = algorithm.parameters.as_ref();
    let curve: Option<Oid<'_>> = parameters.and_then(|any| any.as_oid().ok());
    match curve {
        _ if algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY => KeyKind::Other,
        Some(curve) if curve == OID_EC_P256 => KeyKind::P256,
        Some(curve) if curve == OID_NIST_EC_P384 => KeyKind::P384,
        Some(curve) if curve == OID_NIST_EC_P521 => KeyKind::P521,
        _ => KeyKind::Other,
    }
}

fn moment(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    match seconds {
        0.. => SystemTime::UNIX_EPOCH + distance,
        _ => SystemTime::UNIX_EPOCH - distance,
    }
}

fn hex_upper(bytes: &[u8]) -> String {
    // DER puts a zero before a number whose top bit would be its sign.
    let bytes = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02X}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(names: &[&str]) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let params = rcgen::CertificateParams::new(names).unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn names_are_read_in_lower_case_with_addresses() {
        let facts = Facts::of(&leaf(&["A.Example", "*.B.example", "127.0.0.1", "::1"])).unwrap();
        assert_eq!(*facts.names.dns, ["a.example".into(), "*.b.example".into()]);
        assert_eq!(facts.names.addresses.len(), 2);
        assert_eq!(facts.key, KeyKind::P256);
        assert!(facts.is_for_servers, "no usage is every usage");
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        let names = Facts::of(&leaf(&["*.b.example", "::1"])).unwrap().names;
        assert!(names.cover("x.b.example") && names.cover("*.b.example") && names.cover("::1"));
        assert!(!names.cover("b.example") && !names.cover("y.x.b.example"));
        assert!(!names.cover("::2"));
    }

    #[test]
    fn a_self_signed_certificate_is_linked_to_itself_alone() {
        let (one, other) = (leaf(&["one"]), leaf(&["two"]));
        assert_eq!(link(&one, &one), Ok(Link::Signed));
        // rcgen gives both the same subject: the signature tells them apart.
        assert_eq!(link(&one, &other), Ok(Link::Forged));
        assert_eq!(link(b"not DER", &one), Err(Unreadable));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(der in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = Facts::of(&der);
            let _ = link(&der, &der);
        }
    }
}
