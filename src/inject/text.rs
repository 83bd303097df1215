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
    /// What was put in, in places of the new text and in their order.
    put_in: Vec<Range<usize>>,
    /// Where each edit began in the old text, and how far what follows it has moved.
    moves: Vec<(usize, isize)>,
    /// The last line of the new text before each edit, and how many lines were lost by then.
    lost: Vec<(usize, isize)>,
}

impl Edited {
    /// `text` with its edits, which do not overlap.
    pub(super) fn new(text: &str, mut edits: Vec<Edit>) -> Self {
        edits.sort_by_key(|edit| (edit.range.start, usize::MAX - edit.of));
        let breaks = |text: &str| text.matches('\n').count();
        let mut edited = Self {
            text: String::with_capacity(text.len() + 4096 * edits.len()),
            put_in: Vec::new(),
            moves: Vec::new(),
            lost: Vec::new(),
        };
        let (mut at, mut line) = (0, 1);
        let (mut moved, mut lost) = (0, 0);
        for Edit {
            range, text: new, ..
        } in &edits
        {
            let between = &text[at..range.start.max(at)];
            edited.text.push_str(between);
            let start = edited.text.len();
            edited.text.push_str(new);
            edited.put_in.push(start..edited.text.len());
            at = range.end.max(at);
            line += breaks(between);
            let (gone, come) = (&text[range.clone()], new.as_str());
            moved += come.len().cast_signed() - gone.len().cast_signed();
            lost += breaks(gone).cast_signed() - breaks(come).cast_signed();
            edited.moves.push((range.start, moved));
            edited.lost.push((line, lost));
            line += breaks(come);
        }
        edited.text.push_str(&text[at..]);
        edited
    }

    /// Where a place of the old text is in the new one.
    pub(super) fn moved(&self, place: usize) -> usize {
        let before = self.moves.partition_point(|(start, _)| *start <= place);
        let by = before.checked_sub(1).map_or(0, |last| self.moves[last].1);
        place.saturating_add_signed(by)
    }

    /// The line of the old text that a line of the new one was.
    pub(super) fn old_line(&self, line: usize) -> usize {
        let before = self.lost.partition_point(|(last, _)| *last < line);
        let lost = before.checked_sub(1).map_or(0, |last| self.lost[last].1);
        line.saturating_add_signed(lost)
    }

    /// Whether what is at a place of the new text was put in.
    pub(super) fn is_new(&self, place: usize) -> bool {
        let next = self.put_in.partition_point(|range| range.end <= place);
        self.put_in
            .get(next)
            .is_some_and(|range| range.contains(&place))
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
