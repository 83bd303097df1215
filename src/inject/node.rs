//! A stream of YAML documents as a tree that knows where each node stands in the text.
//!
//! What the parser tells in characters is turned into bytes here, and nowhere else is the parser
//! named. Invariant: `text[start..end]` of a node is what a person would call that node: no white
//! space, comment or indicator around it, and of a block scalar no blank lines that do not count.

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

/// Deeper than any manifest; what is deeper is meant to exhaust somebody's stack.
const DEEPEST: usize = 128;

/// One document of the stream.
#[derive(Debug)]
pub(super) struct Document {
    /// Its root; null where nothing was written.
    pub(super) root: Node,
}

/// A node and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Its first byte.
    pub(super) start: usize,
    /// Behind its last byte.
    pub(super) end: usize,
    /// The line of its first byte, from 1.
    pub(super) line: usize,
    /// The number of its anchor, or 0.
    pub(super) anchor: usize,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Kind {
    Scalar { text: String, form: Form },
    List { items: Vec<Node>, flow: bool },
    Map { pairs: Vec<Pair>, flow: bool },
    Alias(usize),
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: Node,
    pub(super) value: Node,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Plain,
    Quoted,
    Block,
}

/// Why the text could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// From 1.
    pub(super) line: usize,
    pub(super) words: String,
}

impl Node {
    /// The value of `key`, where this is a map that has it.
    pub(super) fn at(&self, key: &str) -> Option<&Node> {
        self.pair(key).map(|pair| &pair.value)
    }

    /// The pair of `key`, where this is a map that has it.
    pub(super) fn pair(&self, key: &str) -> Option<&Pair> {
        self.pairs()
            .iter()
            .find(|pair| pair.key.text() == Some(key))
    }

    /// The pairs of a map; none of anything else.
    pub(super) fn pairs(&self) -> &[Pair] {
        match &self.kind {
            Kind::Map { pairs, .. } => pairs,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub(super) fn items(&self) -> &[Node] {
        match &self.kind {
            Kind::List { items, .. } => items,
            _ => &[],
        }
    }

    /// The text of a scalar that is not null.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// Whether nothing is written here, or the word for it.
    pub(super) fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, form } => {
                *form == Form::Plain && ["", "~", "null", "Null", "NULL"].contains(&text.as_str())
            }
            _ => false,
        }
    }

    /// Whether nothing is written here.
    pub(super) fn is_absent(&self) -> bool {
        self.is_null() && self.start == self.end
    }

    /// Whether it is written in braces or brackets.
    pub(super) fn is_flow(&self) -> bool {
        matches!(
            self.kind,
            Kind::Map { flow: true, .. } | Kind::List { flow: true, .. }
        )
    }

    /// Every node of this tree, each before those below it.
    pub(super) fn walk<'a>(&'a self, depth: usize, visit: &mut dyn FnMut(usize, &'a Node)) {
        visit(depth, self);
        match &self.kind {
            Kind::Map { pairs, .. } => pairs.iter().for_each(|pair| {
                pair.key.walk(depth + 1, visit);
                pair.value.walk(depth + 1, visit);
            }),
            Kind::List { items, .. } => items.iter().for_each(|item| item.walk(depth + 1, visit)),
            Kind::Scalar { .. } | Kind::Alias(_) => {}
        }
    }
}

/// The documents of `text`; a line is told as `line` has it.
pub(super) fn documents(
    text: &str,
    line: &dyn Fn(usize) -> usize,
) -> Result<Vec<Document>, Unreadable> {
    let mut reading = Reading {
        text,
        line,
        bytes: text.char_indices().map(|(at, _)| at).collect(),
        open: Vec::new(),
        documents: Vec::new(),
    };
    reading.bytes.push(text.len());
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| unreadable(&error, line))?;
        reading.take(event, span)?;
    }
    Ok(reading.documents)
}

fn unreadable(error: &ScanError, line: &dyn Fn(usize) -> usize) -> Unreadable {
    Unreadable {
        line: line(error.marker().line()),
        words: error.info().to_owned(),
    }
}

/// A tree that is being put together.
struct Reading<'a> {
    text: &'a str,
    line: &'a dyn Fn(usize) -> usize,
    /// Where each character begins.
    bytes: Vec<usize>,
    /// The collections that have begun and not ended, the outermost first.
    open: Vec<Open>,
    documents: Vec<Document>,
}

