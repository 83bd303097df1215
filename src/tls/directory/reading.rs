//! Reading named files and whole directories at one moment, with where their changes will show.
//!
//! A file in a mounted volume is read through the one version that `..data` names, as
//! certificates are. Invariant: what was tried is watched, whether it could be read or not.

use std::path::Path;

use super::{LoadError, Places, Scan, Versions, Whole, bounded, files_in, split};

/// What was read so far.
#[derive(Debug, Default)]
pub(in crate::tls) struct Reading(Scan);

impl Reading {
    /// The contents of a file.
    pub(in crate::tls) fn file(&mut self, file: &Path) -> Result<Vec<u8>, LoadError> {
        let (parent, name) = split(file);
        self.0.places.root(&parent);
        self.0.places.file(file);
        let inside = self.0.version(&parent).0.map(|version| version.join(&name));
        match inside.filter(|inside| inside.symlink_metadata().is_ok()) {
            Some(inside) => bounded::read_list(&inside, file),
            None => bounded::read_list(file, file),
        }
    }

    /// Every file of a directory, by name.
    pub(in crate::tls) fn directory(&mut self, directory: &Path) -> Result<Vec<Whole>, LoadError> {
        self.0.places.root(directory);
        let version = self.0.version(directory).0;
        let at = version.as_deref().unwrap_or(directory);
        self.0.places.directory(at);
        files_in(at, directory, bounded::read_list)
    }

    /// Whether no version was replaced meanwhile.
    pub(in crate::tls) fn is_of_one_moment(&self) -> bool {
        self.0.versions.are_current()
    }

    /// Where the next change will show, and what was read.
    pub(in crate::tls) fn into_parts(self) -> (Places, Versions) {
        (self.0.places, self.0.versions)
    }
}
