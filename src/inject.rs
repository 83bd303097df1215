//! The sidecar put into Kubernetes manifests, and taken out of them again.
//!
//! The text is parsed for places alone: what is added is spliced in between its neighbours, and
//! every other byte stays as it is. Injecting anew first takes out what is there, so that doing it
//! twice is doing it once. Invariant: what comes out was parsed again, holds all that was there, and
//! gives the manifest back, or nothing comes out.

mod addition;
mod annotations;
mod application;
mod insertion;
mod node;
mod obstacles;
mod piece;
mod plan;
mod proof;
mod record;
mod removal;
mod sidecar;
mod text;
mod workload;

pub use annotations::{Defaults, Mode};

use annotations::Said;
use insertion::{Insertion, OddLayout};
use node::{Document, Node, Unreadable};
use plan::Plan;
use record::{OWN, Record};
use text::{Edit, Edited};
use workload::{Part, Workload};

use crate::check::{Finding, Severity};

/// Manifests with the sidecar in every workload, and what is to be said about them.
#[derive(Debug)]
pub struct Injected {
    /// The manifests; `None` when a finding is an error.
    pub text: Option<String>,
    /// In the order of the text.
    pub findings: Vec<Finding>,
}

/// `text` with the sidecar in every workload that does not refuse it.
pub fn inject(text: &str, defaults: &Defaults) -> Injected {
    let mut findings = Vec::new();
    let text = attempt(text, defaults, &mut findings).unwrap_or_else(|finding| {
        findings.push(finding);
        None
    });
    let failed = findings.iter().any(|one| one.severity == Severity::Error);
    Injected {
        text: text.filter(|_| !failed),
        findings,
    }
}

/// `text` without the sidecars that were injected into it.
pub fn uninject(text: &str) -> Result<String, Finding> {
    Ok(freed(text)?.0.text)
}

fn attempt(
    text: &str,
    defaults: &Defaults,
    findings: &mut Vec<Finding>,
) -> Result<Option<String>, Finding> {
    let (without, replaced) = freed(text)?;
    findings.extend(replaced);
    let base = &without.text;
    // What is found is told with the lines that the person sees.
    let documents = read(base, &|line| without.old_line(line))?;
    let mut edits = Vec::new();
    let mut replaced = Vec::new();
    for (at, document) in documents.iter().enumerate() {
        for part in workload::parts(&document.root, at + 1) {
            match part {
                Part::Passed(finding) | Part::Unclear(finding) => findings.push(finding),
                Part::Workload(workload) => {
                    let changes = changes(base, &workload, defaults, findings);
                    edits.extend(changes.edits);
                    replaced.extend(changes.replaced);
                }
            }
        }
    }
    if findings.iter().any(|one| one.severity == Severity::Error) {
        return Ok(None);
    }
    let edited = Edited::new(base, edits);
    prove(base, &documents, &edited, &replaced)?;
    Ok(Some(edited.text))
}

fn read(text: &str, line: &dyn Fn(usize) -> usize) -> Result<Vec<Document>, Finding> {
    node::documents(text, line).map_err(|Unreadable { line, words }| {
        let words = format!(
            "line {line}: not YAML: {words}; mend it there (a template has to be rendered first)"
        );
        Finding::error("unreadable", words)
    })
}

/// The text without what the records in it tell of, and a note for each of another version.
fn freed(text: &str) -> Result<(Edited, Vec<Finding>), Finding> {
    let documents = read(text, &|line| line)?;
    let (mut edits, mut notes) = (Vec::new(), Vec::new());
    for (at, document) in documents.iter().enumerate() {
        for part in workload::parts(&document.root, at + 1) {
            if let Part::Workload(workload) = part
                && let Some(record) = Record::of(&workload)
            {
                let removed = removal::edits(text, &workload, &record);
                edits.extend(removed.map_err(|odd| odd_layout(&workload, &odd))?);
                notes.extend(other_version(&workload, &record));
            }
        }
    }
    Ok((Edited::new(text, edits), notes))
}

fn other_version(workload: &Workload<'_>, record: &Record) -> Option<Finding> {
    let (version, own) = (&record.version, Record::new().version);
    (*version != own).then(|| {
        let words =
            format!("has the sidecar of version {version}; inject puts that of {own} in its place");
        workload.note("other_version", workload.line, &words)
    })
}

fn odd_layout(workload: &Workload<'_>, odd: &OddLayout) -> Finding {
    let words = "is laid out so that no lines can be put in or taken out here; write it with one \
                 key or item a line";
    workload.error("layout", odd.line, words)
}

/// What becomes of one workload.
#[derive(Default)]
struct Changes<'a> {
    edits: Vec<Edit>,
    /// Nodes of the old text in whose place something new stands.
    replaced: Vec<&'a Node>,
}

fn changes<'a>(
    text: &str,
    workload: &Workload<'a>,
    defaults: &Defaults,
    findings: &mut Vec<Finding>,
) -> Changes<'a> {
    let (said, wrong) = Said::of(workload);
    findings.extend(wrong);
    match said.switch(workload, "inject") {
        Ok(Some(false)) => return Changes::default(),
        Ok(_) => {}
        Err(finding) => findings.push(finding),
    }
    let containers = application::containers(workload, OWN);
    let before = findings.len();
    findings.extend(obstacles::of_pod(workload, &containers));
    findings.extend(workload.knots());
    let fits = findings.len() == before;
    if containers.iter().all(|one| !one.is_main) {
        return Changes::default();
    }
    let plan = match Plan::of(workload, &said, defaults, &containers) {
        Ok(plan) => plan,
        Err(wrong) => {
            findings.extend(wrong);
            return Changes::default();
        }
    };
    findings.extend(obstacles::of_plan(workload, &plan, &containers));
    if !fits {
        return Changes::default();
    }
    let insertions = addition::insertions(text, workload, &plan);
    let style = insertion::style(text, workload.home, workload.spec);
    let edits: Result<Vec<_>, _> = insertions.iter().map(|one| one.edit(text, style)).collect();
    match edits {
        Ok(edits) => Changes {
            edits,
            replaced: insertions.iter().filter_map(Insertion::replaced).collect(),
        },
        Err(odd) => {
            findings.push(odd_layout(workload, &odd));
            Changes::default()
        }
    }
}

/// Looks at what was made: all that was there is, and comes back when it is taken out.
fn prove(
    base: &str,
    documents: &[Document],
    edited: &Edited,
    replaced: &[&Node],
) -> Result<(), Finding> {
    let made = read(&edited.text, &|line| line);
    let line = match &made {
        Ok(made) => proof::difference(documents, made, edited, replaced),
        Err(_) => Some(1),
    };
    let comes_back = || freed(&edited.text).is_ok_and(|(without, _)| without.text == base);
    let line = line.or_else(|| (!comes_back()).then_some(1));
    match line {
        None => Ok(()),
        Some(line) => {
            let words = format!(
                "line {line}: nothing can be put in near here without changing what is there; \
                 write it with one key or item a line"
            );
            Err(Finding::error("layout", words))
        }
    }
}