/// A collection without its end.
struct Open {
    node: Node,
    /// The key that waits for its value.
    key: Option<Node>,
}

impl Reading<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Unreadable> {
        match event {
            Event::Alias(anchor) => self.put(self.node(Kind::Alias(anchor), span, 0)),
            Event::Scalar(text, style, anchor, _) => {
                let node = self.scalar(text, style, span);
                self.put(Node { anchor, ..node });
            }
            Event::SequenceStart(anchor, _) => {
                let (items, flow) = (Vec::new(), false);
                let kind = Kind::List { items, flow };
                self.begin(self.node(kind, span, anchor))?;
            }
            Event::MappingStart(anchor, _) => {
                let (pairs, flow) = (Vec::new(), false);
                let kind = Kind::Map { pairs, flow };
                self.begin(self.node(kind, span, anchor))?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.finish(span),
            _ => {}
        }
        Ok(())
    }

    fn byte(&self, character: usize) -> usize {
        let last = self.text.len();
        self.bytes.get(character).copied().unwrap_or(last)
    }

    fn node(&self, kind: Kind, span: Span, anchor: usize) -> Node {
        Node {
            kind,
            start: self.byte(span.start.index()),
            end: self.byte(span.end.index()),
            line: (self.line)(span.start.line()),
            anchor,
        }
    }

    fn scalar(&self, text: Cow<'_, str>, style: ScalarStyle, span: Span) -> Node {
        let form = match style {
            ScalarStyle::Plain => Form::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Form::Quoted,
            ScalarStyle::Literal | ScalarStyle::Folded => Form::Block,
        };
        let text = text.into_owned();
        let nothing = form == Form::Plain && text.is_empty();
        let kept = text.ends_with("\n\n") || text == "\n";
        let mut node = self.node(Kind::Scalar { text, form }, span, 0);
        if nothing {
            node.end = node.start;
        }
        if form == Form::Block {
            let written = &self.text[node.start..node.end];
            let counts = match kept {
                // Blank lines that are kept count, the indentation of what follows does not.
                true => without_one_line_break(written.trim_end_matches([' ', '\t'])),
                false => written.trim_end(),
            };
            node.end = node.start + counts.len();
        }
        node
    }

    fn begin(&mut self, node: Node) -> Result<(), Unreadable> {
        if self.open.len() == DEEPEST {
            return Err(Unreadable {
                line: node.line,
                words: format!("nested deeper than {DEEPEST} levels"),
            });
        }
        self.open.push(Open { node, key: None });
        Ok(())
    }

    fn finish(&mut self, span: Span) {
        let Some(Open { mut node, .. }) = self.open.pop() else {
            return;
        };
        // What has no bracket to end with ends with what is last in it.
        let end = self.byte(span.start.index());
        let bracket = (!span.is_empty())
            .then(|| closing(self.text, end))
            .flatten();
        let bracketed = bracket.is_some();
        let last = match &mut node.kind {
            Kind::Map { pairs, flow } => {
                *flow = bracketed;
                pairs.last().map(|pair| pair.value.end)
            }
            Kind::List { items, flow } => {
                *flow = bracketed;
                items.last().map(|item| item.end)
            }
            Kind::Scalar { .. } | Kind::Alias(_) => None,
        };
        node.end = bracket.or(last).unwrap_or(end);
        self.put(node);
    }

    fn put(&mut self, mut node: Node) {
        let Some(open) = self.open.last_mut() else {
            self.documents.push(Document { root: node });
            return;
        };
        match &mut open.node.kind {
            Kind::List { items, .. } => items.push(node),
            Kind::Map { pairs, .. } => match open.key.take() {
                None => open.key = Some(node),
                Some(key) => {
                    // Where nothing is written, the parser tells what comes next.
                    if node.is_null() && node.start == node.end {
                        (node.start, node.end) = (key.end, key.end);
                        node.line = key.line;
                    }
                    pairs.push(Pair { key, value: node });
                }
            },
            Kind::Scalar { .. } | Kind::Alias(_) => {}
        }
    }
}

/// Behind the bracket that closes, which is at `place` or behind a last comma there.
fn closing(text: &str, place: usize) -> Option<usize> {
    let mut rest = &text[place..];
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ',']);
        match rest.strip_prefix('#') {
            Some(remark) => rest = &remark[remark.find('\n')?..],
            None => break,
        }
    }
    rest.starts_with([']', '}'])
        .then_some(text.len() - rest.len() + 1)
}

fn without_one_line_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}
