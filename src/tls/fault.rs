//! Everything that can be wrong with a certificate's files, in words and as a label.
//!
//! A [`LoadError`] means that there is nothing to serve: it comes from reading, parsing and
//! pairing. What can be served and is disliked is an [`super::gate::Objection`]. Both carry
//! a [`Reason`], whose names are fixed: no label takes a value that a file chooses.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::pem::PemError;

/// Why files hold no certificate that could be served, with the file it is about.
#[derive(Debug, Clone)]
pub enum LoadError {
    /// The file cannot be read.
    Read(PathBuf, Arc<io::Error>),
    /// It is a directory, a FIFO, a device or too large.
    Kind(PathBuf, &'static str),
    /// The file holds something else.
    Content(PathBuf, PemError),
    /// A certificate that cannot be parsed: its place in the file, from 1.
    Certificate(PathBuf, usize),
    /// The key is another one than the certificate's.
    Mismatch(Box<Mismatch>),
    /// The key fits the certificate at this place, from 1, and not the first.
    LeafNotFirst(PathBuf, usize),
    /// A key that rustls does not take.
    Key(PathBuf, String),
    /// A handshake in memory failed.
    Handshake(PathBuf, String),
    /// What is stapled is no OCSP answer.
    Ocsp(PathBuf, &'static str),
    /// No directory holds a pair; with what was found instead.
    NoPair(Vec<PathBuf>, Vec<PathBuf>),
    /// Files that were there are gone.
    Gone(PathBuf),
}

/// A key that is not the certificate's.
#[derive(Debug, Clone)]
pub struct Mismatch {
    /// The file with the certificate.
    pub certificate: PathBuf,
    /// The file with the key.
    pub key: PathBuf,
    /// SHA-256 of the certificate's key.
    pub certificate_key_sha256: String,
    /// SHA-256 of the public half of the key.
    pub key_sha256: String,
}

/// Why a certificate was not published, or was published with a warning: a fixed set of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is named for what its label says")]
pub enum Reason {
    Missing,
    PermissionDenied,
    Unreadable,
    NotAFile,
    TooLarge,
    Empty,
    Der,
    MalformedPem,
    NoCertificate,
    NoKey,
    EncryptedKey,
    SeveralKeys,
    MalformedCertificate,
    KeyMismatch,
    KeyNotAccepted,
    LeafNotFirst,
    Handshake,
    Ocsp,
    ChainOrder,
    NotServerAuth,
    Expired,
    NotYetValid,
    NoSharedName,
    NamesLost,
    StrayCertificate,
    NoNames,
    NoAuthority,
    RevocationList,
    AllowList,
    TrustNotAccepted,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 30] = [
        Self::Missing,
        Self::PermissionDenied,
        Self::Unreadable,
        Self::NotAFile,
        Self::TooLarge,
        Self::Empty,
        Self::Der,
        Self::MalformedPem,
        Self::NoCertificate,
        Self::NoKey,
        Self::EncryptedKey,
        Self::SeveralKeys,
        Self::MalformedCertificate,
        Self::KeyMismatch,
        Self::KeyNotAccepted,
        Self::LeafNotFirst,
        Self::Handshake,
        Self::Ocsp,
        Self::ChainOrder,
        Self::NotServerAuth,
        Self::Expired,
        Self::NotYetValid,
        Self::NoSharedName,
        Self::NamesLost,
        Self::StrayCertificate,
        Self::NoNames,
        Self::NoAuthority,
        Self::RevocationList,
        Self::AllowList,
        Self::TrustNotAccepted,
    ];

    /// The reason as a label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::PermissionDenied => "permission_denied",
            Self::Unreadable => "unreadable",
            Self::NotAFile => "not_a_file",
            Self::TooLarge => "too_large",
            Self::Empty => "empty",
            Self::Der => "der",
            Self::MalformedPem => "malformed_pem",
            Self::NoCertificate => "no_certificate",
            Self::NoKey => "no_key",
            Self::EncryptedKey => "encrypted_key",
            Self::SeveralKeys => "several_keys",
            Self::MalformedCertificate => "malformed_certificate",
            Self::KeyMismatch => "key_mismatch",
            Self::KeyNotAccepted => "key_not_accepted",
            Self::LeafNotFirst => "leaf_not_first",
            Self::Handshake => "handshake",
            Self::Ocsp => "ocsp",
            Self::ChainOrder => "chain_order",
            Self::NotServerAuth => "not_server_auth",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::NoSharedName => "no_shared_name",
            Self::NamesLost => "names_lost",
            Self::StrayCertificate => "stray_certificate",
            Self::NoNames => "no_names",
            Self::NoAuthority => "no_authority",
            Self::RevocationList => "revocation_list",
            Self::AllowList => "allow_list",
            Self::TrustNotAccepted => "trust_not_accepted",
        }
    }
}

