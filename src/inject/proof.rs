//! What was made is looked at once more before anybody gets it.
//!
//! Splicing text can go wrong where text means more than it seems to. Invariant: every node of the
//! old text is in the new one, at its place, at its depth and with its value, and besides them only
//! what was put in.

use super::node::{Document, Kind, Node};
use super::text::Edited;

/// The line of the old text where the new one is not what it should be.
pub(super) fn difference(
    old: &[Document],
    new: &[Document],
    edited: &Edited,
    replaced: &[&Node],
) -> Option<usize> {
    let is_replaced = |node: &Node| replaced.iter().any(|other| std::ptr::eq(*other, node));
    let mut expected = Vec::new();
    for document in old {
        document.root.walk(0, &mut |depth, node| {
            if !is_replaced(node) {
                expected.push((depth, edited.moved(node.start), node));
            }
        });
    }
    let mut found = Vec::new();
    for document in new {
        document.root.walk(0, &mut |depth, node| {
            if !edited.is_new(node.start) {
                found.push((depth, node.start, node));
            }
        });
    }
    let same = |(one, other): &(&(usize, usize, &Node), &(usize, usize, &Node))| {
        one.0 == other.0 && one.1 == other.1 && means(one.2) == means(other.2)
    };
    let first = expected.iter().zip(&found).find(|pair| !same(pair));
    let line = first.map(|((.., node), _)| node.line);
    let lost = (expected.len() != found.len()).then(|| {
        let last = expected.last();
        last.map_or(1, |(.., node)| node.line)
    });
    line.or(lost).or((old.len() != new.len()).then_some(1))
}

/// What a node is, without what is in it.
fn means(node: &Node) -> (&str, usize) {
    match &node.kind {
        Kind::Scalar { text, form } => (text, *form as usize),
        Kind::List { .. } => ("[", 10),
        Kind::Map { .. } => ("{", 11),
        Kind::Alias(anchor) => ("*", 12 + anchor),
    }
}
