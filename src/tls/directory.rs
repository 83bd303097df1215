//! Looking through certificate directories: the only file reads of this room.
//!
//! A Kubernetes mount is read through one resolved `..data`, so that key and certificate never
//! come from two versions: the kubelet swaps that one link (Kubernetes AtomicWriter).
//! A [`Scan`] holds contents and no judgement; [`Entry::certificate`] makes a pair of them.

mod bounded;
mod layout;
mod places;
mod reading;
mod walk;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::certificate::{Certificate, Files};
use super::digest::{Digest, Parts};
use super::fault::LoadError;
use super::pem;
use crate::config::CertificateSource;
pub use places::Places;
pub(super) use reading::Reading;

/// Entries of one directory that are looked at; a certificate directory holds thousands at most.
const MAX_ENTRIES: usize = 20_000;

/// A version that changes while it is read is read again this often.
const ATTEMPTS: usize = 5;

/// What a source holds at one moment.
#[derive(Debug, Default)]
pub struct Scan {
    /// The certificates found, the default one first.
    pub entries: Vec<Entry>,
    /// Directories and files that could not be looked at.
    pub troubles: Vec<LoadError>,
    /// Where to look for the next change.
    pub places: Places,
    /// Files that might be half of a pair, for the words of an error.
    unpaired: Vec<PathBuf>,
    /// What was read of each directory.
    pub versions: Versions,
}

/// Each directory with what its `..data` pointed to.
#[derive(Debug, Clone, Default)]
pub struct Versions(Vec<(PathBuf, Option<PathBuf>)>);

/// One certificate's files as they are now.
#[derive(Debug)]
pub struct Entry {
    /// The path of its chain as a person would write it: what it is called everywhere.
    pub name: PathBuf,
    /// Whether its files can only change together.
    pub layout: Layout,
    /// Where it stands among all: the default one before all others.
    pub rank: Rank,
    contents: Result<Contents, LoadError>,
}

/// `tls.crt` before others, then in the order of directories, then the nearer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Rank {
    is_other: bool,
    directory: usize,
    depth: usize,
}

/// How a certificate's files change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// By one rename of `..data`: what is read was meant.
    Atomic,
    /// One by one: what is read may be half of what is to come.
    Plain,
}

struct Contents {
    certificate: Vec<u8>,
    /// `None` when the certificate's file has it.
    key: Option<Vec<u8>>,
    ocsp: Option<Vec<u8>>,
    files: Files,
}

impl fmt::Debug for Contents {
    /// Without the contents: one of them is a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Contents");
        shown.field("files", &self.files).finish_non_exhaustive()
    }
}

/// Looks through `source`; `known` are names that counted before and must not vanish silently.
pub fn scan(source: &CertificateSource, known: &BTreeSet<PathBuf>) -> Scan {
    let mut scan = Scan::default();
    for _ in 0..ATTEMPTS {
        scan = match source {
            CertificateSource::Directories(directories) => directory_scan(directories, known),
            CertificateSource::Pair { certificate, key } => pair_scan(certificate, key),
        };
        // A swap while reading may have removed files under our hands.
        if scan.versions.are_current() {
            break;
        }
    }
    scan.entries
        .sort_by(|a, b| (a.rank, &a.name).cmp(&(b.rank, &b.name)));
    scan
}

impl Scan {
    /// The error for a source that holds no certificate at all.
    pub fn nothing(self, source: &CertificateSource) -> LoadError {
        let directories = match source {
            CertificateSource::Directories(directories) => directories.clone(),
            CertificateSource::Pair { certificate, .. } => vec![certificate.clone()],
        };
        let troubles = self.troubles.into_iter();
        let mut told = troubles.filter(|error| !matches!(error, LoadError::Gone(_)));
        told.next()
            .unwrap_or(LoadError::NoPair(directories, self.unpaired))
    }
}

impl Versions {
    /// Whether every directory is an atomic mount that still shows the version that was read.
    pub fn are_unchanged(&self) -> bool {
        self.are_atomic() && self.are_current()
    }

    /// Whether every directory is an atomic mount.
    pub fn are_atomic(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(_, version)| version.is_some())
    }

    fn are_current(&self) -> bool {
        let mut versions = self.0.iter();
        versions
            .all(|(directory, version)| fs::read_link(directory.join("..data")).ok() == *version)
    }
}

impl Entry {
    /// Tells whether the contents are those of an earlier look; errors have one too.
    pub fn digest(&self) -> Digest {
        let mut parts = Parts::none();
        match &self.contents {
            Ok(contents) => {
                parts.add(Some(&contents.certificate));
                parts.add(contents.key.as_deref());
                parts.add(contents.ocsp.as_deref());
            }
            Err(error) => parts.add(Some(error.to_string().as_bytes())),
        }
        parts.digest()
    }

