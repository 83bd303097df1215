//! A certificate in a temporary directory, laid out and swapped as the kubelet does it.
//!
//! The kubelet's atomic writer keeps the files of a Secret in a timestamped directory, points the
//! link `..data` at it and gives each file a link through `..data`; an update renames a new
//! `..data` over the old one. [`Secret::rotate`] takes the same steps in the same order, so what
//! the demo shows is what a Pod sees. One authority signs every rotation and its key never
//! leaves memory.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use tempfile::TempDir;

use super::clock::Utc;

/// Names a client may use for the demo.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Who the demo's client is.
const CLIENT: &str = "spiffe://demo/client";

/// The past hour covers a client whose clock is behind.
const VALID_BEFORE: Duration = Duration::from_secs(60 * 60);

/// From the moment of issue; the certificate is for one afternoon.
const VALID_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A live Secret mount; its directory is removed on drop.
#[derive(Debug)]
pub(crate) struct Secret {
    directory: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
    serial: String,
}

impl Secret {
    /// Makes the authority and the first certificate and lays them out.
    pub(crate) fn create() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("tls-sidecar-demo-")
            .tempdir()
            .context("no temporary directory for the certificate")?;
        let authority = authority().context("no certificate authority")?;
        let mut secret = Self {
            directory,
            authority,
            serial: String::new(),
        };
        secret.rotate()?;
        Ok(secret)
    }

    /// A certificate for a client, with its key, both in PEM.
    pub(super) fn client(&self) -> anyhow::Result<(String, String)> {
        let leaf = Leaf::client(&self.authority).context("no client certificate")?;
        Ok((leaf.certificate, leaf.key))
    }

    /// The directory to give to `--cert-dir`; `ca.crt` in it is for the client.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Serial number of the certificate now in place, upper-case hexadecimal as `openssl` prints it.
    pub(crate) fn serial(&self) -> &str {
        &self.serial
    }

    /// Puts a new key and certificate in place by one rename; a reader sees the old pair or the new.
    pub(crate) fn rotate(&mut self) -> anyhow::Result<()> {
        let leaf = Leaf::issue(&self.authority).context("no certificate")?;
        let files = [
            File {
                name: "ca.crt",
                content: &self.authority.pem(),
                mode: 0o644,
            },
            File {
                name: "tls.crt",
                content: &leaf.certificate,
                mode: 0o644,
            },
            File {
                name: "tls.key",
                content: &leaf.key,
                mode: 0o600,
            },
        ];
        swap(self.path(), &files)
            .with_context(|| format!("{}: cannot swap the secret", self.path().display()))?;
        self.serial = leaf.serial;
        Ok(())
    }
}

struct Leaf {
    certificate: String,
    key: String,
    serial: String,
}

impl Leaf {
    fn issue(authority: &CertifiedIssuer<'_, KeyPair>) -> Result<Self, rcgen::Error> {
        let params = CertificateParams::new(NAMES.map(String::from))?;
        Self::sign(
            params,
            "localhost",
            ExtendedKeyUsagePurpose::ServerAuth,
            authority,
        )
    }

    fn client(authority: &CertifiedIssuer<'_, KeyPair>) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(CLIENT.try_into()?)];
        Self::sign(
            params,
            "demo client",
            ExtendedKeyUsagePurpose::ClientAuth,
            authority,
        )
    }

    fn sign(
        mut params: CertificateParams,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
        authority: &CertifiedIssuer<'_, KeyPair>,
    ) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let serial = serial();
        validate(&mut params);
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, authority)?;
        Ok(Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            serial: serial.iter().map(|byte| format!("{byte:02X}")).collect(),
        })
    }
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    validate(&mut params);
    params
        .distinguished_name
        .push(DnType::CommonName, "tls-sidecar demo authority");
    params.serial_number = Some(SerialNumber::from_slice(&serial()));
    // It signs leaves and nothing below them.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

fn validate(params: &mut CertificateParams) {
    let now = SystemTime::now();
    params.not_before = (now - VALID_BEFORE).into();
    params.not_after = (now + VALID_AFTER).into();
}

/// RFC 5280 section 4.1.2.2: positive, and at most 20 bytes.
fn serial() -> [u8; 16] {
    let mut serial = [0; 16];
    fastrand::fill(&mut serial);
    // The top bit would be a sign, a leading zero would be dropped from the encoding.
    serial[0] = serial[0] & 0x3f | 0x40;
    serial
}

