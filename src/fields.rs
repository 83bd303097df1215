//! The header fields of a message, in the order in which they came (RFC 9110 section 5).
//!
//! They stand one behind the other as the lines of an HTTP/1.1 head, so that a head which is passed on
//! is copied in a few long pieces, and memory is taken twice for all of them. That a field is not there,
//! which is what is asked mostly, one bit tells.
//!
//! Invariant: each line is a name, a colon, a blank, a value and CR LF, whatever it was made of.

pub mod name;

use std::fmt;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::syntax;
use name::MAX_NAME;
pub use name::{Name, Value};

/// What is between a name and its value.
const SEPARATOR: &[u8] = b": ";
/// What ends a line.
const END: &[u8] = b"\r\n";

/// Header fields.
#[derive(Clone, Default)]
pub struct Fields {
    /// The lines of all fields, those that were removed among them.
    text: Vec<u8>,
    lines: Vec<Line>,
    /// A bit for each mark that is there, and maybe some more.
    marks: u64,
}

/// One field, by where it is.
#[derive(Debug, Clone, Copy)]
struct Line {
    start: usize,
    /// Where the name ends.
    colon: usize,
    /// Where the value ends.
    end: usize,
    mark: u32,
    is_sensitive: bool,
}

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: Name<'a>,
    /// Its value.
    pub value: Value<'a>,
    /// Whether nobody may index it who passes it on (RFC 7541 section 6.2.3).
    pub is_sensitive: bool,
}

impl<'a> Field<'a> {
    /// A field that may be indexed.
    pub fn new(name: Name<'a>, value: Value<'a>) -> Self {
        Self {
            name,
            value,
            is_sensitive: false,
        }
    }
}

/// Names that are asked for together.
#[derive(Debug)]
pub struct NameSet<const N: usize> {
    names: [Name<'static>; N],
    /// A bit for the mark of each.
    marks: u64,
}

impl<const N: usize> NameSet<N> {
    /// These names.
    pub const fn new(names: [Name<'static>; N]) -> Self {
        let (mut marks, mut at) = (0, 0);
        while at < N {
            marks |= bit(names[at].mark());
            at += 1;
        }
        Self { names, marks }
    }
}

/// Why a line is no field (RFC 9112 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFault {
    /// It begins with white space: a line that was folded.
    Folded,
    /// White space before the colon.
    BlankBeforeColon,
    /// No colon.
    NoColon,
    /// A name with a byte that no name has.
    Name,
    /// A name that is longer than any can be.
    LongName,
    /// A control character.
    Control,
}

impl Fields {
    /// No fields yet, and room for `fields` whose lines have `bytes`.
    pub fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self {
            text: Vec::with_capacity(bytes),
            lines: Vec::with_capacity(fields),
            marks: 0,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.lines.iter().map(|line| self.field(*line))
    }

    /// Whether there is one with this name.
    #[inline]
    pub fn has(&self, name: Name<'_>) -> bool {
        self.all(name).next().is_some()
    }

    /// Whether there is one with any of these names.
    #[inline]
    pub fn has_any<const N: usize>(&self, names: &NameSet<N>) -> bool {
        let is_named = |line: &Line| {
            names.marks & bit(line.mark) != 0 && names.names.contains(&self.field(*line).name)
        };
        self.marks & names.marks != 0 && self.lines.iter().any(is_named)
    }

    /// Removes all with any of these names.
    #[inline]
    pub fn remove_any<const N: usize>(&mut self, names: &NameSet<N>) {
        if self.has_any(names) {
            self.retain(|field| !names.names.contains(&field.name));
        }
    }

    /// The value of the first with this name.
    #[inline]
    pub fn get(&self, name: Name<'_>) -> Option<Value<'_>> {
        self.all(name).next()
    }

    /// The value of the only one with this name; `None` also where there are several.
    pub fn only(&self, name: Name<'_>) -> Option<Value<'_>> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }

    /// The values of all with this name.
    #[inline]
    pub fn all<'a, 'n>(&'a self, name: Name<'n>) -> impl Iterator<Item = Value<'a>> + use<'a, 'n> {
        let lines = match self.marks & bit(name.mark()) {
            0 => &[],
            _ => &*self.lines,
        };
        lines
            .iter()
            .filter(move |line| line.mark == name.mark())
            .map(|line| self.field(*line))
            .filter(move |field| field.name == name)
            .map(|field| field.value)
    }