    /// The certificate with its key.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn certificate(self) -> Result<Certificate, LoadError> {
        let Contents {
            certificate,
            key,
            ocsp,
            files,
        } = self.contents?;
        let content = |file: &Path| {
            let file = file.to_path_buf();
            move |error| LoadError::Content(file, error)
        };
        let chain = pem::certificates(&certificate).map_err(content(&files.certificate))?;
        let text = key.as_ref().unwrap_or(&certificate);
        let private = pem::private_key(text).map_err(content(&files.key))?;
        Certificate::new(chain, private, ocsp, files)
    }
}

/// A file and what is in it.
pub(super) type Whole = (PathBuf, Vec<u8>);

/// Every file of one directory, by name, read through one resolved `..data`.
pub(super) fn plain_files(directory: &Path) -> (Result<Vec<Whole>, LoadError>, Places, Versions) {
    let mut scan = Scan::default();
    let mut files = Ok(Vec::new());
    for _ in 0..ATTEMPTS {
        scan = Scan::default();
        scan.places.root(directory);
        let version = scan.version(directory).0;
        let at = version.as_deref().unwrap_or(directory);
        scan.places.directory(at);
        files = files_in(at, directory, bounded::read);
        if scan.versions.are_current() {
            break;
        }
    }
    (files, scan.places, scan.versions)
}

/// How a file is read, under the name that errors call it by.
type Read = fn(&Path, &Path) -> Result<Vec<u8>, LoadError>;

fn files_in(at: &Path, name: &Path, read: Read) -> Result<Vec<Whole>, LoadError> {
    let entries = fs::read_dir(at).map_err(|error| LoadError::read(name, error))?;
    let names: BTreeSet<_> = entries
        .take(MAX_ENTRIES)
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|own| !own.as_encoded_bytes().starts_with(b"."))
        .collect();
    let whole = |own| {
        let file = name.join(&own);
        read(&at.join(&own), &file).map(|bytes| (file, bytes))
    };
    names.into_iter().map(whole).collect()
}

fn pair_scan(certificate: &Path, key: &Path) -> Scan {
    let mut scan = Scan::default();
    let (parent, name) = split(certificate);
    let (key_parent, key_name) = split(key);
    let (version, atomic) = match parent == key_parent {
        true => scan.version(&parent),
        false => (None, Layout::Plain),
    };
    // A pair of links into `..data` is read through one version of it.
    let seen = |name: &str| version.as_ref().map(|version| version.join(name));
    let direct = |path: Option<PathBuf>, own: &Path| match path {
        Some(path) if path.symlink_metadata().is_ok() => path,
        _ => own.to_path_buf(),
    };
    let (at, key_at) = (
        direct(seen(&name), certificate),
        direct(seen(&key_name), key),
    );
    scan.places.file(certificate);
    scan.places.file(key);
    let files = Files {
        certificate: certificate.to_path_buf(),
        key: key.to_path_buf(),
        ocsp: None,
    };
    let contents = bounded::read(&at, certificate).and_then(|text| {
        let key = match certificate == key {
            true => None,
            false => Some(bounded::read(&key_at, key)?),
        };
        Ok(Contents {
            certificate: text,
            key,
            ocsp: None,
            files,
        })
    });
    scan.entries.push(Entry {
        name: certificate.to_path_buf(),
        layout: atomic,
        rank: Rank::default(),
        contents,
    });
    scan
}

fn split(file: &Path) -> (PathBuf, String) {
    let parent = match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    };
    let name = file.file_name().unwrap_or_default();
    (parent.to_path_buf(), name.to_string_lossy().into_owned())
}

fn directory_scan(directories: &[PathBuf], known: &BTreeSet<PathBuf>) -> Scan {
    let mut scan = Scan::default();
    for (index, directory) in directories.iter().enumerate() {
        scan.places.root(directory);
        walk::Walk::new(&mut scan, known, index).root(directory);
    }
    scan
}

impl Scan {
    /// The one version of `directory` to read, noted so that a later change is seen.
    fn version(&mut self, directory: &Path) -> (Option<PathBuf>, Layout) {
        let target = fs::read_link(directory.join("..data")).ok();
        let version = target.as_ref().map(|target| directory.join(target));
        self.versions.0.push((directory.to_path_buf(), target));
        let layout = match version {
            Some(_) => Layout::Atomic,
            None => Layout::Plain,
        };
        (version, layout)
    }
}
