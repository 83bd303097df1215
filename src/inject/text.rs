//! Places in a text, and edits that leave every other byte as it is.
//!
//! Invariant: what is put in between lines is put in behind a line and takes that line's end with
//! it, so that taking it out again is the same step backwards, also at the end of a file that has
//! no last line end.

use std::ops::Range;

use super::node::Node;

/// Bytes to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// What goes; empty where something only comes.
    pub(super) range: Range<usize>,
    /// What comes.
    pub(super) text: String,
    /// Where the node that changes begins: of edits at one place the inner one comes first.
    pub(super) of: usize,
}

/// A text after its edits.
#[derive(Debug)]
pub(super) struct Edited {
    pub(super) text: String,
    /// What was put in, in places of the new text.
    pub(super) put_in: Vec<Range<usize>>,
    edits: Vec<Edit>,
}

impl Edited {
    /// `text` with its edits, which do not overlap.
    pub(super) fn new(text: &str, mut edits: Vec<Edit>) -> Self {
        edits.sort_by_key(|edit| (edit.range.start, usize::MAX - edit.of));
        let mut new = String::with_capacity(text.len() + 4096 * edits.len());
        let mut put_in = Vec::new();
        let mut at = 0;
        for edit in &edits {
            new.push_str(&text[at..edit.range.start.max(at)]);
            put_in.push(new.len()..new.len() + edit.text.len());
            new.push_str(&edit.text);
            at = edit.range.end.max(at);
        }
        new.push_str(&text[at..]);
        Self {
            text: new,
            put_in,
            edits,
        }
    }

    /// Where a place of the old text is in the new one.
    pub(super) fn moved(&self, place: usize) -> usize {
        let before = self.edits.iter().filter(|edit| edit.range.start <= place);
        before.fold(place, |place, edit| {
            place + edit.text.len() - edit.range.len()
        })
    }

    /// The line of `old` that a line of the new text was.
    pub(super) fn old_line(&self, old: &str, line: usize) -> usize {
        let breaks = |text: &str| text.matches('\n').count();
        let mut gone = 0;
        for edit in &self.edits {
            let here = breaks(&old[..edit.range.start]) + 1 - gone;
            if here >= line {
                break;
            }
            gone += breaks(&old[edit.range.clone()]) - breaks(&edit.text);
        }
        line + gone
    }
}

/// The end of the line of `place`, without the characters that end it.
pub(super) fn line_end(text: &str, place: usize) -> usize {
    let rest = &text[place..];
    let line = rest.split('\n').next().unwrap_or_default();
    place + line.strip_suffix('\r').unwrap_or(line).len()
}

/// The beginning of the line of `place`.
pub(super) fn line_start(text: &str, place: usize) -> usize {
    text[..place].rfind('\n').map_or(0, |at| at + 1)
}

/// The end of the line before that of `place`.
pub(super) fn end_of_line_before(text: &str, place: usize) -> usize {
    let before = &text[..line_start(text, place)];
    let before = before.strip_suffix('\n').unwrap_or(before);
    before.strip_suffix('\r').unwrap_or(before).len()
}

/// What ends lines near `place`.
pub(super) fn line_break(text: &str, place: usize) -> &'static str {
    let next = text[place..].find('\n').map(|at| place + at);
    match next.or_else(|| text[..place].rfind('\n')) {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// The column of a node, when there is nothing but indentation and dashes before it.
pub(super) fn column(text: &str, node: &Node) -> Option<usize> {
    let before = &text[line_start(text, node.start)..node.start];
    let before = before.strip_prefix('\u{feff}').unwrap_or(before);
    before
        .bytes()
        .all(|byte| b" -".contains(&byte))
        .then_some(before.len())
}

/// The place of the dash before an item, when there is nothing but indentation before it.
pub(super) fn dash(text: &str, item: &Node) -> Option<usize> {
    let before = text[..item.start].trim_end_matches([' ', '\t', '\r', '\n']);
    let at = before.strip_suffix('-')?.len();
    let indent = &text[line_start(text, at)..at];
    indent.bytes().all(|byte| byte == b' ').then_some(at)
}

/// The white space that the line of `place` begins with.
pub(super) fn indentation(text: &str, place: usize) -> &str {
    let line = &text[line_start(text, place)..];
    let rest = line.trim_start_matches([' ', '\t']);
    &line[..line.len() - rest.len()]
}