    /// Adds a field behind all others.
    #[inline]
    pub fn append(&mut self, name: Name<'_>, value: Value<'_>) {
        let start = self.text.len();
        self.text.extend_from_slice(name.as_bytes());
        let colon = self.text.len();
        self.text.extend_from_slice(SEPARATOR);
        self.text.extend_from_slice(&value);
        self.end_line(start, colon, name.mark());
    }

    /// Adds a field whose value is `number`.
    pub fn append_number(&mut self, name: Name<'_>, number: u64) {
        let digits = number.to_string();
        self.append(name, Value::known(digits.as_bytes()));
    }

    /// Adds the field of a line of an HTTP/1 section without its end, and gives it.
    ///
    /// # Errors
    /// Why it is none.
    pub fn append_line(&mut self, line: &[u8]) -> Result<Field<'_>, LineFault> {
        match syntax::are_value(line) {
            true => self.append_clean_line(line),
            false => Err(LineFault::Control),
        }
    }

    /// The same of a line that was found to have no control character but the tab.
    ///
    /// # Errors
    /// Why it is none.
    pub fn append_clean_line(&mut self, line: &[u8]) -> Result<Field<'_>, LineFault> {
        let start = self.text.len();
        // Most lines are already as they have to be but for capitals.
        self.text.extend_from_slice(line);
        let length = syntax::lower_token(&mut self.text[start..]);
        if let Err(fault) = judge(line, length) {
            self.text.truncate(start);
            return Err(fault);
        }
        let colon = start + length;
        if !is_usual(&line[length + 1..]) {
            self.text.truncate(colon);
            self.text.extend_from_slice(SEPARATOR);
            self.text.extend_from_slice(trimmed(&line[length + 1..]));
        }
        let mark = Name::known(&self.text[start..colon]).mark();
        Ok(self.end_line(start, colon, mark))
    }

    /// Leaves one field with this name, and this value.
    pub fn set(&mut self, name: Name<'_>, value: Value<'_>) {
        self.remove(name);
        self.append(name, value);
    }

    /// Removes all with this name; whether there was one.
    #[inline]
    pub fn remove(&mut self, name: Name<'_>) -> bool {
        self.has(name) && {
            self.retain(|field| field.name != name);
            true
        }
    }

    /// Removes all but those for which `is_kept` is true.
    pub fn retain(&mut self, is_kept: impl Fn(Field<'_>) -> bool) {
        let text = &self.text;
        self.lines.retain(|line| is_kept(field(text, *line)));
    }

    /// Writes them as the lines of an HTTP/1.1 head.
    pub fn encode(&self, head: &mut Vec<u8>) {
        let mut piece = 0..0;
        for line in &self.lines {
            if line.start != piece.end {
                head.extend_from_slice(&self.text[piece]);
                piece = line.start..line.start;
            }
            piece.end = line.end + END.len();
        }
        head.extend_from_slice(&self.text[piece]);
    }

    /// How many bytes [`Self::encode`] writes, at most.
    pub fn encoded_length(&self) -> usize {
        self.text.len()
    }

    /// Ends a line which is the last of all text, whose name is from `start` to `colon`.
    #[inline]
    fn end_line(&mut self, start: usize, colon: usize, mark: u32) -> Field<'_> {
        let line = Line {
            start,
            colon,
            end: self.text.len(),
            mark,
            is_sensitive: false,
        };
        self.text.extend_from_slice(END);
        self.lines.push(line);
        self.marks |= bit(mark);
        self.field(line)
    }

    fn field(&self, line: Line) -> Field<'_> {
        field(&self.text, line)
    }
}

fn field(text: &[u8], line: Line) -> Field<'_> {
    Field {
        name: Name::marked(&text[line.start..line.colon], line.mark),
        value: Value::known(&text[line.colon + SEPARATOR.len()..line.end]),
        is_sensitive: line.is_sensitive,
    }
}

