//! The lines of a head as they arrive (RFC 9112 section 2.2).
//!
//! Each byte is looked at once: what ends the search for control characters is the end of the line, or
//! something that no head has, which is told before the rest of it arrives.

use super::bytes::value_length;

/// The lines that bytes begin with, of which more may arrive. Offsets are from the first byte.
#[derive(Debug, Default)]
pub struct Lines {
    /// Where the line begins that has not ended yet.
    start: usize,
    /// What is before there neither ends it nor spoils it.
    seen: usize,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A line without its end, and where it begins. It has no control character but the tab.
    Line(&'a [u8], usize),
    /// More has to arrive.
    Incomplete,
    /// A line feed without a carriage return: to some the end of a line, to others none.
    BareLineFeed,
    /// Another control character, or a carriage return alone.
    Control,
}

impl Lines {
    /// The next line of `bytes`, which begin the same way at every call.
    pub fn next<'a>(&mut self, bytes: &'a [u8]) -> Next<'a> {
        let fresh = bytes.get(self.seen..).unwrap_or_default();
        self.seen += value_length(fresh);
        match &bytes[self.seen..] {
            [] | [b'\r'] => Next::Incomplete,
            [b'\r', b'\n', ..] => {
                let at = self.start;
                let line = &bytes[at..self.seen];
                self.seen += 2;
                self.start = self.seen;
                Next::Line(line, at)
            }
            [b'\n', ..] => Next::BareLineFeed,
            _ => Next::Control,
        }
    }

    /// How many bytes the lines have that were given, with their ends.
    pub fn length(&self) -> usize {
        self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lines of `bytes`, of which `first` come before the others, and what ends them.
    fn lines(bytes: &[u8], first: usize) -> (Vec<&[u8]>, Next<'_>) {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for bytes in [&bytes[..first], bytes] {
            loop {
                match lines.next(bytes) {
                    Next::Line(line, at) => {
                        assert_eq!(lines.length(), at + line.len() + 2);
                        found.push(line);
                    }
                    Next::Incomplete => break,
                    end => return (found, end),
                }
            }
        }
        (found, Next::Incomplete)
    }

    #[test]
    fn a_line_ends_with_both_and_nothing_else_is_a_control_character() {
        for (bytes, found, end) in [
            ("a: b\r\n\r\nrest", &["a: b", ""][..], Next::Incomplete),
            ("a\tb\u{e4}\r\n", &["a\tb\u{e4}"], Next::Incomplete),
            ("a\r\nb\r", &["a"], Next::Incomplete),
            ("a\r\nb\n", &["a"], Next::BareLineFeed),
            ("a\r\n\n", &["a"], Next::BareLineFeed),
            ("a\rb\r\n", &[], Next::Control),
            ("a\r\r\n", &[], Next::Control),
            ("a\r\nb\0", &["a"], Next::Control),
            ("a\u{7f}\r\n", &[], Next::Control),
        ] {
            for first in 0..=bytes.len() {
                let (lines, last) = lines(bytes.as_bytes(), first);
                let found = found.iter().map(|line| line.as_bytes());
                assert!(lines.into_iter().eq(found), "{bytes:?}");
                assert_eq!(last, end, "{bytes:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn lines_are_those_that_a_search_for_their_ends_finds(
            text in "([a-z:, \t]{0,20}\r?\n?){0,6}",
            first in 0..60_usize,
        ) {
            let first = first.min(text.len());
            let (found, end) = lines(text.as_bytes(), first);
            let mut rest = text.as_str();
            for line in found {
                let (expected, behind) = rest.split_once("\r\n").unwrap();
                prop_assert_eq!(line, expected.as_bytes());
                rest = behind;
            }
            let is_incomplete = !rest.trim_end_matches('\r').contains(['\r', '\n'])
                && !rest.ends_with("\r\r");
            prop_assert_eq!(end == Next::Incomplete, is_incomplete);
        }
    }
}
