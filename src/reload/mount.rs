//! Mounts that never change: files and directories of a Secret mounted with `subPath`.
//!
//! The kubelet binds such a mount to one version of the Secret and never moves it; the
//! certificate in it expires with the Pod still running. `/proc/self/mountinfo` tells.

use std::path::{Path, PathBuf};

/// The mounts of this process.
#[derive(Debug, Default)]
pub struct Mounts(Vec<Mount>);

#[derive(Debug)]
struct Mount {
    /// What of the mounted file system is shown.
    root: PathBuf,
    /// Where.
    point: PathBuf,
}

impl Mounts {
    /// The mounts now; none where `/proc` is not to be had.
    pub fn now() -> Self {
        let text = std::fs::read_to_string("/proc/self/mountinfo");
        Self::parse(&text.unwrap_or_default())
    }

    /// The mount point that keeps `file` from ever changing.
    pub fn freezing(&self, file: &Path) -> Option<&Path> {
        let mount = |point: &Path| self.0.iter().rev().find(|mount| mount.point == point);
        // A file that is a mount by itself.
        if let Some(mount) = mount(file) {
            return Some(&mount.point);
        }
        // A directory that shows one version of a Secret.
        let nearest = file.ancestors().skip(1).find_map(mount)?;
        let is_a_version = nearest.root.components().any(|part| {
            let name = part.as_os_str().as_encoded_bytes();
            matches!(name, [b'.', b'.', digit, ..] if digit.is_ascii_digit())
        });
        is_a_version.then_some(&nearest.point)
    }

    fn parse(text: &str) -> Self {
        let mount = |line: &str| {
            let mut fields = line.split(' ').skip(3);
            Some(Mount {
                root: unescape(fields.next()?),
                point: unescape(fields.next()?),
            })
        };
        Self(text.lines().filter_map(mount).collect())
    }
}

/// The kernel writes space, tab, newline and backslash as octal numbers.
fn unescape(field: &str) -> PathBuf {
    let replaced = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(field.to_owned(), |text, (code, plain)| {
        text.replace(code, plain)
    });
    PathBuf::from(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
21 1 0:20 / / rw,relatime - overlay overlay rw
42 21 0:45 / /etc/tls ro,relatime - tmpfs tmpfs rw,size=64k
43 21 0:45 /..2026_11_24_01_02_03.123456789/tls.crt /certs/tls.crt ro - tmpfs tmpfs rw
44 21 0:45 /..2026_11_24_01_02_03.123456789/sub /a\\040b ro - tmpfs tmpfs rw
";

    // CERT-12
    #[test]
    fn a_sub_path_of_a_secret_is_found_as_file_and_as_directory() {
        let mounts = Mounts::parse(MOUNTS);
        let freezing = |file: &str| mounts.freezing(Path::new(file)).map(Path::to_path_buf);
        assert_eq!(freezing("/certs/tls.crt"), Some("/certs/tls.crt".into()));
        assert_eq!(freezing("/a b/tls.crt"), Some("/a b".into()));
        assert_eq!(freezing("/etc/tls/tls.crt"), None);
        assert_eq!(freezing("/certs/tls.key"), None);
    }
}