/// Whether `line`, which begins with `length` bytes of a name, is a field.
fn judge(line: &[u8], length: usize) -> Result<(), LineFault> {
    match line.get(length) {
        Some(b':') if length > MAX_NAME => Err(LineFault::LongName),
        Some(b':') if length > 0 => Ok(()),
        Some(b' ' | b'\t') if length == 0 => Err(LineFault::Folded),
        Some(b' ' | b'\t') => Err(LineFault::BlankBeforeColon),
        None => Err(LineFault::NoColon),
        Some(_) => Err(LineFault::Name),
    }
}

/// Whether what is behind a colon is a blank, and a value without white space around it.
fn is_usual(value: &[u8]) -> bool {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    match value {
        [b' ', value @ ..] => match value {
            [only] => !is_blank(only),
            [first, .., last] => !is_blank(first) && !is_blank(last),
            [] => true,
        },
        _ => false,
    }
}

/// One of 64 bits for a mark.
const fn bit(mark: u32) -> u64 {
    1 << (mark >> 26)
}

/// `value` without the white space around it (RFC 9112 section 5.1).
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// As the `http` crate has one.
impl<'a> From<(&'a HeaderName, &'a HeaderValue)> for Field<'a> {
    fn from((name, value): (&'a HeaderName, &'a HeaderValue)) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            is_sensitive: value.is_sensitive(),
        }
    }
}

/// As the `http` crate has them, which takes a quote for part of a name: whoever gave them has seen to
/// that.
impl From<&HeaderMap> for Fields {
    fn from(map: &HeaderMap) -> Self {
        let bytes = map
            .iter()
            .map(|(name, value)| name.as_str().len() + SEPARATOR.len() + value.len() + END.len());
        let mut fields = Self::with_capacity(map.len(), bytes.sum());
        for field in map.into_iter().map(Field::from) {
            fields.append(field.name, field.value);
            if let Some(line) = fields.lines.last_mut() {
                line.is_sensitive = field.is_sensitive;
            }
        }
        fields
    }
}

/// For whoever needs them as the `http` crate has them, which takes no names beyond 64 KiB.
impl TryFrom<&Fields> for HeaderMap {
    type Error = http::Error;

    fn try_from(fields: &Fields) -> Result<Self, http::Error> {
        let mut map = Self::try_with_capacity(fields.len())?;
        for field in fields.iter() {
            let name = HeaderName::from_bytes(field.name.as_bytes())?;
            let mut value = HeaderValue::from_bytes(&field.value)?;
            value.set_sensitive(field.is_sensitive);
            map.try_append(name, value)?;
        }
        Ok(map)
    }
}

/// No value is told: there may be secrets among them.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|field| field.name))
            .finish()
    }
}

impl LineFault {
    /// What is wrong, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Folded => "a header line begins with white space",
            Self::BlankBeforeColon => "white space before the colon of a header",
            Self::NoColon => "a header line without a colon",
            Self::Name => "a header name with a byte that no name has",
            Self::LongName => "a header name of more than 65535 bytes",
            Self::Control => "a control character in a header",
        }
    }
}

#[cfg(test)]
pub(crate) mod fixtures {
    use super::*;

