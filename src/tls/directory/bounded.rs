//! Reading one file without trusting it: bounded, regular files only, never waiting.
//!
//! A FIFO must not block the process and a 10 GiB file must not fill its memory. Invariant: a
//! bounded number of bytes is read and kept.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::tls::fault::{LoadError, TOO_LARGE, TOO_LARGE_LIST};

/// More than any chain needs, and than a Secret can hold (1 MiB).
const MAX_FILE_SIZE: u64 = 4 * 1024 * 1024;

/// More than any bundle needs; a revocation list names each certificate with some 40 bytes.
const MAX_LIST_SIZE: u64 = 64 * 1024 * 1024;

/// The contents of `path`, which errors call `name`.
pub(super) fn read(path: &Path, name: &Path) -> Result<Vec<u8>, LoadError> {
    within(path, name, MAX_FILE_SIZE, TOO_LARGE)
}

/// The contents of `path`, a bundle or a revocation list.
pub(super) fn read_list(path: &Path, name: &Path) -> Result<Vec<u8>, LoadError> {
    within(path, name, MAX_LIST_SIZE, TOO_LARGE_LIST)
}

fn within(
    path: &Path,
    name: &Path,
    most: u64,
    too_large: &'static str,
) -> Result<Vec<u8>, LoadError> {
    let failed = |error| LoadError::read(name, error);
    // O_NONBLOCK: opening a FIFO without a writer would otherwise never return.
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(LoadError::Kind(
            name.to_path_buf(),
            "is a directory; a bind mount whose source is missing makes one, so check the source",
        ));
    }
    if !metadata.is_file() {
        return Err(LoadError::Kind(
            name.to_path_buf(),
            "is not a regular file; write the PEM text to a file",
        ));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(1 << 16)).unwrap_or(0));
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(LoadError::Kind(name.to_path_buf(), too_large));
    }
    Ok(bytes)
}
