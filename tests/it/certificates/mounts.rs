//! Mounts that never change.

use crate::support::certs::Ca;
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::Sidecar;

use super::{Shown, folder};

// CERT-12
#[test]
fn a_file_mounted_with_sub_path_is_warned_about() {
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    let place = folder(&[("tls.crt", b""), ("tls.key", b"")]);
    let (from, to) = (secret.as_str(), place.path().to_str().unwrap());
    // What the kubelet does for a subPath: one version's file bound over the path.
    let bind = format!(
        "for f in tls.crt tls.key; do mount --bind \"$(readlink -f {from}/$f)\" {to}/$f || exit 9; \
         done; exec \"$0\" \"$@\""
    );
    let prefix = ["unshare", "-Urm", "sh", "-c", bind.as_str()];
    let Some(sidecar) = Sidecar::start_under(&prefix, &["--cert-dir", to]) else {
        return;
    };
    let shown = Shown { sidecar };
    let line = shown.sidecar.wait_for_log("the warning", |line| {
        super::message(line).contains("subPath")
    });
    assert_eq!(line["mount"], format!("{to}/tls.crt"));
    assert_eq!(shown.said("subPath"), 1);
}

#[test]
fn an_ordinary_mount_is_not_warned_about() {
    let ca = Ca::new();
    let (_secret, _, shown) = super::secret_with(&ca, &["--certificate-poll-interval", "100ms"]);
    assert_eq!(shown.said("subPath"), 0);
}
