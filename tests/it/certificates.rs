//! Certificates: found by themselves, rotated without a lost handshake, never replaced by a bad one.

mod gate;
mod layouts;
mod load;
mod mounts;
mod probe;
mod recycling;
mod rotation;
mod staples;
mod start;
mod status;
mod tickets;
mod watching;

use std::fs;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::certs::{Ca, Pair};
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::Sidecar;
use crate::support::wait::{PATIENCE, eventually};
use probe::Probe;

/// A sidecar that only handshakes: no application is behind it.
struct Shown {
    sidecar: Sidecar,
}

impl Shown {
    fn from(directory: &Path, arguments: &[&str]) -> Self {
        let own = ["--cert-dir", directory.to_str().unwrap()];
        let sidecar = Sidecar::start(&[&own, arguments].concat());
        Self { sidecar }
    }

    /// The leaf that whoever asks for `name` is shown.
    fn leaf(&self, name: &str) -> CertificateDer<'static> {
        Probe::named(name).leaf(self.sidecar.address())
    }

    /// Blocks until whoever asks for `localhost` is shown `pair`.
    fn until_shown(&self, pair: &Pair) {
        eventually("the new certificate served", PATIENCE, || {
            self.leaf("localhost") == *pair.leaf_der()
        });
    }

    /// The line that says that the last good one stays, and why.
    fn kept(&self, reason: &str) -> Value {
        self.sidecar.wait_for_log(reason, |line| {
            line["reason"] == reason && message(line).contains("last good one stays")
        })
    }

    /// The line that says that it is served all the same.
    fn warned(&self, reason: &str) -> Value {
        self.sidecar.wait_for_log(reason, |line| {
            line["reason"] == reason && message(line).contains("served with a warning")
        })
    }

    /// Lines with these words in the message so far.
    fn said(&self, words: &str) -> usize {
        let lines = self.sidecar.log_lines();
        lines
            .iter()
            .filter(|line| message(line).contains(words))
            .count()
    }
}

fn message(line: &Value) -> &str {
    line["message"].as_str().unwrap_or_default()
}

/// A Secret mount with a certificate for `localhost`, and a sidecar that serves it.
fn secret_with(ca: &Ca, arguments: &[&str]) -> (SecretDir, Pair, Shown) {
    let pair = ca.leaf(&["localhost"]);
    let secret = SecretDir::new(&pair.files());
    let shown = Shown::from(secret.path(), arguments);
    (secret, pair, shown)
}

/// An ordinary directory with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), files);
    folder
}

fn write(folder: &Path, files: &[(&str, &[u8])]) {
    for (name, contents) in files {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, contents).unwrap();
    }
}
