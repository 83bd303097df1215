//! `tls-sidecar inject`: manifests with the sidecar, without it again, or why they cannot have it.
//!
//! Invariant: manifests are printed when every one of them could be made, and else nothing is.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, mem};

use anyhow::Context as _;

use super::arguments::InjectArguments;
use super::complain;
use crate::check::{Finding, Severity};
use crate::inject::{self, Defaults, Mode};

/// What `tls-sidecar inject` was asked for.
#[derive(Debug)]
pub(super) struct InjectOptions {
    /// Where the manifests are; `-` is standard input.
    files: Vec<PathBuf>,
    task: Task,
    defaults: Defaults,
}

/// What to do with the manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Inject,
    Check,
    Uninject,
}

impl From<InjectArguments> for InjectOptions {
    fn from(mut arguments: InjectArguments) -> Self {
        let mut files = mem::take(&mut arguments.file);
        if files.is_empty() {
            files.push(PathBuf::from("-"));
        }
        Self {
            files,
            task: match (arguments.check, arguments.uninject) {
                (true, _) => Task::Check,
                (_, true) => Task::Uninject,
                _ => Task::Inject,
            },
            defaults: Defaults {
                secret: arguments.secret,
                port: arguments.port,
                image: arguments.image,
                mode: match arguments.classic {
                    true => Mode::Classic,
                    false => Mode::Native,
                },
            },
        }
    }
}

/// Reads, makes and prints.
pub(super) fn run(options: &InjectOptions) -> ExitCode {
    match worked(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn worked(options: &InjectOptions) -> anyhow::Result<bool> {
    let mut whole = String::new();
    let mut findings = Vec::new();
    for path in manifests(&options.files)? {
        let text = read(&path)?;
        let (made, found) = match options.task {
            Task::Uninject => match inject::uninject(&text) {
                Ok(text) => (Some(text), Vec::new()),
                Err(finding) => (None, vec![finding]),
            },
            Task::Inject | Task::Check => {
                let injected = inject::inject(&text, &options.defaults);
                (injected.text, injected.findings)
            }
        };
        let file = (path != Path::new("-")).then(|| path.display().to_string());
        findings.extend(found.into_iter().map(|finding| Finding {
            message: match &file {
                Some(file) => format!("{}: {}", file.escape_debug(), finding.message),
                None => finding.message,
            },
            ..finding
        }));
        append(&mut whole, &made.unwrap_or_default());
    }
    let mut stdout = io::stdout().lock();
    if options.task == Task::Check {
        for finding in &findings {
            writeln!(stdout, "{finding}").context("standard output")?;
        }
        return Ok(!findings.iter().any(Finding::is_wrong));
    }
    findings
        .iter()
        .filter(|finding| finding.is_wrong())
        .for_each(complain);
    if findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
    {
        return Ok(false);
    }
    stdout
        .write_all(whole.as_bytes())
        .context("standard output")?;
    stdout.flush().context("standard output")?;
    Ok(true)
}

/// The files that are meant, those of a directory by name.
fn manifests(files: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in files {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let context = || format!("-f {path:?}: cannot be read; check the path and its mode");
        let mut inside = Vec::new();
        for entry in fs::read_dir(path).with_context(context)? {
            let file = entry.with_context(context)?.path();
            let extension = file.extension().and_then(|extension| extension.to_str());
            if matches!(extension, Some("yaml" | "yml" | "json")) && file.is_file() {
                inside.push(file);
            }
        }
        anyhow::ensure!(
            !inside.is_empty(),
            "-f {path:?}: there is no .yaml, .yml or .json file in it; name the file"
        );
        inside.sort();
        found.extend(inside);
    }
    Ok(found)
}

fn read(path: &Path) -> anyhow::Result<String> {
    let (name, bytes) = match path == Path::new("-") {
        true => {
            let mut bytes = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut bytes);
            ("standard input".to_owned(), read.map(|_| bytes))
        }
        false => (format!("-f {path:?}"), fs::read(path)),
    };
    let bytes =
        bytes.with_context(|| format!("{name}: cannot be read; check the path and its mode"))?;
    String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("{name}: not UTF-8; save it as UTF-8"))
}

/// Puts the documents of `next` behind those of `whole`.
fn append(whole: &mut String, next: &str) {
    if whole.is_empty() {
        whole.push_str(next);
        return;
    }
    let next = next.strip_prefix('\u{feff}').unwrap_or(next);
    if !whole.ends_with('\n') {
        whole.push('\n');
    }
    let is_begun = next
        .lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    if !is_begun.is_some_and(|line| line.starts_with("---") || line.starts_with('%')) {
        whole.push_str("---\n");
    }
    whole.push_str(next);
}
