//! What can be wrong with the files that say which clients are trusted.
//!
//! Every error names the flag, the file and the mend. Invariant: none of them ever means that
//! clients are let in without being looked at.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::value::client::PatternError;
use crate::tls::fault::{LoadError, Reason};

pub(super) const AUTHORITIES: &str = "--client-ca-file";
pub(super) const REVOCATIONS: &str = "--client-crl-file";

/// Why there is nothing to judge clients by.
#[derive(Debug, Clone)]
pub enum TrustError {
    /// A file of this flag cannot be read.
    Read(&'static str, LoadError),
    /// A certificate that cannot be parsed: its place in the file, from 1.
    Certificate(PathBuf, usize),
    /// No authority in any of these.
    NoAuthority(Vec<PathBuf>),
    /// A revocation list that cannot be parsed, or was not signed by its issuer.
    RevocationList(PathBuf),
    /// No revocation list in any of these.
    NoRevocationList(Vec<PathBuf>),
    /// A line of the file of patterns, from 1.
    Pattern(PathBuf, usize, PatternError),
    /// No pattern in the file.
    NoPattern(PathBuf),
    /// rustls does not take it.
    Refused(String),
    /// Under it nobody could come in, and under the one in service somebody can.
    OutOfDate,
}

impl TrustError {
    /// The reason as a label.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Read(_, error) => error.reason(),
            Self::Certificate(..) => Reason::MalformedCertificate,
            Self::NoAuthority(_) => Reason::NoAuthority,
            Self::RevocationList(_) | Self::NoRevocationList(_) => Reason::RevocationList,
            Self::Pattern(..) | Self::NoPattern(_) => Reason::AllowList,
            Self::Refused(_) => Reason::TrustNotAccepted,
            Self::OutOfDate => Reason::Expired,
        }
    }
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(flag, LoadError::Read(file, error))
                if error.kind() == io::ErrorKind::NotFound =>
            {
                write!(
                    f,
                    "{flag}: {}: {error}; mount it there, or correct the path",
                    file.display()
                )
            }
            Self::Read(flag, error) => write!(f, "{flag}: {error}"),
            Self::Certificate(file, place) => write!(
                f,
                "{AUTHORITIES}: {}: certificate {place} in it is damaged; write the file again",
                file.display()
            ),
            Self::NoAuthority(paths) => {
                write!(f, "{AUTHORITIES}: no authority in {}", Paths(paths))?;
                f.write_str("; write the certificates of the clients' authorities there, in PEM")
            }
            Self::RevocationList(file) => write!(
                f,
                "{REVOCATIONS}: {}: a revocation list in it is damaged or was not signed by the \
                 authority it names; fetch it again",
                file.display()
            ),
            Self::NoRevocationList(paths) => {
                write!(f, "{REVOCATIONS}: no revocation list in {}", Paths(paths))?;
                f.write_str("; expected -----BEGIN X509 CRL----- or DER")
            }
            Self::Pattern(file, line, error) => write!(
                f,
                "--client-allow-file: {}: line {line}: {error}",
                file.display()
            ),
            Self::NoPattern(file) => write!(
                f,
                "--client-allow-file: {} names nobody; write one pattern a line, such as \
                 uri:spiffe://domain/ns/*",
                file.display()
            ),
            Self::Refused(why) => write!(
                f,
                "{AUTHORITIES}, {REVOCATIONS}: cannot be used: {why}; write them again"
            ),
            Self::OutOfDate => write!(
                f,
                "{AUTHORITIES}, {REVOCATIONS}: every authority or a revocation list has expired, \
                 and nobody could come in; renew it"
            ),
        }
    }
}

impl std::error::Error for TrustError {}

/// Paths with commas between them.
struct Paths<'a>(&'a [PathBuf]);

impl fmt::Display for Paths<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, path) in self.0.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{}", Path::new(path).display())?;
        }
        Ok(())
    }
}
