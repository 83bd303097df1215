//! The codes that findings have, held against the tables that the README has of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tls_sidecar::tls::Reason;

/// The ways in which a finding is made; what follows is its code.
const MAKERS: [&str; 3] = ["error(", "warning(", "note("];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The codes that the program text of `src/room.rs` and `src/room/` writes.
fn written(room: &str) -> BTreeSet<String> {
    let file = root().join(format!("src/{room}.rs"));
    let inside = fs::read_dir(root().join("src").join(room)).unwrap();
    let inside = inside.map(|entry| entry.unwrap().path());
    [file].into_iter().chain(inside).flat_map(codes).collect()
}

fn codes(file: impl AsRef<Path>) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let program = text.split("#[cfg(test)]").next().unwrap_or_default();
    let after = |maker: &'static str| {
        let made = program.match_indices(maker);
        made.map(move |(at, _)| program[at + maker.len()..].trim_start())
    };
    let each = MAKERS.into_iter().flat_map(after);
    let code = |rest: &str| Some(rest.strip_prefix('"')?.split_once("\",")?.0.to_owned());
    let is_code = |code: &String| {
        let mut bytes = code.bytes();
        bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    each.filter_map(code).filter(is_code).collect()
}

/// The codes in the README's table below `heading`.
fn listed(heading: &str) -> BTreeSet<String> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    let (_, table) = section
        .split_once("\n| code | found |\n|---|---|\n")
        .unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let words = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    words.map(str::to_owned).collect()
}

#[test]
fn the_readme_lists_every_code_of_check_and_no_other() {
    let (written, listed) = (written("check"), listed("Operating"));
    assert!(written.len() > 20, "{written:?}");
    let missing: Vec<_> = written.difference(&listed).collect();
    assert!(missing.is_empty(), "not in the README: {missing:?}");
    // The files of a certificate are judged by reasons, of which the README names some.
    let reasons: BTreeSet<_> = Reason::ALL.iter().map(|one| one.as_str()).collect();
    let beyond = listed.difference(&written);
    let unknown: Vec<_> = beyond
        .filter(|code| !reasons.contains(code.as_str()))
        .collect();
    assert!(unknown.is_empty(), "in the README alone: {unknown:?}");
}

#[test]
fn the_readme_lists_every_code_of_inject_and_no_other() {
    let (written, listed) = (written("inject"), listed("Putting it into manifests"));
    assert!(written.len() > 15, "{written:?}");
    assert_eq!(listed, written);
}
