//! Mistakes in the configuration, collected and shown one a line.
//!
//! Each names the setting, the value and the mend. A value is quoted and shortened and control
//! characters are escaped wherever they stand, so that nothing written can break the line or steer
//! a terminal; what looks like a password in a URL is blotted out.

use std::fmt;

/// The longest part of a value that is shown; more does not help to find it.
const SHOWN: usize = 100;

/// One mistake: what it is about, what was written, what is wrong and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    subject: Subject,
    value: Option<String>,
    complaint: String,
    origin: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Flag(&'static str),
    Other(String),
}

impl Problem {
    /// A value that the setting with this flag cannot have.
    pub fn value(flag: &'static str, value: &str, complaint: impl fmt::Display) -> Self {
        Self {
            subject: Subject::Flag(flag),
            value: Some(value.to_owned()),
            complaint: complaint.to_string(),
            origin: None,
        }
    }

    /// A setting that does not go with the others.
    pub fn conflict(flag: &'static str, complaint: impl fmt::Display) -> Self {
        Self {
            subject: Subject::Flag(flag),
            value: None,
            complaint: complaint.to_string(),
            origin: None,
        }
    }

    /// Something that is not a setting: a file, a key, a variable.
    pub fn other(subject: impl fmt::Display, complaint: impl fmt::Display) -> Self {
        Self {
            subject: Subject::Other(subject.to_string()),
            value: None,
            complaint: complaint.to_string(),
            origin: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Flag(flag) => write!(f, "--{flag}")?,
            Subject::Other(text) => Visible(text).fmt(f)?,
        }
        if let Some(value) = &self.value {
            write!(f, " {}", Quoted(value))?;
        }
        if let Some(origin) = &self.origin {
            write!(f, " (from {})", Visible(origin))?;
        }
        write!(f, ": {}", Visible(&self.complaint))
    }
}

impl std::error::Error for Problem {}

/// Text of others, such as a variable's name or a parser's words.
struct Visible<'a>(&'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(char::is_control) {
            match part.char_indices().next_back() {
                Some((at, last)) if last.is_control() => {
                    write!(f, "{}{}", &part[..at], last.escape_default())?;
                }
                _ => f.write_str(part)?,
            }
        }
        Ok(())
    }
}

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self.0.rsplit_once('@') {
            Some((before, after)) => match before.split_once("://") {
                Some((scheme, _)) => format!("{scheme}://***@{after}"),
                None => format!("***@{after}"),
            },
            None => self.0.to_owned(),
        };
        let more = if value.chars().nth(SHOWN).is_some() {
            "..."
        } else {
            ""
        };
        let shown: String = value.chars().take(SHOWN).collect();
        write!(f, "{:?}{more}", shown)
    }
}

/// Every mistake found, in the order of the settings. Shown one a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Problem>);

impl ConfigErrors {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mistakes one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Adds a mistake.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds the mistakes found elsewhere.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Notes where each wrong value came from; `origin` is asked with the name of its flag.
    #[must_use]
    pub fn with_origins(mut self, origin: impl Fn(&str) -> Option<String>) -> Self {
        for problem in &mut self.0 {
            if let Subject::Flag(flag) = problem.subject {
                problem.origin = origin(flag);
            }
        }
        self
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_break_the_line() {
        let problem = Problem::value("hsts", "a\nb\u{1b}[31m", "wrong; mend it");
        assert_eq!(
            problem.to_string(),
            "--hsts \"a\\nb\\u{1b}[31m\": wrong; mend it"
        );
        let long = Problem::value("hsts", &"é".repeat(10_000), "wrong").to_string();
        assert!(long.chars().count() < 200, "{long}");
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        for url in [
            "http://me:secret@app:80",
            "me:secret@app:80",
            "http://a:b@secret@c",
        ] {
            let line = Problem::value("upstream", url, "wrong").to_string();
            assert!(!line.contains("secret") && line.contains("***@"), "{line}");
        }
    }

    #[test]
    fn no_name_and_no_complaint_steers_a_terminal() {
        let problem = Problem::other("TLS_SIDECAR_\u{1b}[2J\n", "no \u{7}setting");
        assert_eq!(
            problem.to_string(),
            "TLS_SIDECAR_\\u{1b}[2J\\n: no \\u{7}setting"
        );
    }

    #[test]
    fn the_origin_stands_behind_the_value() {
        let mut errors = ConfigErrors::default();
        errors.push(Problem::value("workers", "x", "not a count"));
        errors.push(Problem::other("FILE", "unreadable"));
        let errors = errors.with_origins(|flag| Some(format!("the {flag} of somebody")));
        assert_eq!(
            errors.to_string(),
            "--workers \"x\" (from the workers of somebody): not a count\nFILE: unreadable"
        );
    }
}
