//! The results as files: `results.json` with every round, and a chart for each case.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use serde_json::json;

use crate::chart;
use crate::machine::Machine;
use crate::peers::Peer;
use crate::results::CaseResult;

/// What stands beside the figures.
pub(crate) struct Report<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) peers: &'a [Peer],
    pub(crate) missing: &'a [String],
    /// As it was typed.
    pub(crate) command: String,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    pub(crate) results: &'a [CaseResult],
}

impl Report<'_> {
    /// Writes all of it into `directory`.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let cannot = || format!("cannot write into {}", directory.display());
        fs::create_dir_all(directory).with_context(cannot)?;
        let text = serde_json::to_string_pretty(&self.json())?;
        fs::write(directory.join("results.json"), text + "\n").with_context(cannot)?;
        chart::write(directory, self.results, &self.notes())
    }

    /// Where it was measured, with what and how, in lines.
    pub(crate) fn notes(&self) -> Vec<String> {
        let peers: Vec<String> = self.peers.iter().map(Peer::title).collect();
        let mut notes = vec![
            format!(
                "{} of {}; medians of {} rounds",
                peers.join(", "),
                today(),
                self.rounds
            ),
            self.machine.line(),
            self.command.clone(),
        ];
        if !self.missing.is_empty() {
            notes.insert(
                1,
                format!("not installed, so left out: {}", self.missing.join(", ")),
            );
        }
        notes
    }

    fn json(&self) -> serde_json::Value {
        let peers = self.peers.iter();
        let versions = peers.map(|peer| (peer.name.clone(), json!(peer.version)));
        json!({
            "date": today(),
            "machine": self.machine.json(),
            "versions": versions.collect::<serde_json::Map<_, _>>(),
            "not_installed": self.missing,
            "command": self.command,
            "rounds": self.rounds,
            "seconds": self.seconds,
            "cases": self.results.iter().map(CaseResult::json).collect::<Vec<_>>(),
        })
    }
}

fn today() -> String {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = rcgen::date_time_ymd(1970, 1, 1) + elapsed.unwrap_or_default();
    format!(
        "{:04}-{:02}-{:02}",
        now.year(),
        u8::from(now.month()),
        now.day()
    )
}
