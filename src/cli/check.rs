//! `tls-sidecar check`: what is wrong, before it runs or beside it.

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use crate::check::{self, Finding};
use crate::config::{Config, ConfigErrors};

/// What to check, and how to say it.
#[derive(Debug)]
pub(super) struct CheckOptions {
    /// The configuration, or everything that is wrong with it.
    pub(super) config: Result<Config, ConfigErrors>,
    /// What the Pod has to end.
    pub(super) grace_period: Duration,
    /// The form of the findings.
    pub(super) output: Output,
}

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// A line a finding, with YAML below it.
    Text,
    /// One object.
    Json,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    findings: &'a [Finding],
}

/// Prints every finding; success when nothing is wrong.
pub(super) fn run(options: CheckOptions) -> ExitCode {
    let findings = match &options.config {
        Ok(config) => check::examine(config, options.grace_period),
        Err(errors) => check::mistakes(errors),
    };
    let ok = !findings.iter().any(Finding::is_wrong);
    match options.output {
        Output::Text => findings.iter().for_each(|finding| println!("{finding}")),
        Output::Json => {
            let findings = findings.as_slice();
            // Strings and a flag: there is nothing in it that JSON could not hold.
            let text = serde_json::to_string_pretty(&Report { ok, findings });
            println!("{}", text.unwrap_or_default());
        }
    }
    match ok {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
