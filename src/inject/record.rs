//! The annotation that tells what was added, so that it can be taken out again.
//!
//! It names what had to be made, not where: a manifest that somebody else wrote anew, in another
//! order and form, can still be freed of it. Invariant: what was there before is never named.

use super::annotations::RECORD;
use super::workload::{PREFIX, Workload};

/// The name of the container and of the volume.
pub(super) const OWN: &str = "tls-sidecar";
/// The whole name of the annotation.
pub(super) const ANNOTATION: &str = "tls-sidecar.dev/injected";
/// The sysctl that lets any user listen on low ports.
pub(super) const SYSCTL: &str = "net.ipv4.ip_unprivileged_port_start";

/// What was added, and by which version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) version: String,
    /// Names of maps and lists that were made, with `=TEXT` where they stand for a written `TEXT`.
    made: Vec<String>,
}

impl Record {
    /// A record of this version in which nothing was made.
    pub(super) fn new() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made: Vec::new(),
        }
    }

    /// The record that `workload` carries.
    pub(super) fn of(workload: &Workload<'_>) -> Option<Self> {
        debug_assert_eq!(ANNOTATION, format!("{PREFIX}{RECORD}"));
        let text = workload.annotations()?.at(ANNOTATION)?.text()?;
        let (version, made) = text.split_once("; made ").unwrap_or((text, ""));
        let made = made.split(", ").filter(|name| !name.is_empty());
        Some(Self {
            version: version.to_owned(),
            made: made.map(str::to_owned).collect(),
        })
    }

    /// Notes that `name` was made.
    pub(super) fn add(&mut self, name: &str) {
        self.made.push(name.to_owned());
    }

    /// Notes that `name` stands where `text` did.
    pub(super) fn add_instead(&mut self, name: &str, text: &str) {
        self.made.push(format!("{name}={text}"));
    }

    /// Whether `name` was made.
    pub(super) fn has(&self, name: &str) -> bool {
        self.made.iter().any(|made| made == name)
    }

    /// What stood where `name` is.
    pub(super) fn instead(&self, name: &str) -> Option<&str> {
        let mut made = self.made.iter();
        made.find_map(|made| made.strip_prefix(name)?.strip_prefix('='))
    }

    /// As the annotation has it.
    pub(super) fn text(&self) -> String {
        match self.made.is_empty() {
            true => self.version.clone(),
            false => format!("{}; made {}", self.version, self.made.join(", ")),
        }
    }
}