/// One key of the Secret.
struct File<'a> {
    name: &'a str,
    content: &'a str,
    mode: u32,
}

/// The atomic writer's steps: timestamped directory, files, `..data_tmp`, rename, links, removal.
fn swap(mount: &Path, files: &[File<'_>]) -> io::Result<()> {
    let old = fs::read_link(mount.join("..data")).ok();
    let name = timestamped();
    let fresh = mount.join(&name);
    DirBuilder::new().mode(0o755).create(&fresh)?;
    // The umask may have narrowed it.
    fs::set_permissions(&fresh, Permissions::from_mode(0o755))?;
    for file in files {
        write(&fresh.join(file.name), file)?;
    }
    let pending = mount.join("..data_tmp");
    symlink(&name, &pending)?;
    fs::rename(&pending, mount.join("..data"))?;
    for file in files {
        link(mount, file.name)?;
    }
    match old {
        Some(old) => fs::remove_dir_all(mount.join(old)),
        None => Ok(()),
    }
}

fn write(path: &Path, file: &File<'_>) -> io::Result<()> {
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(file.mode)
        .open(path)?;
    out.write_all(file.content.as_bytes())
}

/// The name a reader opens; it never changes again, only `..data` below it does.
fn link(mount: &Path, name: &str) -> io::Result<()> {
    match symlink(Path::new("..data").join(name), mount.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// `..2026_11_24_01_02_03.123456789`: the time, then random digits as Go's `MkdirTemp` appends them.
fn timestamped() -> String {
    let Utc {
        year,
        month,
        day,
        hour,
        minute,
        second,
        ..
    } = Utc::now();
    let digits = fastrand::u32(100_000_000..1_000_000_000);
    format!("..{year:04}_{month:02}_{day:02}_{hour:02}_{minute:02}_{second:02}.{digits}")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn target(path: PathBuf) -> String {
        fs::read_link(path)
            .unwrap()
            .into_os_string()
            .into_string()
            .unwrap()
    }

    fn mode(path: PathBuf) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn layout_is_that_of_a_secret_mount() {
        let secret = Secret::create().unwrap();
        let version = target(secret.path().join("..data"));
        let entries = names(secret.path());
        assert_eq!(
            entries,
            [version.as_str(), "..data", "ca.crt", "tls.crt", "tls.key"]
        );
        for name in ["ca.crt", "tls.crt", "tls.key"] {
            assert_eq!(target(secret.path().join(name)), format!("..data/{name}"));
        }
        assert_eq!(mode(secret.path().join(version)), 0o755);
        assert_eq!(mode(secret.path().join("tls.crt")), 0o644);
        assert_eq!(mode(secret.path().join("tls.key")), 0o600);
    }

    #[test]
    fn directory_name_is_a_time_and_nine_digits() {
        let name = timestamped();
        let shape: String = name
            .chars()
            .map(|c| if c.is_ascii_digit() { '9' } else { c })
            .collect();
        assert_eq!(shape, "..9999_99_99_99_99_99.999999999");
    }

    #[test]
    fn rotation_replaces_the_pair_and_keeps_the_authority() {
        let mut secret = Secret::create().unwrap();
        let read = |name: &str| fs::read_to_string(secret.path().join(name)).unwrap();
        let before = (read("ca.crt"), read("tls.crt"), read("tls.key"));
        let (version, serial) = (
            target(secret.path().join("..data")),
            secret.serial().to_owned(),
        );
        secret.rotate().unwrap();
        let read = |name: &str| fs::read_to_string(secret.path().join(name)).unwrap();
        assert_eq!(before.0, read("ca.crt"));
        assert_ne!(before.1, read("tls.crt"));
        assert_ne!(before.2, read("tls.key"));
        assert_ne!(serial, secret.serial());
        assert!(
            !secret.path().join(version).exists(),
            "the old version is removed"
        );
        assert!(!names(secret.path()).contains(&"..data_tmp".to_owned()));
    }

    #[test]
    fn directory_is_gone_after_drop() {
        let secret = Secret::create().unwrap();
        let path = secret.path().to_owned();
        drop(secret);
        assert!(!path.exists());
    }

    #[test]
    fn serial_is_positive_and_sixteen_bytes() {
        for _ in 0..100 {
            let serial = serial();
            assert!(serial[0] & 0x80 == 0 && serial[0] != 0);
        }
    }
}
