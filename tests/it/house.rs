//! The rules of the house, read off `src` itself, each with its reason.
//!
//! They hold for the program, not for the tests at the bottom of a file: what follows the first
//! `#[cfg(test)]` is not looked at, except for loose ends. A rule that stands in the way of a
//! better design is changed here, with its reason, in the commit that needs it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by floor, lowest first. A file uses its own room and the floors below.
const FLOORS: [&[&str]; 6] = [
    &["config", "live"],
    &[
        "tls",
        "net",
        "limits",
        "syntax",
        "fields",
        "message",
        "hpack",
        "http2",
        "alarm",
        "telemetry",
        "drain",
        "readiness",
    ],
    &["upstream", "proxy"],
    &["runtime", "reload", "admin", "signal"],
    &["app", "check", "inject"],
    &["cli", "main"],
];

/// On one floor, the first room may use the second and not the other way round.
///
/// TLS reads from a sniffed socket and says goodbye with a linger, both of `net`; numbers and
/// records take their labels from what a handshake settled, which is of `tls`. Readiness connects to
/// the application through `net` and asks it over HTTP/2 too. Fields are read by the grammar of `syntax`, and
/// both messages and header blocks are made of them; trailers leave over HTTP/2 as blocks, and a clock
/// tells when a silent peer is asked. The admin port tells what `reload` publishes and asks for what a signal asks for. What `inject` finds in
/// a manifest is told as `check` tells it.
const SIDEWAYS: [(&str, &str); 19] = [
    ("proxy", "upstream"),
    ("main", "cli"),
    ("tls", "net"),
    ("telemetry", "tls"),
    ("readiness", "net"),
    ("readiness", "http2"),
    ("readiness", "hpack"),
    ("readiness", "fields"),
    ("readiness", "message"),
    ("fields", "syntax"),
    ("message", "syntax"),
    ("message", "fields"),
    ("hpack", "fields"),
    ("http2", "alarm"),
    ("http2", "fields"),
    ("http2", "hpack"),
    ("admin", "reload"),
    ("admin", "signal"),
    ("inject", "check"),
];

/// Lines of code in one file; beyond that it is about more than one thing.
const LONGEST_FILE: usize = 400;

/// A file of `src`.
struct Source {
    /// Relative to `src`, such as `tls/pem.rs`.
    path: String,
    text: String,
}

/// A line of the program: not blank, not a comment, above the tests.
struct Line<'a> {
    number: usize,
    code: &'a str,
}

/// Words that only some files may use.
struct Rule {
    words: &'static [&'static str],
    /// Files (`drain.rs`), rooms (`cli/`).
    only_in: &'static [&'static str],
    mend: &'static str,
}

#[test]
fn only_the_tls_room_names_rustls() {
    hold(&Rule {
        words: &["rustls::", "tokio_rustls::"],
        only_in: &["tls.rs", "tls/"],
        mend: "a TLS library is replaced or upgraded in one room: offer what is needed as a type of \
               `crate::tls`",
    });
}

#[test]
fn only_one_file_reads_pem() {
    hold(&Rule {
        words: &["rustls_pemfile::"],
        only_in: &["tls/pem.rs"],
        mend: "rustls-pemfile is archived (RUSTSEC-2025-0134) and must be replaceable in one file: \
               read PEM through `crate::tls::pem`",
    });
}

#[test]
fn only_one_file_parses_certificates() {
    hold(&Rule {
        words: &["x509_parser::"],
        only_in: &["tls/x509.rs", "tls/x509/"],
        mend: "a parser of what strangers wrote is replaced or upgraded in one file: offer what is \
               needed as plain data, as `crate::tls::Facts` is",
    });
}

#[test]
fn only_one_file_parses_manifests() {
    hold(&Rule {
        words: &["saphyr_parser::"],
        only_in: &["inject/node.rs"],
        mend: "a parser is replaced or upgraded in one file: read manifests through \
               `crate::inject::node`",
    });
}

#[test]
fn only_one_file_watches_directories() {
    hold(&Rule {
        words: &["notify::"],
        only_in: &["reload/watch.rs"],
        mend: "a watch is a hint that may be missing: take part in the one in `crate::reload`",
    });
}

#[test]
fn only_one_file_exports_spans() {
    hold(&Rule {
        words: &[
            "opentelemetry::",
            "opentelemetry_otlp::",
            "opentelemetry_sdk::",
        ],
        only_in: &["telemetry/spans/otlp.rs"],
        mend: "the program is built without these crates by default: tell it to \
               `crate::telemetry::spans`",
    });
}

