//! One thing that is wrong: how bad, what, and the lines of YAML that mend it.

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does not start, or clients get no service.
    Error,
    /// It starts, and something is wrong or soon will be.
    Warning,
    /// Good to know; nothing is wrong.
    Note,
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, from a fixed set of words.
    pub code: &'static str,
    /// What is wrong with what, and the mend, in one line.
    pub message: String,
    /// The part of a Pod's manifest that mends it.
    pub yaml: Option<String>,
}

impl Finding {
    /// An error without YAML.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message.into())
    }

    /// A warning without YAML.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message.into())
    }

    /// A note without YAML.
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, message.into())
    }

    /// The same with the YAML that mends it.
    #[must_use]
    pub fn mended_by(mut self, yaml: impl Into<String>) -> Self {
        self.yaml = Some(yaml.into());
        self
    }

    /// Whether something is wrong.
    pub fn is_wrong(&self) -> bool {
        self.severity != Severity::Note
    }

    fn new(severity: Severity, code: &'static str, message: String) -> Self {
        // A file may be named so that it breaks the line or steers a terminal.
        let message = match message.contains(char::is_control) {
            true => message.escape_default().to_string(),
            false => message,
        };
        Self {
            severity,
            code,
            message,
            yaml: None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        write!(f, "{severity}: {}: {}", self.code, self.message)?;
        for line in self.yaml.iter().flat_map(|yaml| yaml.lines()) {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_and_its_yaml_below_it() {
        let finding = Finding::error("a_code", "what\nis wrong").mended_by("a:\n  b: 1");
        assert_eq!(
            finding.to_string(),
            "error: a_code: what\\nis wrong\n    a:\n      b: 1"
        );
    }
}
