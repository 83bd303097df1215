//! Reading the files that say which clients are trusted: bundles, directories, revocation lists.
//!
//! All of them are read at one moment: where a mounted volume is swapped meanwhile, everything is
//! read again. A directory may hold other things as well, such as the keys of a Secret; what is
//! neither PEM of the kind looked for nor DER is passed over there, but never in a named file.

use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

use super::TrustError;
use crate::config::value::client;
use crate::config::{ClientAuth, ClientAuthMode, ClientPattern};
use crate::tls::directory::{Places, Reading, Versions, Whole};
use crate::tls::fault::LoadError;
use crate::tls::pem::{self, PemError};

/// What a volume that is swapped while it is read is read again for.
const ATTEMPTS: usize = 5;

/// Everything that is to be judged by, as it was read.
#[derive(Debug)]
pub struct TrustSources {
    pub(super) mode: ClientAuthMode,
    /// With the file and the place in it, from 1.
    pub(super) authorities: Vec<(PathBuf, usize, CertificateDer<'static>)>,
    pub(super) revocations: Vec<(PathBuf, CertificateRevocationListDer<'static>)>,
    pub(super) allow: Vec<ClientPattern>,
    pub(super) authority_paths: Vec<PathBuf>,
    pub(super) revocation_paths: Vec<PathBuf>,
}

/// What `section` names, where to look for its next change, and whether it can have one unseen.
///
/// # Errors
/// What is wrong with which file.
pub fn trust_sources(section: &ClientAuth) -> (Result<TrustSources, TrustError>, Places, Versions) {
    let mut attempt = 1;
    loop {
        let mut reading = Reading::default();
        let found = read(section, &mut reading);
        if reading.is_of_one_moment() || attempt == ATTEMPTS {
            let (places, versions) = reading.into_parts();
            return (found, places, versions);
        }
        attempt += 1;
    }
}

fn read(section: &ClientAuth, reading: &mut Reading) -> Result<TrustSources, TrustError> {
    // All are read before any is judged, so that all are watched.
    let authorities = files(super::error::AUTHORITIES, &section.authorities, reading);
    let revocations = files(super::error::REVOCATIONS, &section.revocations, reading);
    let patterns = section.allow_file.as_deref().map(|file| {
        let text = reading.file(file);
        text.map_err(|error| TrustError::Read("--client-allow-file", error))
    });
    let mut sources = TrustSources {
        mode: section.mode,
        authorities: Vec::new(),
        revocations: Vec::new(),
        allow: section.allow.clone(),
        authority_paths: section.authorities.clone(),
        revocation_paths: section.revocations.clone(),
    };
    for found in authorities? {
        for (place, der) in found.items(pem::certificates)?.into_iter().enumerate() {
            sources
                .authorities
                .push((found.file.clone(), place + 1, der));
        }
    }
    for found in revocations? {
        let lists = found.items(pem::revocation_lists)?;
        let lists = lists.into_iter().map(|list| (found.file.clone(), list));
        sources.revocations.extend(lists);
    }
    if let (Some(file), Some(text)) = (&section.allow_file, patterns.transpose()?) {
        sources.allow.extend(self::patterns(file, &text)?);
    }
    Ok(sources)
}

/// A file, and how it came to be read.
struct Found {
    flag: &'static str,
    file: PathBuf,
    contents: Vec<u8>,
    /// Whether it was found in a directory and not named.
    is_found: bool,
}

impl Found {
    /// What is in it, in PEM or DER.
    fn items<T: From<Vec<u8>>>(
        &self,
        parse: fn(&[u8]) -> Result<Vec<T>, PemError>,
    ) -> Result<Vec<T>, TrustError> {
        match parse(&self.contents) {
            Err(PemError::Der) => Ok(vec![T::from(self.contents.clone())]),
            Err(PemError::NoCertificate | PemError::NoRevocationList) if self.is_found => {
                Ok(Vec::new())
            }
            found => found.map_err(|error| {
                let error = LoadError::Content(self.file.clone(), error);
                TrustError::Read(self.flag, error)
            }),
        }
    }
}

/// The files at `paths`, of directories all that are in them.
fn files(
    flag: &'static str,
    paths: &[PathBuf],
    reading: &mut Reading,
) -> Result<Vec<Found>, TrustError> {
    let mut found = Vec::new();
    let mut first_error = None;
    for path in paths {
        let is_found = path.is_dir();
        let read: Result<Vec<Whole>, LoadError> = match is_found {
            true => reading.directory(path),
            false => reading
                .file(path)
                .map(|contents| vec![(path.clone(), contents)]),
        };
        match read {
            Ok(files) => found.extend(files.into_iter().map(|(file, contents)| Found {
                flag,
                file,
                contents,
                is_found,
            })),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    match first_error {
        Some(error) => Err(TrustError::Read(flag, error)),
        None => Ok(found),
    }
}

fn patterns(file: &Path, text: &[u8]) -> Result<Vec<ClientPattern>, TrustError> {
    let text = String::from_utf8_lossy(text);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let pattern = client::pattern(line)
            .map_err(|error| TrustError::Pattern(file.to_path_buf(), at + 1, error))?;
        found.push(pattern);
    }
    match found.is_empty() {
        true => Err(TrustError::NoPattern(file.to_path_buf())),
        false => Ok(found),
    }
}