#[test]
fn only_runtime_and_drain_start_tasks_and_threads() {
    hold(&Rule {
        words: &[
            "tokio::spawn",
            "task::spawn",
            "spawn_local",
            "spawn_blocking",
            "spawn_on",
            "thread::spawn",
            "thread::Builder",
            "thread::scope",
            "runtime::Builder",
            "Runtime::new",
            "LocalSet",
            "JoinSet",
            "TaskTracker",
        ],
        // The demo's sample application stands for a process of its own.
        only_in: &["runtime.rs", "drain.rs", "cli/demo.rs", "cli/demo/"],
        mend: "a task that the drain does not track is cut off in the middle at exit: hand the \
               future to `crate::drain`, or a whole thread to `crate::runtime`",
    });
}

#[test]
fn only_cli_and_signal_end_the_process() {
    hold(&Rule {
        words: &["process::exit", "process::abort", "ExitCode"],
        only_in: &["main.rs", "cli.rs", "cli/", "signal.rs"],
        mend: "an exit from inside skips every `Drop`, and with them records, permits and \
               close_notify: return an error to who called",
    });
}

#[test]
fn only_the_command_line_uses_anyhow() {
    hold(&Rule {
        words: &["anyhow::", "anyhow!"],
        only_in: &["main.rs", "cli.rs", "cli/"],
        mend: "who catches an error must be able to tell refused from reset from timeout: make it \
               a variant of the room's own enum",
    });
}