impl LoadError {
    /// The reason as a label.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Read(_, error) => match error.kind() {
                io::ErrorKind::NotFound => Reason::Missing,
                io::ErrorKind::PermissionDenied => Reason::PermissionDenied,
                _ => Reason::Unreadable,
            },
            Self::Kind(_, TOO_LARGE | TOO_LARGE_LIST) => Reason::TooLarge,
            Self::Kind(..) => Reason::NotAFile,
            Self::Content(_, error) => match error {
                PemError::Empty => Reason::Empty,
                PemError::Malformed(_) => Reason::MalformedPem,
                PemError::NoCertificate => Reason::NoCertificate,
                PemError::NoRevocationList => Reason::RevocationList,
                PemError::NoKey => Reason::NoKey,
                PemError::EncryptedKey => Reason::EncryptedKey,
                PemError::SeveralKeys => Reason::SeveralKeys,
                PemError::Der => Reason::Der,
            },
            Self::Certificate(..) => Reason::MalformedCertificate,
            Self::Mismatch(_) => Reason::KeyMismatch,
            Self::LeafNotFirst(..) => Reason::LeafNotFirst,
            Self::Key(..) => Reason::KeyNotAccepted,
            Self::Handshake(..) => Reason::Handshake,
            Self::Ocsp(..) => Reason::Ocsp,
            Self::NoPair(..) | Self::Gone(_) => Reason::Missing,
        }
    }

    pub(super) fn read(path: &Path, error: io::Error) -> Self {
        Self::Read(path.to_path_buf(), Arc::new(error))
    }
}

/// What [`LoadError::Kind`] says of a bundle or a revocation list beyond its bound.
pub(super) const TOO_LARGE_LIST: &str = "is larger than 64 MiB; split it";

/// What [`LoadError::Kind`] says of a file beyond the bound.
pub(super) const TOO_LARGE: &str = "is larger than 4 MiB; no chain is";

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(file, error) => {
                write!(f, "{}: {error}", file.display())?;
                f.write_str(match error.kind() {
                    io::ErrorKind::PermissionDenied => {
                        "; set securityContext.fsGroup, or defaultMode 0440 on the volume"
                    }
                    io::ErrorKind::NotFound => "; the certificate and its key belong side by side",
                    _ => "",
                })
            }
            Self::Kind(file, what) => write!(f, "{} {what}", file.display()),
            Self::Content(file, error) => write!(f, "{} {error}", file.display()),
            Self::Certificate(file, place) => write!(
                f,
                "{}: certificate {place} in it is damaged; write the file again",
                file.display()
            ),
            Self::Mismatch(pair) => write!(
                f,
                "{} does not belong to the certificate in {}: the key's SHA-256 is {}, the \
                 certificate's key's is {}; put key and certificate of one issuance there",
                pair.key.display(),
                pair.certificate.display(),
                pair.key_sha256,
                pair.certificate_key_sha256,
            ),
            Self::LeafNotFirst(file, place) => write!(
                f,
                "{}: the key belongs to certificate {place} in it, which must stand first; put the \
                 chain in order: leaf, then each issuer",
                file.display()
            ),
            Self::Key(file, why) => write!(
                f,
                "{}: a key that cannot be served: {why}; use RSA from 2048 bits, P-256, P-384, \
                 P-521 or Ed25519",
                file.display()
            ),
            Self::Handshake(file, why) => {
                write!(f, "{}: a handshake with it fails: {why}", file.display())
            }
            Self::Ocsp(file, what) => write!(
                f,
                "{} {what}; write the responder's DER answer there, or remove it",
                file.display()
            ),
            Self::NoPair(directories, seen) => no_pair(f, directories, seen),
            Self::Gone(file) => write!(f, "{} is gone", file.display()),
        }
    }
}

fn no_pair(f: &mut fmt::Formatter<'_>, directories: &[PathBuf], seen: &[PathBuf]) -> fmt::Result {
    f.write_str("no certificate with its key in")?;
    for directory in directories {
        write!(f, " {}", directory.display())?;
        if let Err(error) = std::fs::read_dir(directory) {
            write!(f, " ({error})")?;
        }
    }
    if !seen.is_empty() {
        f.write_str("; found without a partner:")?;
        for file in seen.iter().take(8) {
            write!(f, " {}", file.display())?;
        }
    }
    f.write_str(
        "; mount the Secret there (tls.crt and tls.key), or say --cert-dir or --cert-file and \
         --key-file",
    )
}

impl std::error::Error for LoadError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_has_a_label_of_its_own() {
        let labels: BTreeSet<_> = Reason::ALL.into_iter().map(Reason::as_str).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
    }
}
