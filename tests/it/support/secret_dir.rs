//! A Secret mount that changes exactly as the kubelet changes one.
//!
//! The steps are those of `AtomicWriter.Write` in Kubernetes (`pkg/volume/util/atomic_writer.go`):
//! what a watcher sees are `..<timestamp>`, `..data_tmp` and `..data`, never the names of the files.

use std::collections::BTreeSet;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::TempDir;

/// A directory laid out like a mounted Secret.
#[derive(Debug)]
pub(crate) struct SecretDir {
    root: TempDir,
    mode: u32,
}

/// A version written beside the one in use, before `..data` names it.
#[derive(Debug)]
pub(crate) struct Staged {
    timestamped: PathBuf,
    names: BTreeSet<String>,
}

impl SecretDir {
    /// A mount that holds `files`, each with mode 0644, the default of a Secret volume.
    pub(crate) fn new(files: &[(&str, &[u8])]) -> Self {
        Self::with_mode(files, 0o644)
    }

    /// A mount with `defaultMode: mode`.
    pub(crate) fn with_mode(files: &[(&str, &[u8])], mode: u32) -> Self {
        let root = TempDir::with_prefix("secret-").unwrap();
        // The kubelet makes the volume world-writable and sticky (0777 and setgid with fsGroup).
        fs::set_permissions(root.path(), Permissions::from_mode(0o777)).unwrap();
        let directory = Self { root, mode };
        directory.swap(files);
        directory
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        self.root.path()
    }

    /// Its path, for a command line.
    pub(crate) fn as_str(&self) -> &str {
        self.path().to_str().unwrap()
    }

    /// Replaces the whole contents by `files`, in one step for who reads through `..data`.
    pub(crate) fn swap(&self, files: &[(&str, &[u8])]) {
        let staged = self.stage(files);
        self.publish(staged);
    }

    /// Writes the new version into a timestamped directory of its own and changes nothing else.
    pub(crate) fn stage(&self, files: &[(&str, &[u8])]) -> Staged {
        let timestamped = tempfile::Builder::new()
            .prefix(&timestamp(SystemTime::now()))
            .rand_bytes(10)
            .tempdir_in(self.path())
            .unwrap()
            .keep();
        fs::set_permissions(&timestamped, Permissions::from_mode(0o755)).unwrap();
        for (name, contents) in files {
            let file = timestamped.join(name);
            fs::write(&file, contents).unwrap();
            // After writing, because the umask takes bits from a mode given at creation.
            fs::set_permissions(&file, Permissions::from_mode(self.mode)).unwrap();
        }
        Staged {
            timestamped,
            names: files.iter().map(|(name, _)| (*name).to_owned()).collect(),
        }
    }

    /// Makes `staged` the current version and removes the one before it.
    pub(crate) fn publish(&self, staged: Staged) {
        let before = fs::read_link(self.path().join("..data")).ok();
        let target = staged.timestamped.file_name().unwrap();
        let new_link = self.path().join("..data_tmp");
        symlink(target, &new_link).unwrap();
        fs::rename(&new_link, self.path().join("..data")).unwrap();
        for name in &staged.names {
            let visible = self.path().join(name);
            if fs::symlink_metadata(&visible).is_err() {
                symlink(Path::new("..data").join(name), visible).unwrap();
            }
        }
        for stale in self.visible().difference(&staged.names) {
            fs::remove_file(self.path().join(stale)).unwrap();
        }
        if let Some(before) = before {
            fs::remove_dir_all(self.path().join(before)).unwrap();
        }
    }

    /// Overwrites one file in place, as nothing in Kubernetes does but people and `cp` do.
    pub(crate) fn overwrite(&self, name: &str, contents: &[u8]) {
        fs::write(self.path().join(name), contents).unwrap();
    }

    fn visible(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names
            .filter_map(|name| name.to_str().map(str::to_owned))
            .filter(|name| !name.starts_with(".."))
            .collect()
    }
}

/// Go's `..2006_01_02_15_04_05.` in UTC.
fn timestamp(now: SystemTime) -> String {
    let elapsed = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = rcgen::date_time_ymd(1970, 1, 1) + elapsed;
    format!(
        "..{:04}_{:02}_{:02}_{:02}_{:02}_{:02}.",
        now.year(),
        u8::from(now.month()),
        now.day(),
        now.hour(),
        now.minute(),
        now.second()
    )
}

#[test]
fn a_swap_leaves_what_the_kubelet_leaves() {
    let secret = SecretDir::new(&[("tls.crt", b"one"), ("stale", b"x")]);
    let data = secret.path().join("..data");
    let first = fs::read_link(&data).unwrap();
    secret.swap(&[("tls.crt", b"two"), ("tls.key", b"key")]);

    assert_eq!(fs::read(secret.path().join("tls.crt")).unwrap(), b"two");
    assert_eq!(
        fs::read_link(secret.path().join("tls.key")).unwrap(),
        Path::new("..data/tls.key")
    );
    let second = fs::read_link(&data).unwrap();
    assert_ne!(first, second);
    assert!(!secret.path().join(first).exists());
    let entries: BTreeSet<_> = fs::read_dir(secret.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    let expected = [
        std::ffi::OsStr::new("..data"),
        std::ffi::OsStr::new("tls.crt"),
        std::ffi::OsStr::new("tls.key"),
        second.as_os_str(),
    ];
    assert_eq!(entries, expected.iter().map(|&name| name.into()).collect());
}
