//! The mounted secrets that ticket keys are derived from.
//!
//! Every file of the directory is one, in the order of their names: the first makes tickets, all
//! read them, so that a secret is replaced without losing sessions. Invariant: none is shown.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::tls::LoadError;
use crate::tls::directory::{self, Places, Versions};

/// Fewer bytes cannot be 256 bits of chance.
const SHORTEST: usize = 32;

/// The secrets in use.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketSecrets(Vec<Vec<u8>>);

/// Why there are no secrets.
#[derive(Debug, Clone)]
pub enum SecretsError {
    /// A file or the directory cannot be read.
    Read(LoadError),
    /// Too few bytes in a file.
    Short(PathBuf, usize),
    /// No file in the directory.
    None(PathBuf),
}

impl TicketSecrets {
    #[cfg(test)]
    pub(super) fn of(secrets: &[&[u8]]) -> Self {
        Self(secrets.iter().map(|secret| secret.to_vec()).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// These, and then those of `former` that are not among them.
    #[must_use]
    pub fn with_former(mut self, former: &Self) -> Self {
        for secret in &former.0 {
            if !self.0.contains(secret) {
                self.0.push(secret.clone());
            }
        }
        self
    }
}

/// What the directory `from` holds, and where to look for its next change.
///
/// # Errors
/// What is wrong with which file.
pub fn ticket_secrets(from: &Path) -> (Result<TicketSecrets, SecretsError>, Places, Versions) {
    let (files, places, versions) = directory::plain_files(from);
    (judge(from, files), places, versions)
}

fn judge(
    directory: &Path,
    files: Result<Vec<(PathBuf, Vec<u8>)>, LoadError>,
) -> Result<TicketSecrets, SecretsError> {
    let files = files.map_err(SecretsError::Read)?;
    if files.is_empty() {
        return Err(SecretsError::None(directory.to_path_buf()));
    }
    let mut secrets = Vec::new();
    for (file, secret) in files {
        if secret.len() < SHORTEST {
            return Err(SecretsError::Short(file, secret.len()));
        }
        secrets.push(secret);
    }
    Ok(TicketSecrets(secrets))
}

impl fmt::Debug for TicketSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketSecrets({})", self.0.len())
    }
}

impl fmt::Display for SecretsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "--ticket-key-dir: {error}"),
            Self::Short(file, length) => write!(
                f,
                "--ticket-key-dir: {} has {length} bytes; write at least 32 random ones: openssl \
                 rand 64",
                file.display()
            ),
            Self::None(directory) => write!(
                f,
                "--ticket-key-dir: no file in {}; mount a Secret with at least 32 random bytes \
                 there",
                directory.display()
            ),
        }
    }
}

impl std::error::Error for SecretsError {}
