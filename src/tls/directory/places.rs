//! Where a change of the certificates can show itself: directories, never files.
//!
//! A watch on a file is lost with the file, and every rotation replaces files. Where a file is a
//! link to elsewhere, the directory it leads to counts as well, hop by hop; where a directory may
//! be deleted and come back, its parent does, for that one name.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Links followed from one file; the kernel gives up at 40.
const MAX_HOPS: usize = 8;

/// Directories to watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<PathBuf, Interest>);

/// What matters in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Interest {
    /// Whatever happens in it.
    All,
    /// These names.
    Names(BTreeSet<OsString>),
}

impl Places {
    /// The directories.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Whether a change of `path` may matter.
    pub fn concern(&self, path: &Path) -> bool {
        if self.0.contains_key(path) {
            return true;
        }
        let interest = path.parent().and_then(|parent| self.0.get(or_here(parent)));
        match (interest, path.file_name()) {
            (Some(Interest::All), _) => true,
            (Some(Interest::Names(names)), Some(name)) => names.contains(name),
            _ => false,
        }
    }

    /// Whether `path` lies in one version of an atomic mount, which nobody changes but by hand.
    pub fn is_in_version(&self, path: &Path) -> bool {
        path.parent().is_some_and(|parent| {
            let name = parent.file_name().unwrap_or_default();
            name.as_encoded_bytes().starts_with(b"..") && self.0.contains_key(parent)
        })
    }

    /// These and `others`.
    #[must_use]
    pub fn with(mut self, others: &Self) -> Self {
        for (directory, interest) in &others.0 {
            match interest {
                Interest::All => self.directory(directory),
                Interest::Names(names) => {
                    for name in names {
                        self.name(directory, name.clone());
                    }
                }
            }
        }
        self
    }

    /// A directory of the configuration, which may be deleted and come back.
    pub(super) fn root(&mut self, directory: &Path) {
        self.directory(directory);
        let mut below = directory;
        while let (Some(parent), Some(name)) = (below.parent(), below.file_name()) {
            let parent = or_here(parent);
            if parent.is_dir() {
                return self.name(parent, name.to_owned());
            }
            below = parent;
        }
    }

    /// A directory in which everything matters.
    pub(super) fn directory(&mut self, directory: &Path) {
        self.0.insert(directory.to_path_buf(), Interest::All);
    }

    /// A file, wherever its links lead.
    pub(super) fn file(&mut self, file: &Path) {
        let mut file = file.to_path_buf();
        for _ in 0..MAX_HOPS {
            let Some(parent) = file.parent().map(or_here) else {
                return;
            };
            // All of it: the next link may change where this one leads.
            self.directory(parent);
            let Ok(target) = std::fs::read_link(&file) else {
                return;
            };
            file = flat(&parent.join(target));
        }
    }

    fn name(&mut self, directory: &Path, name: OsString) {
        let names = || Interest::Names(BTreeSet::new());
        let interest = self.0.entry(directory.to_path_buf()).or_insert_with(names);
        if let Interest::Names(names) = interest {
            names.insert(name);
        }
    }
}

fn or_here(parent: &Path) -> &Path {
    match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    }
}

/// Without `.` and `..`, so that one directory has one name.
fn flat(path: &Path) -> PathBuf {
    let mut flat = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                flat.pop();
            }
            other => flat.push(other),
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_parent_only_the_one_name_matters() {
        let root = tempfile::tempdir().unwrap();
        let certificates = root.path().join("certificates");
        let mut places = Places::default();
        places.root(&certificates);
        assert!(places.concern(&certificates));
        assert!(places.concern(&certificates.join("..data")));
        assert!(!places.concern(&root.path().join("other")));
    }

    #[test]
    fn a_link_to_elsewhere_is_followed_to_its_directory() {
        let root = tempfile::tempdir().unwrap();
        let (here, there) = (root.path().join("here"), root.path().join("there"));
        std::fs::create_dir(&here).unwrap();
        std::fs::create_dir(&there).unwrap();
        std::os::unix::fs::symlink("../there/a.pem", here.join("a.crt")).unwrap();
        let mut places = Places::default();
        places.file(&here.join("a.crt"));
        assert!(places.concern(&there.join("a.pem")));
    }
}
