//! Reading certificates from files: the only file reads of this room.
//!
//! A Kubernetes mount is read through one resolved `..data`, so that key and certificate never
//! come from two versions: the kubelet swaps that one link (Kubernetes AtomicWriter).
//! Reads are bounded and refuse what is not a regular file: a FIFO must not block the process.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::pem::{self, PemError};
use super::server_config::provider;
use super::{CertSet, Certificate};
use crate::config::CertificateSource;

/// More than any chain needs, and than a Secret can hold (1 MiB).
const MAX_FILE_SIZE: u64 = 4 * 1024 * 1024;

/// Why no certificate could be loaded, with the file it is about.
#[derive(Debug)]
pub enum LoadError {
    /// The file cannot be read.
    Read(PathBuf, io::Error),
    /// The file holds something else.
    Content(PathBuf, PemError),
    /// Certificate and key are no pair rustls can serve.
    Pair(PathBuf, PathBuf, rustls::Error),
    /// No directory holds a pair.
    NoPair(Vec<PathBuf>),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(file, error) if error.kind() == io::ErrorKind::PermissionDenied => write!(
                f,
                "{}: {error}; set securityContext.fsGroup, or defaultMode 0440 on the volume",
                file.display()
            ),
            Self::Read(file, error) => write!(f, "{}: {error}", file.display()),
            Self::Content(file, error) => write!(f, "{} {error}", file.display()),
            Self::Pair(certificate, key, rustls::Error::InconsistentKeys(_)) => write!(
                f,
                "{} does not belong to the certificate in {}",
                key.display(),
                certificate.display()
            ),
            Self::Pair(certificate, key, error) => {
                write!(
                    f,
                    "{} with {}: {error}",
                    certificate.display(),
                    key.display()
                )
            }
            Self::NoPair(directories) => {
                f.write_str("no certificate: neither tls.crt nor tls.key in")?;
                for directory in directories {
                    write!(f, " {}", directory.display())?;
                }
                f.write_str(
                    "; mount the Secret there, or say --cert-dir or --cert-file and --key-file",
                )
            }
        }
    }
}

impl std::error::Error for LoadError {}

/// Loads what `source` holds now.
///
/// # Errors
/// The first file that stands in the way, and how.
pub fn load(source: &CertificateSource) -> Result<CertSet, LoadError> {
    match source {
        CertificateSource::Pair { certificate, key } => pair(certificate, key).map(CertSet::new),
        CertificateSource::Directories(directories) => {
            for directory in directories {
                let version = resolve_version(directory);
                let (certificate, key) = (version.join("tls.crt"), version.join("tls.key"));
                if certificate.symlink_metadata().is_ok() || key.symlink_metadata().is_ok() {
                    return pair(&certificate, &key).map(CertSet::new);
                }
            }
            Err(LoadError::NoPair(directories.clone()))
        }
    }
}

/// The directory of one version: what `..data` points to now, or `directory` itself.
fn resolve_version(directory: &Path) -> PathBuf {
    match std::fs::read_link(directory.join("..data")) {
        Ok(version) => directory.join(version),
        Err(_) => directory.to_path_buf(),
    }
}

fn pair(certificate: &Path, key: &Path) -> Result<Certificate, LoadError> {
    let content = |file: &Path| {
        let file = file.to_path_buf();
        move |error| LoadError::Content(file, error)
    };
    let chain = pem::certificates(&read(certificate)?).map_err(content(certificate))?;
    let private = pem::private_key(&read(key)?).map_err(content(key))?;
    Certificate::new(chain, private, certificate.to_path_buf(), &provider())
        .map_err(|error| LoadError::Pair(certificate.to_path_buf(), key.to_path_buf(), error))
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    read_bounded(path).map_err(|error| LoadError::Read(path.to_path_buf(), error))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // O_NONBLOCK: opening a FIFO without a writer would otherwise never return.
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than 4 MiB",
        ));
    }
    Ok(bytes)
}
