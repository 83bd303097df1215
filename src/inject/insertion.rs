//! Where in a text something new goes, and in which form, so that it looks like its neighbours.
//!
//! Invariant: nothing that was there is changed but a written-out `null`, which the record of the
//! injection remembers.

use super::node::{Node, Pair};
use super::piece::{Piece, Style, compact_pair, pair_lines, quoted};
use super::text::{Edit, column, dash, indentation, line_break, line_end};

/// Something new.
#[derive(Debug)]
pub(super) enum Insertion<'a> {
    /// Pairs behind those of a map.
    Pairs(&'a Node, Vec<(&'static str, Piece)>),
    /// An item before those of the list that this pair has.
    First(&'a Pair, Piece),
    /// An item behind those of a list.
    Last(&'a Node, Piece),
    /// The value of a pair that has none.
    Value(&'a Pair, Piece),
}

/// The lines do not have a shape that something can be put between.
#[derive(Debug)]
pub(super) struct OddLayout {
    pub(super) line: usize,
}

impl<'a> Insertion<'a> {
    /// The edit that makes it.
    pub(super) fn edit(&self, text: &str, style: Style) -> Result<Edit, OddLayout> {
        match self {
            Self::Pairs(map, pairs) if map.is_flow() => Ok(pairs_in_braces(text, map, pairs)),
            Self::Pairs(map, pairs) => {
                let odd = OddLayout { line: map.line };
                let first = map.pairs().first().ok_or(odd)?;
                let column = column_of(text, &first.key)?;
                let pairs = pairs.iter();
                let lines = pairs.flat_map(|(key, value)| pair_lines(key, value, column, style));
                let place = behind_remarks(text, map.end, column);
                Ok(below(text, place, &lines.collect::<Vec<_>>(), map.start))
            }
            Self::First(pair, item) if pair.value.is_flow() => {
                Ok(first_in_brackets(text, &pair.value, item))
            }
            Self::First(pair, item) => {
                let lines = item_lines(text, &pair.value, item, style)?;
                Ok(below(text, pair.key.end, &lines, pair.value.start))
            }
            Self::Last(list, item) if list.is_flow() => Ok(last_in_brackets(text, list, item)),
            Self::Last(list, item) => {
                let lines = item_lines(text, list, item, style)?;
                let column = lines.first().map_or(0, |line| indentation(line, 0).len());
                let place = behind_remarks(text, list.end, column);
                Ok(below(text, place, &lines, list.start))
            }
            Self::Value(pair, piece) if pair.value.is_absent() => {
                let lines = piece.lines_below(column_of(text, &pair.key)?, style);
                Ok(below(text, pair.key.end, &lines, pair.key.start))
            }
            Self::Value(pair, piece) => Ok(Edit {
                range: pair.value.start..pair.value.end,
                text: piece.compact(),
                of: pair.value.start,
            }),
        }
    }

    /// The node of the old text that another takes the place of.
    pub(super) fn replaced(&self) -> Option<&'a Node> {
        match self {
            Self::Value(pair, _) => Some(&pair.value),
            // A list without brackets begins with its first item.
            Self::First(pair, _) if !pair.value.is_flow() => Some(&pair.value),
            _ => None,
        }
    }
}

/// How the file around `home` and its `spec` is written.
pub(super) fn style(text: &str, home: &Node, spec: &Node) -> Style {
    let distance = |from: Option<usize>, to: Option<usize>| to?.checked_sub(from?);
    let column_of = |node: &Node| column(text, node).filter(|_| !home.is_flow());
    let spec_key = home.pair("spec").and_then(|pair| column_of(&pair.key));
    let inner = spec.pairs().first().and_then(|pair| column_of(&pair.key));
    let containers = spec.pair("containers").filter(|pair| !pair.value.is_flow());
    let dashes = containers.and_then(|pair| {
        let at = dash(text, pair.value.items().first()?)?;
        let from = column_of(&pair.key)?;
        distance(Some(from), Some(indentation(text, at).len()))
    });
    Style {
        step: distance(spec_key, inner)
            .filter(|step| (1..=8).contains(step))
            .unwrap_or(2),
        dash: dashes.filter(|dash| *dash <= 8).unwrap_or(2),
    }
}

fn column_of(text: &str, key: &Node) -> Result<usize, OddLayout> {
    column(text, key).ok_or(OddLayout { line: key.line })
}

fn item_lines(
    text: &str,
    list: &Node,
    item: &Piece,
    style: Style,
) -> Result<Vec<String>, OddLayout> {
    let odd = OddLayout { line: list.line };
    let first = list.items().first().and_then(|first| dash(text, first));
    let column = indentation(text, first.ok_or(odd)?).len();
    Ok(item.item_lines(column, style))
}

/// Behind `place` and the remarks right below it that belong to what is deeper than `column`.
fn behind_remarks(text: &str, place: usize, column: usize) -> usize {
    let mut end = line_end(text, place);
    while let Some(next) = text[end..].find('\n').map(|at| end + at + 1) {
        let indent = indentation(text, next).len();
        if indent <= column || !text[next + indent..].starts_with('#') {
            break;
        }
        end = line_end(text, next);
    }
    end
}

/// Lines below the one that `place` is in.
fn below(text: &str, place: usize, lines: &[String], of: usize) -> Edit {
    let at = line_end(text, place);
    let line_end = line_break(text, at);
    let lines = lines.iter().map(|line| format!("{line_end}{line}"));
    Edit {
        range: at..at,
        text: lines.collect(),
        of,
    }
}

/// What stands between the items of a bracket: line break and indentation, or a blank.
struct Between<'a> {
    indent: &'a str,
    unit: &'a str,
    line_end: &'static str,
}

