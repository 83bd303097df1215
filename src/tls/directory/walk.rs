//! The walk through one directory of `--cert-dir`: which files there are and what is in them.
//!
//! Goes into subdirectories and into the one version that `..data` names. Invariant: ends, also
//! where links make a circle, and reads nothing but what names or contents prove to be a pair.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::layout::{self, Group, Proof};
use super::{Contents, Entry, Layout, MAX_ENTRIES, Rank, Scan, bounded};
use crate::tls::certificate::Files;
use crate::tls::fault::LoadError;
use crate::tls::pem;

/// Directories in directories, at most: deep enough for every known layout, and an end to loops.
const MAX_DEPTH: usize = 4;

/// One walk through a directory of `--cert-dir`.
pub(super) struct Walk<'a> {
    scan: &'a mut Scan,
    known: &'a BTreeSet<PathBuf>,
    index: usize,
    visited: BTreeSet<(u64, u64)>,
}

/// A directory on the way.
#[derive(Debug, Clone)]
struct Spot {
    /// Where it is read.
    at: PathBuf,
    /// What a person would call it.
    name: PathBuf,
    layout: Layout,
    depth: usize,
}

impl<'a> Walk<'a> {
    /// A walk through the directory at `index` of the configuration.
    pub(super) fn new(scan: &'a mut Scan, known: &'a BTreeSet<PathBuf>, index: usize) -> Self {
        Self {
            scan,
            known,
            index,
            visited: BTreeSet::new(),
        }
    }

    /// Walks from `directory` down.
    pub(super) fn root(&mut self, directory: &Path) {
        self.directory(&Spot {
            at: directory.to_path_buf(),
            name: directory.to_path_buf(),
            layout: Layout::Plain,
            depth: 0,
        });
    }

    fn directory(&mut self, spot: &Spot) {
        let at = spot.at.as_path();
        let Ok(metadata) = fs::metadata(at) else {
            // Noted as having no version, so that its coming is a change.
            self.scan.versions.0.push((at.to_path_buf(), None));
            return self.trouble(spot);
        };
        if !self.visited.insert((metadata.dev(), metadata.ino())) {
            return;
        }
        self.scan.places.directory(at);
        // Below a version everything belongs to it, and it has no `..data` of its own.
        let version = match spot.layout {
            Layout::Atomic => None,
            Layout::Plain => self.scan.version(at).0,
        };
        let Some(version) = version else {
            return self.names(spot, |_| true);
        };
        let inside = Spot {
            at: version,
            layout: Layout::Atomic,
            ..spot.clone()
        };
        self.names(&inside, |_| true);
        // Beside it only what is no link into it: another volume mounted below this one.
        self.names(spot, |file| !file.is_symlink());
    }

    fn names(&mut self, spot: &Spot, counts: fn(&fs::FileType) -> bool) {
        let at = spot.at.as_path();
        let entries = match fs::read_dir(at) {
            Ok(entries) => entries,
            Err(_) => return self.trouble(spot),
        };
        self.scan.places.directory(at);
        let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
        for entry in entries.take(MAX_ENTRIES).flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let Ok(own) = entry.file_name().into_string() else {
                continue;
            };
            if own.starts_with('.') || !counts(&kind) {
                continue;
            }
            let is_folder = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
            if is_folder && !is_like_a_file(&own) {
                folders.insert(own);
            } else {
                files.insert(own);
            }
        }
        for group in layout::groups(&files) {
            self.group(&group, spot);
        }
        for folder in folders.iter().filter(|_| spot.depth < MAX_DEPTH) {
            self.directory(&Spot {
                at: at.join(folder),
                name: spot.name.join(folder),
                layout: spot.layout,
                depth: spot.depth + 1,
            });
        }
    }

    fn group(&mut self, group: &Group, spot: &Spot) {
        let (at, name) = (&spot.at, &spot.name);
        let own = name.join(&group.certificate);
        let files = Files {
            certificate: own.clone(),
            key: name.join(&group.key),
            ocsp: group.ocsp.as_ref().map(|ocsp| name.join(ocsp)),
        };
        for file in [&group.certificate, &group.key] {
            self.scan.places.file(&at.join(file));
        }
        let contents = contents(group, at, files);
        if group.proof == Proof::Contents && !self.known.contains(&own) {
            match &contents {
                Ok(contents) if pem::is_bundle(&contents.certificate) => {}
                Ok(_) => return self.scan.unpaired.push(own),
                Err(error) => return self.scan.troubles.push(error.clone()),
            }
        }
        self.scan.entries.push(Entry {
            name: own,
            layout: spot.layout,
            rank: Rank {
                is_other: group.certificate != "tls.crt",
                directory: self.index,
                depth: spot.depth,
            },
            contents,
        });
    }

    fn trouble(&mut self, spot: &Spot) {
        let name = &spot.name;
        let error = match fs::read_dir(&spot.at) {
            Ok(_) => return,
            Err(error) => error,
        };
        // A directory of --cert-dir that is not there is told by the words of [`LoadError::NoPair`].
        let trouble = match spot.depth {
            0 if error.kind() == std::io::ErrorKind::NotFound => LoadError::Gone(name.clone()),
            _ => LoadError::read(name, error),
        };
        self.scan.troubles.push(trouble);
    }
}

/// A directory in place of a file is worth an error, not a walk.
fn is_like_a_file(name: &str) -> bool {
    matches!(name, "tls.crt" | "tls.key") || name.ends_with(".crt") || name.ends_with(".key")
}

fn contents(group: &Group, at: &Path, files: Files) -> Result<Contents, LoadError> {
    let certificate = bounded::read(&at.join(&group.certificate), &files.certificate)?;
    let key = match group.key == group.certificate {
        true => None,
        false => Some(bounded::read(&at.join(&group.key), &files.key)?),
    };
    let ocsp = match (&group.ocsp, &files.ocsp) {
        (Some(ocsp), Some(name)) => Some(bounded::read(&at.join(ocsp), name)?),
        _ => None,
    };
    Ok(Contents {
        certificate,
        key,
        ocsp,
        files,
    })
}
