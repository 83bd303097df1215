//! How a change is seen: every way of writing a file, and every way in which a watch fails.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::certs::{Ca, Pair};
use crate::support::secret_dir::SecretDir;
use crate::support::sidecar::Sidecar;

use super::{Shown, folder, secret_with, write};

/// The poll is half a minute away: what is seen was watched.
const WATCHED: &[&str] = &[];

fn by_rename(folder: &std::path::Path, pair: &Pair) {
    for (name, contents) in pair.files() {
        let new = folder.join(format!(".{name}.new"));
        fs::write(&new, contents).unwrap();
        fs::rename(new, folder.join(name)).unwrap();
    }
}

#[test]
fn files_rewritten_in_place_are_seen() {
    let ca = Ca::new();
    let folder = folder(&ca.leaf(&["localhost"]).files());
    let shown = Shown::from(folder.path(), WATCHED);
    for _ in 0..3 {
        let new = ca.leaf(&["localhost"]);
        write(folder.path(), &new.files());
        shown.until_shown(&new);
    }
}

#[test]
fn files_renamed_over_are_seen() {
    let ca = Ca::new();
    let folder = folder(&ca.leaf(&["localhost"]).files());
    let shown = Shown::from(folder.path(), WATCHED);
    for _ in 0..3 {
        let new = ca.leaf(&["localhost"]);
        by_rename(folder.path(), &new);
        shown.until_shown(&new);
    }
}

#[test]
fn files_inside_of_a_version_are_seen() {
    let ca = Ca::new();
    let (secret, _, shown) = secret_with(&ca, WATCHED);
    for _ in 0..2 {
        let new = ca.leaf(&["localhost"]);
        for (name, contents) in new.files() {
            secret.overwrite(name, contents);
        }
        shown.until_shown(&new);
    }
}

#[test]
fn links_to_elsewhere_are_followed_when_their_target_changes() {
    let ca = Ca::new();
    let there = folder(&ca.leaf(&["localhost"]).files());
    let here = tempfile::tempdir().unwrap();
    for name in ["tls.crt", "tls.key"] {
        symlink(there.path().join(name), here.path().join(name)).unwrap();
    }
    let shown = Shown::from(here.path(), WATCHED);
    let new = ca.leaf(&["localhost"]);
    by_rename(there.path(), &new);
    shown.until_shown(&new);
    // And when the links themselves do.
    let newest = ca.leaf(&["localhost"]);
    let third = folder(&newest.files());
    for name in ["tls.crt", "tls.key"] {
        fs::remove_file(here.path().join(name)).unwrap();
        symlink(third.path().join(name), here.path().join(name)).unwrap();
    }
    shown.until_shown(&newest);
}

#[test]
fn a_link_to_a_mounted_secret_is_followed_through_its_swaps() {
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    let here = tempfile::tempdir().unwrap();
    for name in ["tls.crt", "tls.key"] {
        symlink(secret.path().join(name), here.path().join(name)).unwrap();
    }
    let shown = Shown::from(here.path(), WATCHED);
    for _ in 0..3 {
        let new = ca.leaf(&["localhost"]);
        secret.swap(&new.files());
        shown.until_shown(&new);
    }
}

#[test]
fn a_directory_that_is_deleted_and_comes_back_is_followed() {
    let ca = Ca::new();
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("certificates");
    let first = ca.leaf(&["localhost"]);
    write(&directory, &first.files());
    let shown = Shown::from(&directory, WATCHED);
    for _ in 0..3 {
        fs::remove_dir_all(&directory).unwrap();
        let new = ca.leaf(&["localhost"]);
        write(&directory, &new.files());
        shown.until_shown(&new);
        let newer = ca.leaf(&["localhost"]);
        write(&directory, &newer.files());
        shown.until_shown(&newer);
    }
}

#[test]
fn a_directory_that_is_a_link_is_followed_when_the_link_is_changed() {
    let ca = Ca::new();
    let place = tempfile::tempdir().unwrap();
    let current = place.path().join("current");
    let first = ca.leaf(&["localhost"]);
    write(&place.path().join("one"), &first.files());
    symlink("one", &current).unwrap();
    let shown = Shown::from(&current, WATCHED);
    let new = ca.leaf(&["localhost"]);
    write(&place.path().join("two"), &new.files());
    symlink("two", place.path().join("next")).unwrap();
    fs::rename(place.path().join("next"), &current).unwrap();
    shown.until_shown(&new);
}

#[test]
fn a_subdirectory_that_appears_is_served() {
    let ca = Ca::new();
    let folder = folder(&ca.leaf(&["localhost"]).files());
    let shown = Shown::from(folder.path(), WATCHED);
    let other = ca.leaf(&["other.example"]);
    write(&folder.path().join("other"), &other.files());
    crate::support::wait::eventually("the other one", crate::support::wait::PATIENCE, || {
        shown.leaf("other.example") == *other.leaf_der()
    });
}

// CERT-04
#[test]
fn without_inotify_the_poll_alone_finds_every_change_and_says_so_once() {
    let ca = Ca::new();
    let secret = SecretDir::new(&ca.leaf(&["localhost"]).files());
    // A user namespace of its own has its own limit, and here it is none.
    let limited = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"";
    let prefix = ["unshare", "-Ur", "sh", "-c", limited];
    let arguments = [
        "--cert-dir",
        secret.as_str(),
        "--certificate-poll-interval",
        "100ms",
    ];
    let Some(sidecar) = Sidecar::start_under(&prefix, &arguments) else {
        return;
    };
    let shown = Shown { sidecar };
    for _ in 0..3 {
        let new = ca.leaf(&["localhost"]);
        secret.swap(&new.files());
        shown.until_shown(&new);
    }
    assert_eq!(shown.said("found by polling alone"), 1);
    assert_eq!(shown.said("last good one stays"), 0);
}
