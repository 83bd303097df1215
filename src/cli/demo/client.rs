//! `--mtls`: a client's certificate in a directory of its own, removed on drop.
//!
//! Not beside the server's: whatever has a certificate with its key in a `--cert-dir` is served.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use tempfile::TempDir;

use super::secret::Secret;

/// A client's certificate and key.
#[derive(Debug)]
pub(super) struct Client(TempDir);

impl Client {
    /// Makes one that `secret`'s authority has signed.
    pub(super) fn create(secret: &Secret) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("tls-sidecar-demo-client-")
            .tempdir()
            .context("no temporary directory for the client certificate")?;
        let (certificate, key) = secret.client()?;
        fs::write(directory.path().join("client.crt"), certificate)?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.path().join("client.key"))?
            .write_all(key.as_bytes())?;
        Ok(Self(directory))
    }

    /// The directory with `client.crt` and `client.key`.
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}