    /// Fields of which each is a name and a value.
    pub(crate) fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.append(
                Name::new(name.as_bytes()).unwrap(),
                Value::new(value.as_bytes()).unwrap(),
            );
        }
        fields
    }

    /// The names of `fields`.
    pub(crate) fn names(fields: &Fields) -> Vec<String> {
        let name = |field: Field<'_>| String::from_utf8(field.name.as_bytes().to_vec()).unwrap();
        fields.iter().map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::fixtures::fields;
    use super::*;
    use proptest::prelude::*;

    /// `fields` as lines.
    fn text(fields: &Fields) -> String {
        let mut head = Vec::new();
        fields.encode(&mut head);
        String::from_utf8(head).unwrap()
    }

    #[test]
    fn what_is_removed_is_gone_and_the_rest_keeps_its_order() {
        let mut some = fields(&[("a", "1"), ("host", "h"), ("a", "2"), ("b", ""), ("a", "3")]);
        assert_eq!(text(&some), "a: 1\r\nhost: h\r\na: 2\r\nb: \r\na: 3\r\n");
        let a = Name::from_static("a");
        assert!(some.all(a).eq(["1", "2", "3"].map(Value::from_static)));
        assert!(some.only(a).is_none() && some.only(name::HOST).is_some());
        assert!(some.remove(name::HOST) && !some.remove(name::HOST));
        assert!(!some.has(name::HOST));
        assert_eq!(text(&some), "a: 1\r\na: 2\r\nb: \r\na: 3\r\n");
        some.set(a, Value::from_static("4"));
        assert_eq!(text(&some), "b: \r\na: 4\r\n");
        some.remove(Name::from_static("b"));
        some.remove(a);
        assert_eq!((text(&some).as_str(), some.len()), ("", 0));
    }

    #[test]
    fn names_are_asked_for_and_removed_together() {
        const NAMES: NameSet<2> = NameSet::new([name::HOST, name::TE]);
        let mut some = fields(&[("a", "1"), ("te", "2"), ("b", "3"), ("te", "4")]);
        assert!(some.has_any(&NAMES));
        some.remove_any(&NAMES);
        assert_eq!(text(&some), "a: 1\r\nb: 3\r\n");
        assert!(!some.has_any(&NAMES));
    }

    #[test]
    fn a_line_becomes_a_field_in_lower_case_without_the_white_space_around_it() {
        let mut some = Fields::default();
        for line in ["X-A:b", "Content-Length: \t 5 \t", "E:", "W:  ", "I: a  b"] {
            some.append_line(line.as_bytes()).unwrap();
        }
        assert_eq!(
            text(&some),
            "x-a: b\r\ncontent-length: 5\r\ne: \r\nw: \r\ni: a  b\r\n"
        );
        assert_eq!(some.get(name::CONTENT_LENGTH).unwrap(), "5");
        for (none, fault) in [
            (" a: b", LineFault::Folded),
            ("\ta: b", LineFault::Folded),
            ("a : b", LineFault::BlankBeforeColon),
            ("a", LineFault::NoColon),
            ("", LineFault::NoColon),
            (": b", LineFault::Name),
            ("a\"b: c", LineFault::Name),
            ("ä: b", LineFault::Name),
            ("a: b\rc", LineFault::Control),
            ("a: b\0", LineFault::Control),
        ] {
            assert_eq!(some.append_line(none.as_bytes()), Err(fault), "{none:?}");
        }
        assert_eq!(some.len(), 5);
    }

    #[test]
    fn no_value_is_in_what_is_logged() {
        let logged = format!("{:?}", fields(&[("cookie", "secret")]));
        assert_eq!(logged, r#"["cookie"]"#);
    }

    proptest! {
        #[test]
        fn fields_are_what_a_map_of_the_http_crate_is(
            lines in proptest::collection::vec(("[a-c!-]{1,10}", "[ -~\t\u{e4}]{0,20}"), 0..12),
            removed in "[a-c]{1,2}",
        ) {
            let (mut some, mut map) = (Fields::default(), HeaderMap::new());
            for (name, value) in &lines {
                let line = format!("{name}:{value}");
                some.append_line(line.as_bytes()).unwrap();
                let trimmed = value.trim_matches([' ', '\t']);
                let value = HeaderValue::from_bytes(trimmed.as_bytes()).unwrap();
                map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
            }
            prop_assert_eq!(HeaderMap::try_from(&some).unwrap(), map.clone());
            let name = Name::new(removed.as_bytes()).unwrap();
            let theirs = HeaderName::from_bytes(removed.as_bytes()).unwrap();
            prop_assert!(some.all(name).eq(map.get_all(&theirs).iter().map(Value::from)));
            prop_assert_eq!(some.remove(name), map.remove(&theirs).is_some());
            prop_assert_eq!(HeaderMap::try_from(&some).unwrap(), map.clone());
            prop_assert_eq!(HeaderMap::try_from(&Fields::from(&map)).unwrap(), map);
        }
    }
}
