//! What the annotations of a workload say, and what holds where they say nothing.
//!
//! Invariant: every annotation below the prefix is known and has a value that is possible, or the
//! workload is refused; a slip of the pen never means the default.

use super::node::{Form, Kind, Node};
use super::workload::{PREFIX, Workload};
use crate::check::Finding;
use crate::config::nearest;

/// The names below the prefix.
const NAMES: [&str; 15] = [
    "inject",
    "secret",
    "port",
    "upstream",
    "container",
    "image",
    "listen",
    "admin-listen",
    "native",
    "args",
    "cpu",
    "cpu-limit",
    "memory",
    "memory-limit",
    RECORD,
];

/// The annotation that tells what was added.
pub(super) const RECORD: &str = "injected";

/// What holds for every workload whose annotations say nothing else.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    /// The Secret with the certificate; `{name}` in it stands for the name of the workload.
    pub secret: Option<String>,
    /// Port of the application: a number, or the name of one of its ports.
    pub port: Option<String>,
    /// Image of the sidecar; by default `tls-sidecar` of this version.
    pub image: Option<String>,
    /// Where the sidecar stands.
    pub mode: Mode,
}

/// Where the sidecar stands in the Pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Among the `initContainers` with `restartPolicy: Always`: starts first, ends last.
    #[default]
    Native,
    /// Among the `containers`, for clusters before 1.29.
    Classic,
}

/// What was said about one workload.
#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    words: Vec<(&'static str, &'a str, usize)>,
}

impl<'a> Said<'a> {
    /// What the annotations of `workload` say, and what is wrong with them.
    pub(super) fn of(workload: &Workload<'a>) -> (Self, Vec<Finding>) {
        let mut said = Self::default();
        let mut wrong = Vec::new();
        // Those of the Pod come first and are the nearer ones.
        let both = [workload.annotations(), workload.outer_annotations];
        for pair in both.into_iter().flatten().flat_map(Node::pairs) {
            let text = pair.key.text().unwrap_or_default();
            let Some(name) = text.strip_prefix(PREFIX) else {
                continue;
            };
            let line = pair.key.line;
            let Some(known) = NAMES.iter().find(|known| **known == name) else {
                let mend = match nearest(name, NAMES.into_iter().filter(|n| *n != RECORD)) {
                    Some(guess) => format!("did you mean {PREFIX}{guess}?"),
                    None => format!("known are {}", NAMES[..NAMES.len() - 1].join(", ")),
                };
                let words = format!("annotation {text} means nothing; {mend}");
                wrong.push(workload.error("unknown_annotation", line, &words));
                continue;
            };
            match string(workload.seen(&pair.value)) {
                Some(value) => said.words.push((known, value, line)),
                None => {
                    let words = format!("annotation {text} is no string; put it in quotes");
                    wrong.push(workload.error("annotation_value", line, &words));
                }
            }
        }
        (said, wrong)
    }

    /// The value of the annotation and its line.
    pub(super) fn value(&self, name: &str) -> Option<(&'a str, usize)> {
        let found = self.words.iter().find(|(known, ..)| *known == name);
        found.map(|(_, value, line)| (value.trim(), *line))
    }

    /// The value of a switch, or what is wrong with it.
    pub(super) fn switch(
        &self,
        workload: &Workload<'_>,
        name: &str,
    ) -> Result<Option<bool>, Finding> {
        match self.value(name) {
            None => Ok(None),
            Some(("true", _)) => Ok(Some(true)),
            Some(("false", _)) => Ok(Some(false)),
            Some((other, line)) => {
                let words =
                    format!("annotation {PREFIX}{name} {other:?}: write \"true\" or \"false\"");
                Err(workload.error("annotation_value", line, &words))
            }
        }
    }

    /// An amount of a resource, or what is wrong with it.
    pub(super) fn amount(
        &self,
        workload: &Workload<'_>,
        name: &str,
        default: &str,
    ) -> Result<String, Finding> {
        match self.value(name) {
            None => Ok(default.to_owned()),
            Some((value, _)) if is_quantity(value) => Ok(value.to_owned()),
            Some((other, line)) => {
                let words = format!(
                    "annotation {PREFIX}{name} {other:?}: not a quantity; write a number with m, \
                     k, M, G, Ki, Mi or Gi, e.g. {default}"
                );
                Err(workload.error("annotation_value", line, &words))
            }
        }
    }
}

/// The text of a node that every reader takes for a string.
fn string(node: &Node) -> Option<&str> {
    let text = node.text()?;
    let words = ["true", "false", "yes", "no", "on", "off", "y", "n"];
    let means_else = words.contains(&text.to_ascii_lowercase().as_str())
        || text.replace('_', "").parse::<f64>().is_ok();
    match &node.kind {
        Kind::Scalar { form, .. } if *form == Form::Plain && means_else => None,
        _ => Some(text),
    }
}

fn is_quantity(text: &str) -> bool {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[number.len()..];
    let units = ["", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"];
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    units.contains(&unit) && number.split('.').count() <= 2 && number.split('.').all(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_what_kubernetes_takes_for_one() {
        for text in ["1", "0.5", "50m", "64Mi", "1.5Gi", "100M"] {
            assert!(is_quantity(text), "{text}");
        }
        for text in ["", "m", "1 Gi", "64MB", "-1", "1.", "1.2.3", "half"] {
            assert!(!is_quantity(text), "{text}");
        }
    }
}