#[test]
fn nothing_is_left_to_be_done() {
    let mut broken = String::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            for word in ["todo!", "unimplemented!", "FIXME", "XXX"] {
                if contains_word(line, word) {
                    let mend = "finish it, or write down in the README what is not done";
                    report(&mut broken, &source.path, index + 1, word, mend);
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken}");
}

#[test]
fn no_file_is_longer_than_it_can_be_read() {
    let mut broken = String::new();
    for source in sources() {
        let lines = source.program().count();
        if lines > LONGEST_FILE {
            let rule = format!("{lines} lines of code, {LONGEST_FILE} at most");
            let mend = "split it by topic into files named for the topics";
            report(&mut broken, &source.path, 1, &rule, mend);
        }
    }
    assert!(broken.is_empty(), "{broken}");
}

#[test]
fn a_file_is_named_for_its_topic() {
    let mut broken = String::new();
    let sources = sources();
    for source in &sources {
        let name = source.path.rsplit('/').next().unwrap();
        let stem = name.trim_end_matches(".rs");
        if stem == "mod" {
            let mend = "ten open files called mod.rs tell nothing: move it to `<folder>.rs`";
            report(&mut broken, &source.path, 1, "no mod.rs", mend);
        }
        // `http2.rs` is a topic, `pool2.rs` beside `pool.rs` is not.
        let first = stem.trim_end_matches(|last: char| last.is_ascii_digit());
        let original = source.path.replace(name, &format!("{first}.rs"));
        // HTTP/1 and HTTP/2 are protocols, also beside what both have in common.
        let is_protocol = matches!(stem, "http1" | "http2");
        let second =
            first != stem && !is_protocol && sources.iter().any(|other| other.path == original);
        let vague = ["utils", "util", "helpers", "helper", "common", "misc"].contains(&stem);
        if second || vague {
            let mend = "such a file gathers what belongs elsewhere: name it for its topic";
            report(&mut broken, &source.path, 1, "a vague name", mend);
        }
    }
    assert!(broken.is_empty(), "{broken}");
}

#[test]
fn floors_use_only_those_below() {
    let mut broken = String::new();
    for source in sources() {
        let here = source.room();
        // The library's root only declares the rooms.
        if here == "lib" {
            continue;
        }
        let Some(floor) = floor(&here) else {
            let mend = "give the new room its floor in tests/it/house.rs, as low as it can be";
            report(&mut broken, &source.path, 1, "no floor", mend);
            continue;
        };
        let (numbers, lines): (Vec<_>, Vec<_>) =
            source.program().map(|l| (l.number, l.code)).unzip();
        let code = lines.join("\n");
        for (at, there) in rooms_used(&source, &code) {
            let sideways = SIDEWAYS.contains(&(here.as_str(), there.as_str()));
            // A name that is no room is an item of the crate's root.
            let below = self::floor(&there).is_none_or(|used| used < floor);
            if here != there && !below && !sideways {
                let rule = format!("{here} (floor {floor}) uses {there}");
                let mend = "what both need moves down a floor, or comes in as an argument or a \
                            trait of the lower room";
                let number = numbers[code[..at].matches('\n').count()];
                report(&mut broken, &source.path, number, &rule, mend);
            }
        }
    }
    assert!(broken.is_empty(), "{broken}");
}

#[test]
fn the_rules_see_what_they_are_about() {
    let source = |path: &str| Source {
        path: path.to_owned(),
        text: String::new(),
    };
    let used = |path, code| -> Vec<String> {
        let used = rooms_used(&source(path), code);
        used.into_iter().map(|(_, room)| room).collect()
    };
    assert_eq!(
        used("proxy/http.rs", "use crate::upstream::Pool;"),
        ["upstream"]
    );
    assert_eq!(
        used(
            "app.rs",
            "use crate::{config::{Config, Tls},\n    net,\n    tls::{pem, set},\n};"
        ),
        ["config", "net", "tls"]
    );
    assert_eq!(used("main.rs", "tls_sidecar::cli::run()"), ["cli"]);
    assert_eq!(used("tls.rs", "use super::net;"), ["net"]);
    assert_eq!(used("tls/pem.rs", "use super::super::net;"), ["net"]);
    assert!(used("tls/pem.rs", "use super::Error;").is_empty());
    assert_eq!(
        used("net.rs", "pub(in crate::net) fn f(a: &crate::live::Live)"),
        ["net", "live"]
    );

    assert!(contains_word("use rustls::Error;", "rustls::"));
    assert!(!contains_word("use tokio_rustls::Accept;", "rustls::"));
    assert!(!contains_word("tokio::spawned()", "tokio::spawn"));
    assert!(contains_word("todo!()", "todo!"));

    let text = "//! doc\n\nuse a; // why\nlet url = \"http://x\";\n#[cfg(test)]\nmod tests {}\n";
    let source = Source {
        text: text.to_owned(),
        ..source("net.rs")
    };
    let lines: Vec<_> = source.program().map(|l| (l.number, l.code)).collect();
    assert_eq!(lines, [(3, "use a; "), (4, "let url = \"http://x\";")]);
}

/// Fails with every place that uses one of the rule's words elsewhere.
fn hold(rule: &Rule) {
    let mut broken = String::new();
    for source in sources() {
        let allowed = rule
            .only_in
            .iter()
            .any(|place| match place.strip_suffix('/') {
                Some(_) => source.path.starts_with(place),
                None => source.path == *place,
            });
        if allowed {
            continue;
        }
        for line in source.program() {
            for word in rule.words {
                if contains_word(line.code, word) {
                    let what = format!("`{word}` only in {}", rule.only_in.join(", "));
                    report(&mut broken, &source.path, line.number, &what, rule.mend);
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken}");
}

fn report(broken: &mut String, path: &str, line: usize, rule: &str, mend: &str) {
    writeln!(broken, "\nsrc/{path}:{line}: {rule}\n    mend: {mend}").unwrap();
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).unwrap();
                sources.push(Source {
                    path: relative.to_str().unwrap().to_owned(),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    assert!(!sources.is_empty(), "no source in {}", root.display());
    sources
}

impl Source {
    /// The top-level module it belongs to.
    fn room(&self) -> String {
        let first = self.path.split('/').next().unwrap();
        first.trim_end_matches(".rs").to_owned()
    }

    /// How many `super` lead from its module to the crate's root.
    fn depth(&self) -> usize {
        self.path.split('/').count()
    }

    fn program(&self) -> impl Iterator<Item = Line<'_>> {
        // A file of tests is declared under `#[cfg(test)]` by the file above it.
        let tests = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        let text = if tests { "" } else { self.text.as_str() };
        let lines = text.lines().enumerate();
        lines
            .take_while(|(_, line)| !line.trim_start().starts_with("#[cfg(test)]"))
            .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with("//"))
            .map(|(index, line)| Line {
                number: index + 1,
                // A remark behind code; the space keeps the `//` of an address in a string.
                code: line.find(" // ").map_or(line, |remark| &line[..=remark]),
            })
    }
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// The names after the crate's root in `code`, and where.
fn rooms_used(source: &Source, code: &str) -> Vec<(usize, String)> {
    let root = "super::".repeat(source.depth());
    let mut used = Vec::new();
    for prefix in ["crate::", "tls_sidecar::", root.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            let inside_a_path = code[..at].ends_with(|last: char| is_name(last) || last == ':');
            if !inside_a_path {
                let names = first_names(&code[at + prefix.len()..]);
                used.extend(names.into_iter().map(|name| (at, name)));
            }
        }
    }
    used
}

/// Of `a::b` it is `a`; of `{a::b, c, d::{e, f}}` it is `a`, `c` and `d`.
fn first_names(path: &str) -> Vec<String> {
    let name_of = |text: &str| -> String { text.chars().take_while(|&c| is_name(c)).collect() };
    let Some(group) = path.strip_prefix('{') else {
        return vec![name_of(path)];
    };
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(name_of(group[start..at].trim()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(name_of(group[start..at].trim()));
                start = at + 1;
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Whether `word` is there, and not as a part of a longer name.
fn contains_word(line: &str, word: &str) -> bool {
    let joins = |a: Option<char>, b: Option<char>| a.is_some_and(is_name) && b.is_some_and(is_name);
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !joins(before, word.chars().next()) && !joins(word.chars().next_back(), after)
    })
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