impl<'a> Between<'a> {
    /// As between the items that are there; `None` where they stand on the bracket's own line.
    fn of(text: &'a str, bracket: &Node, first: &Node) -> Option<Self> {
        let indent = indentation(text, first.start);
        let outer = indentation(text, bracket.start);
        let unit = indent.strip_prefix(outer).filter(|unit| !unit.is_empty());
        (first.line > bracket.line).then_some(Self {
            indent,
            unit: unit.unwrap_or("  "),
            line_end: line_break(text, first.start),
        })
    }

    fn written(&self, piece: &Piece) -> String {
        piece.spread(self.indent, self.unit, self.line_end)
    }

    fn gap(&self) -> String {
        format!(",{}{}", self.line_end, self.indent)
    }
}

fn pairs_in_braces(text: &str, map: &Node, pairs: &[(&'static str, Piece)]) -> Edit {
    let Some(last) = map.pairs().last() else {
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(key, value)| compact_pair(key, value))
            .collect();
        return at(map.end - 1, pairs.join(", "), map);
    };
    let first = &map.pairs()[0].key;
    let between = Between::of(text, map, first);
    let pair = |(key, value): &(&'static str, Piece)| match &between {
        Some(lines) => format!("{}{}: {}", lines.gap(), quoted(key), lines.written(value)),
        None => format!(", {}", compact_pair(key, value)),
    };
    at(last.value.end, pairs.iter().map(pair).collect(), map)
}

fn first_in_brackets(text: &str, list: &Node, item: &Piece) -> Edit {
    let Some(first) = list.items().first() else {
        return at(list.end - 1, item.compact(), list);
    };
    let text = match Between::of(text, list, first) {
        Some(lines) => format!("{}{}", lines.written(item), lines.gap()),
        None => format!("{}, ", item.compact()),
    };
    at(first.start, text, list)
}

fn last_in_brackets(text: &str, list: &Node, item: &Piece) -> Edit {
    let (Some(first), Some(last)) = (list.items().first(), list.items().last()) else {
        return at(list.end - 1, item.compact(), list);
    };
    let text = match Between::of(text, list, first) {
        Some(lines) => format!("{}{}", lines.gap(), lines.written(item)),
        None => format!(", {}", item.compact()),
    };
    at(last.end, text, list)
}

fn at(place: usize, text: String, of: &Node) -> Edit {
    Edit {
        range: place..place,
        text,
        of: of.start,
    }
}
