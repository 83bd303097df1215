//! What is put into a manifest, and how it is written: in lines, or in braces as JSON.
//!
//! Invariant: what is written in lines is YAML 1.1 and 1.2 with the same meaning in both, because
//! different tools read the one and the other.

use std::fmt::Write as _;

/// A value that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Number(u32),
    Truth(bool),
    List(Vec<Piece>),
    Map(Vec<(&'static str, Piece)>),
}

/// How the lines of a file are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Columns from a key to the keys below it.
    pub(super) step: usize,
    /// Columns from a key to the dashes below it.
    pub(super) dash: usize,
}

impl Piece {
    /// Text, from whatever has it.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A list of texts.
    pub(super) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::List(texts.into_iter().map(Self::text).collect())
    }

    /// On one line, as JSON.
    pub(super) fn compact(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.to_string(),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(Self::compact).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(pairs) => {
                let pairs = pairs.iter();
                let pairs: Vec<_> = pairs.map(|(key, value)| compact_pair(key, value)).collect();
                format!("{{{}}}", pairs.join(", "))
            }
        }
    }

    /// As JSON in lines, of which the first is not indented.
    pub(super) fn spread(&self, indent: &str, unit: &str, line_end: &str) -> String {
        let inner = format!("{indent}{unit}");
        let (open, parts, close) = match self {
            Self::List(items) if !items.is_empty() => {
                let items = items.iter();
                let items: Vec<_> = items.map(|i| i.spread(&inner, unit, line_end)).collect();
                ('[', items, ']')
            }
            Self::Map(pairs) if !pairs.is_empty() => {
                let pair = |(key, value): &(&str, Self)| {
                    format!("{}: {}", quoted(key), value.spread(&inner, unit, line_end))
                };
                ('{', pairs.iter().map(pair).collect(), '}')
            }
            _ => return self.compact(),
        };
        let between = format!(",{line_end}{inner}");
        let parts = parts.join(&between);
        format!("{open}{line_end}{inner}{parts}{line_end}{indent}{close}")
    }

    /// The lines below a key, the key's own column being `column`.
    pub(super) fn lines_below(&self, column: usize, style: Style) -> Vec<String> {
        match self {
            Self::Map(pairs) => {
                let column = column + style.step;
                let pairs = pairs.iter();
                pairs
                    .flat_map(|(key, value)| pair_lines(key, value, column, style))
                    .collect()
            }
            Self::List(items) => {
                let column = column + style.dash;
                items
                    .iter()
                    .flat_map(|item| item.item_lines(column, style))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// The lines of an item whose dash is at `column`.
    pub(super) fn item_lines(&self, column: usize, style: Style) -> Vec<String> {
        let pairs = match self {
            Self::Map(pairs) if !pairs.is_empty() => pairs,
            _ => return vec![format!("{:column$}- {}", "", self.in_line())],
        };
        let inner = column + 2;
        let pairs = pairs.iter();
        let mut lines: Vec<_> = pairs
            .flat_map(|(key, value)| pair_lines(key, value, inner, style))
            .collect();
        if let Some(first) = lines.first_mut() {
            first.replace_range(column..=column, "-");
        }
        lines
    }

    /// A value on the line of its key.
    fn in_line(&self) -> String {
        match self {
            Self::Text(text) if is_plain(text) => text.clone(),
            _ => self.compact(),
        }
    }
}

/// The lines of a pair whose key is at `column`.
pub(super) fn pair_lines(key: &str, value: &Piece, column: usize, style: Style) -> Vec<String> {
    let below = match value {
        Piece::Map(pairs) if pairs.is_empty() => Vec::new(),
        value => value.lines_below(column, style),
    };
    match below.is_empty() {
        true => vec![format!("{:column$}{key}: {}", "", value.in_line())],
        false => {
            let mut lines = vec![format!("{:column$}{key}:", "")];
            lines.extend(below);
            lines
        }
    }
}

/// A pair in braces.
pub(super) fn compact_pair(key: &str, value: &Piece) -> String {
    format!("{}: {}", quoted(key), value.compact())
}

/// Text in double quotes, as JSON has it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            _ if character.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// Whether no reader takes it for anything but this text when it stands without quotes.
fn is_plain(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || "/._-:@=".contains(c);
    let flag = text.strip_prefix("--").unwrap_or(text);
    let begins = flag.starts_with(|c: char| c.is_ascii_alphabetic()) || text.starts_with('/');
    let meant = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let is_amount = ["m", "s", "Mi", "Gi"].contains(&&text[number.len()..])
        && !number.starts_with('0')
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit());
    is_amount
        || begins
            && text.chars().all(inside)
            && !text.ends_with(':')
            && !meant.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { step: 2, dash: 0 };

    fn sample() -> Piece {
        Piece::Map(vec![
            ("a", Piece::text("8080")),
            ("b", Piece::texts(["x", "no", "--set=a: b"])),
            ("c", Piece::Map(vec![("d", Piece::Truth(true))])),
            ("e", Piece::Map(Vec::new())),
        ])
    }

    #[test]
    fn lines_follow_the_style_of_the_file() {
        let lines = sample().item_lines(2, STYLE).join("\n");
        let text = "  - a: \"8080\"\n    b:\n    - x\n    - \"no\"\n    - \"--set=a: b\"\n    c:\n      \
                    d: true\n    e: {}";
        assert_eq!(lines, text);
        let wide = Style { step: 4, dash: 2 };
        let lines = pair_lines("k", &sample(), 1, wide).join("\n");
        assert!(
            lines.starts_with(" k:\n     a: \"8080\"\n     b:\n       - x\n"),
            "{lines}"
        );
    }

    #[test]
    fn in_braces_it_is_json() {
        let piece = sample();
        let compact: serde_json::Value = serde_json::from_str(&piece.compact()).unwrap();
        let spread = piece.spread("    ", "  ", "\n");
        assert_eq!(
            compact,
            serde_json::from_str::<serde_json::Value>(&spread).unwrap()
        );
        assert!(
            spread.starts_with("{\n      \"a\": \"8080\",\n"),
            "{spread}"
        );
        assert_eq!(quoted("a\"b\\c\n\u{1}é"), r#""a\"b\\c\n\u0001é""#);
    }

    #[test]
    fn words_that_mean_something_are_quoted() {
        for text in [
            "/livez",
            "tls-sidecar:0.1.0",
            "ghcr.io/a/b@sha256:0f",
            "ALL",
            "--wait=5s",
            "28s",
            "50m",
        ] {
            assert!(is_plain(text), "{text}");
        }
        for text in [
            "", "Yes", "0", "1e3", "-x", "a: b", "a:", "a b", "~", "*a", "é",
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }
}
