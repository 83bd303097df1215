//! Header blocks of peers, decoded.
//!
//! The fields that a peer repeats are in the table as they are given away. What is kept owns memory of
//! its own, as large as itself, whatever it came in. A field that HTTP does not allow is one all the same:
//! it has its place in the table, so that the indices of the others stay right.

use bytes::Bytes;

use super::integer::Reader;
use super::table::Table;
use super::{Field, Malformed, OVERHEAD, Pseudo, huffman, predefined};
use crate::fields::{Name, Value};

/// Sizes of the table that may be told at the beginning of a block (RFC 7541 section 4.2).
const MOST_SIZES: usize = 2;

/// Decodes the header blocks of one connection, in the order in which they come.
#[derive(Debug)]
pub struct Decoder {
    table: Table<Entry>,
    /// Bytes that the client may let the table have.
    most: usize,
    /// The name of a literal field, where it is neither in the block nor predefined. What is in it is of
    /// no use behind that field.
    name: Vec<u8>,
    /// A value that was coded, likewise.
    value: Vec<u8>,
}

/// A field that an index may stand for.
#[derive(Debug)]
struct Entry {
    kept: Kept,
    /// Bytes of its name, which may not be kept.
    name_length: usize,
}

/// What is kept of a field.
#[derive(Debug)]
enum Kept {
    Pseudo(Pseudo, Bytes),
    Header {
        /// The name, and the value behind it.
        text: Box<[u8]>,
        mark: u32,
    },
    Malformed(usize),
}

/// The name of a literal field.
enum Named<'a> {
    Pseudo(Pseudo),
    Header(Name<'a>),
    Malformed,
}

/// Where a field goes beside to whoever asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Into {
    Table,
    Nowhere,
}

impl Decoder {
    /// A decoder whose dynamic table has at most `most` bytes, which SETTINGS_HEADER_TABLE_SIZE says.
    pub fn new(most: usize) -> Self {
        Self {
            table: Table::new(most),
            most,
            name: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Decodes a whole header block and gives each field, in order, to `each`.
    ///
    /// # Errors
    /// When it cannot be read: a connection error of type COMPRESSION_ERROR.
    pub fn decode(
        &mut self,
        block: &[u8],
        mut each: impl FnMut(Field<'_>),
    ) -> Result<(), Malformed> {
        let mut block = Reader::new(block);
        self.sizes(&mut block)?;
        while let Some(first) = block.byte() {
            match first {
                0x80.. => {
                    let index = block.integer(first, 0x7f)?;
                    each(self.indexed(index)?);
                }
                0x40.. => {
                    let index = block.integer(first, 0x3f)?;
                    self.literal(index, &mut block, Into::Table, &mut each)?;
                }
                // A size of the table, which is told before any field.
                0x20.. => return Err(Malformed),
                // Whether a field may be indexed by those who pass it on is of no concern here.
                _ => {
                    let index = block.integer(first, 0x0f)?;
                    self.literal(index, &mut block, Into::Nowhere, &mut each)?;
                }
            }
        }
        Ok(())
    }

    /// Gives back what memory is not in use.
    pub fn shrink(&mut self) {
        (self.name, self.value) = (Vec::new(), Vec::new());
        self.table.shrink();
    }

    /// Obeys the sizes of the table that a block begins with (RFC 7541 section 6.3).
    fn sizes(&mut self, block: &mut Reader<'_>) -> Result<(), Malformed> {
        for _ in 0..MOST_SIZES {
            let Some(first @ 0x20..0x40) = block.peek() else {
                break;
            };
            block.bytes(1)?;
            let size = block.integer(first, 0x1f)?;
            if size > self.most {
                return Err(Malformed);
            }
            self.table.set_limit(size);
        }
        Ok(())
    }

    /// The field with this index (RFC 7541 section 2.3.3).
    #[inline]
    fn indexed(&self, index: usize) -> Result<Field<'_>, Malformed> {
        let index = index.checked_sub(1).ok_or(Malformed)?;
        match predefined::field(index) {
            Some(field) => Ok(field),
            None => Ok(entry(&self.table, index)?.field()),
        }
    }

    /// Gives a field of which at least the value is literal, and whose name has this index, to `each` (RFC
    /// 7541 section 6.2).
    fn literal(
        &mut self,
        index: usize,
        block: &mut Reader<'_>,
        into: Into,
        each: impl FnOnce(Field<'_>),
    ) -> Result<(), Malformed> {
        let (name, name_length) = match index.checked_sub(1) {
            None => {
                let text = string(block, &mut self.name)?;
                (Named::new(text), text.len())
            }
            Some(index) => match predefined::field(index) {
                Some(field) => Named::of(&field),
                None => {
                    let entry = entry(&self.table, index)?;
                    (entry.copy_name(&mut self.name), entry.name_length)
                }
            },
        };
        let value = string(block, &mut self.value)?;
        let size = name_length + value.len() + OVERHEAD;
        let field = name.with(value).unwrap_or(Field::Malformed(size));
        if into == Into::Table {
            self.table.insert(size, || Entry {
                kept: Kept::of(&field),
                name_length,
            });
        }
        each(field);
        Ok(())
    }
}

/// The entry of `table` whose index is 1 more than `index`, behind the predefined fields.
#[inline]
fn entry(table: &Table<Entry>, index: usize) -> Result<&Entry, Malformed> {
    let newer = index.checked_sub(predefined::COUNT).ok_or(Malformed)?;
    table.entry(newer).ok_or(Malformed)
}

impl Entry {
    fn field(&self) -> Field<'_> {
        match &self.kept {
            Kept::Pseudo(name, value) => Field::Pseudo(*name, value.clone()),
            Kept::Header { text, mark } => {
                let (name, value) = text.split_at(self.name_length);
                Field::Header(Name::marked(name, *mark), Value::known(value))
            }
            Kept::Malformed(size) => Field::Malformed(*size),
        }
    }

    /// Its name, of which `copy` becomes one: it may itself have to make room for a field with it.
    fn copy_name<'a>(&self, copy: &'a mut Vec<u8>) -> Named<'a> {
        match &self.kept {
            Kept::Pseudo(name, _) => Named::Pseudo(*name),
            Kept::Header { text, mark } => {
                copy.clear();
                copy.extend_from_slice(&text[..self.name_length]);
                Named::Header(Name::marked(copy, *mark))
            }
            Kept::Malformed(_) => Named::Malformed,
        }
    }
}

impl Kept {
    fn of(field: &Field<'_>) -> Self {
        match field {
            Field::Pseudo(name, value) => Self::Pseudo(*name, value.clone()),
            Field::Header(name, value) => Self::Header {
                text: [name.as_bytes(), value].concat().into(),
                mark: name.mark(),
            },
            Field::Malformed(size) => Self::Malformed(*size),
        }
    }
}

impl<'a> Named<'a> {
    /// The name that is written `name`.
    fn new(name: &'a [u8]) -> Self {
        match name {
            [b':', ..] => Self::Pseudo(Pseudo::new(name)),
            _ => Name::new(name).map_or(Self::Malformed, Self::Header),
        }
    }

    /// The name of a predefined field, and how long it is.
    fn of(field: &Field<'a>) -> (Self, usize) {
        match field {
            Field::Pseudo(name, _) => (Self::Pseudo(*name), name.as_str().len()),
            Field::Header(name, _) => (Self::Header(*name), name.as_bytes().len()),
            Field::Malformed(_) => (Self::Malformed, 0),
        }
    }

    /// The field that it is with `value`; `None` when HTTP does not allow it.
    fn with(self, value: &'a [u8]) -> Option<Field<'a>> {
        match self {
            Self::Pseudo(name) => {
                let is_clean = !value.iter().any(u8::is_ascii_control);
                is_clean.then(|| Field::Pseudo(name, Bytes::copy_from_slice(value)))
            }
            Self::Header(name) => Some(Field::Header(name, Value::new(value)?)),
            Self::Malformed => None,
        }
    }
}

/// The next string (RFC 7541 section 5.2), which is in `scratch` if it was coded.
fn string<'a, 'block: 'a>(
    block: &mut Reader<'block>,
    scratch: &'a mut Vec<u8>,
) -> Result<&'a [u8], Malformed> {
    let first = block.byte().ok_or(Malformed)?;
    let length = block.integer(first, 0x7f)?;
    let bytes = block.bytes(length)?;
    match first & 0x80 {
        0 => Ok(bytes),
        _ => huffman::decode(bytes, scratch),
    }
}

#[cfg(test)]
pub(in crate::hpack) mod tests {
    use super::*;
    use crate::hpack::huffman::tests::encode as huffman_coded;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |two: &[u8]| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    /// A field with memory of its own.
    #[derive(Debug, Clone, PartialEq)]
    pub(in crate::hpack) enum Owned {
        Pseudo(Pseudo, Vec<u8>),
        Header(Vec<u8>, Vec<u8>),
        Malformed(usize),
    }

    pub(in crate::hpack) fn owned(field: Field<'_>) -> Owned {
        match field {
            Field::Pseudo(name, value) => Owned::Pseudo(name, value.to_vec()),
            Field::Header(name, value) => Owned::Header(name.as_bytes().to_vec(), value.to_vec()),
            Field::Malformed(size) => Owned::Malformed(size),
        }
    }

    fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Owned>, Malformed> {
        let mut fields = Vec::new();
        decoder.decode(block, |field| fields.push(owned(field)))?;
        Ok(fields)
    }

    /// The fields as `name: value`, in lines.
    fn text(decoder: &mut Decoder, block: &[u8]) -> String {
        let line = |field: Owned| match field {
            Owned::Pseudo(name, value) => {
                format!("{}: {}\n", name.as_str(), value.escape_ascii())
            }
            Owned::Header(name, value) => {
                format!("{}: {}\n", name.escape_ascii(), value.escape_ascii())
            }
            Owned::Malformed(size) => format!("malformed: {size}\n"),
        };
        let fields = decoded(decoder, block).unwrap();
        fields.into_iter().map(line).collect()
    }

    /// The entries of the table, the newest first.
    fn table(decoder: &Decoder) -> Vec<Owned> {
        decoder.table.iter().map(|e| owned(e.field())).collect()
    }

    fn made<'a>(name: &'a str, value: &'a str) -> Field<'a> {
        let made = Named::new(name.as_bytes()).with(value.as_bytes());
        made.unwrap()
    }

    fn field(name: &str, value: &str) -> Owned {
        owned(made(name, value))
    }

    /// A literal field that is put into the table.
    fn inserted(name: &[u8], value: &[u8]) -> Vec<u8> {
        let (name_length, value_length) = (name.len() as u8, value.len() as u8);
        [&[0x40, name_length], name, &[value_length], value].concat()
    }

    // RFC 7541 appendix C.2
    #[test]
    fn every_representation_is_decoded() {
        for (block, fields, kept) in [
            (
                "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
                "custom-key: custom-header\n",
                1,
            ),
            (
                "040c 2f73 616d 706c 652f 7061 7468",
                ":path: /sample/path\n",
                0,
            ),
            (
                "1008 7061 7373 776f 7264 0673 6563 7265 74",
                "password: secret\n",
                0,
            ),
            ("82", ":method: GET\n", 0),
        ] {
            let mut decoder = Decoder::new(4096);
            assert_eq!(text(&mut decoder, &hex(block)), fields);
            assert_eq!(decoder.table.len(), kept);
        }
    }

    // RFC 7541 appendices C.3 and C.4
    #[test]
    fn requests_are_decoded_with_and_without_huffman_coding() {
        let plain = [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ];
        let coded = [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ];
        for blocks in [plain, coded] {
            let mut decoder = Decoder::new(4096);
            let [first, second, third] = blocks.map(hex);
            assert_eq!(
                text(&mut decoder, &first),
                ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n"
            );
            assert_eq!(
                text(&mut decoder, &second),
                ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n\
                 cache-control: no-cache\n"
            );
            assert_eq!(
                text(&mut decoder, &third),
                ":method: GET\n:scheme: https\n:path: /index.html\n\
                 :authority: www.example.com\ncustom-key: custom-value\n"
            );
            let kept = [
                field("custom-key", "custom-value"),
                field("cache-control", "no-cache"),
                field(":authority", "www.example.com"),
            ];
            assert_eq!(table(&decoder), kept);
        }
    }

    // RFC 7541 appendices C.5 and C.6
    #[test]
    fn old_fields_make_room_for_new_ones() {
        let plain = [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
             2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
             6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
             54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
             5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
             3d31",
        ];
        let coded = [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
             2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
             77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
             9587 3160 65c0 03ed 4ee5 b106 3d50 07",
        ];
        for blocks in [plain, coded] {
            let mut decoder = Decoder::new(256);
            let [first, second, third] = blocks.map(hex);
            let rest = "cache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\n\
                        location: https://www.example.com\n";
            let expected = format!(":status: 302\n{rest}");
            assert_eq!(text(&mut decoder, &first), expected);
            let expected = format!(":status: 307\n{rest}");
            assert_eq!(text(&mut decoder, &second), expected);
            assert_eq!(
                text(&mut decoder, &third),
                ":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\n\
                 location: https://www.example.com\ncontent-encoding: gzip\nset-cookie: \
                 foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\n"
            );
            let cookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
            let kept = [
                field("set-cookie", cookie),
                field("content-encoding", "gzip"),
                field("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
            ];
            assert_eq!(table(&decoder), kept);
        }
    }

    #[test]
    fn a_block_that_cannot_be_read_is_malformed() {
        for block in [
            // An index that stands for nothing, and a name that does.
            &b"\x80"[..],
            b"\xbe",
            b"\xc6",
            b"\x7f\x07\0",
            b"\x7e\0",
            b"\x0f\x2f\0",
            b"\x1f\x2f\0",
            b"\xff\xff\xff\xff\x0f",
            // A field that a table without room has not kept.
            b"\x20\x40\x01x\x01y\xbe",
            // Sizes of the table: behind a field, too large, too many.
            b"\x82\x21",
            b"\x82\x20",
            b"\x3f\xe2\x1f",
            b"\x3f\xff\xff\xff\xff\xff\x0f",
            b"\x20\x20\x20",
            // Numbers without end, or beyond 32 bits.
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x0f",
            b"\xff\x80\x80\x80\x80\x80\x00",
            b"\xff\xff\xff\xff\xff\x7f",
            // Cut off.
            b"\x40",
            b"\x7f",
            b"\xff",
            b"\x3f",
            b"\0",
            b"\x10",
            b"\x41",
            b"\x40\x01x",
            b"\x40\x02x",
            b"\x41\x05abcd",
            b"\0\x7f\xff\xff\x01",
            b"\x41\xff\xff\xff\xff\x0f",
            // Huffman codes: padding of 8 bits, of zeros, and the end of a string.
            b"\0\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff",
            b"\0\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90",
            b"\0\x85\xf2\xb2\x4a\x87\xff\xff\xff\xfd\x25\x42\x7f",
            b"\x41\x81\xff",
            b"\x41\x84\xff\xff\xff\xff",
        ] {
            let mut decoder = Decoder::new(4096);
            let fields = decoded(&mut decoder, block);
            assert_eq!(fields, Err(Malformed), "{}", block.escape_ascii());
        }
    }

    #[test]
    fn two_sizes_of_the_table_may_be_told_before_a_block() {
        let mut decoder = Decoder::new(4096);
        decoded(&mut decoder, &inserted(b"x", b"y")).unwrap();
        decoded(&mut decoder, b"\x3f\xe1\x1f\xbe").unwrap();
        assert_eq!(decoder.table.limit(), 4096);
        assert_eq!(decoded(&mut decoder, b"\x20\x3f\xe1\x1f"), Ok(vec![]));
        assert_eq!((decoder.table.limit(), decoder.table.len()), (4096, 0));
    }

    #[test]
    fn what_http_does_not_allow_is_told_with_its_size() {
        for (name, value) in [
            ("", "x"),
            ("X-Upper", "x"),
            ("with space", "x"),
            ("quo\"ted", "x"),
            ("a:b", "x"),
            ("obs\u{e9}", "x"),
            ("x", "a\rb"),
            ("x", "a\nb"),
            ("x", "\0"),
            ("x", "\u{7f}"),
            (":path", "/\n"),
            (":path", "/\t"),
            (":unheard-of", "\0"),
        ] {
            let mut decoder = Decoder::new(4096);
            let size = name.len() + value.len() + 32;
            let block = inserted(name.as_bytes(), value.as_bytes());
            let fields = decoded(&mut decoder, &block).unwrap();
            assert_eq!(fields, [Owned::Malformed(size)], "{name:?}: {value:?}");
            assert_eq!(decoder.table.len(), 1);
        }
    }

    #[test]
    fn values_may_have_tabs_and_what_is_not_ascii() {
        let mut decoder = Decoder::new(4096);
        let block = [inserted(b"x", b"a\tb\xff"), inserted(b":path", b"/\xff")].concat();
        let fields = text(&mut decoder, &block);
        assert_eq!(fields, "x: a\\tb\\xff\n:path: /\\xff\n");
    }

    #[test]
    fn a_malformed_field_keeps_the_indices_of_the_others_right() {
        let mut decoder = Decoder::new(4096);
        let block = [
            &inserted(b"a", b"1")[..],
            &inserted(b"Bad", b"23"),
            &inserted(b"c", b"3"),
            // All three by index, then the name of the second.
            b"\xc0\xbf\xbe\x7f\x00\x01z\xbe",
        ]
        .concat();
        let (a, bad, c) = (field("a", "1"), Owned::Malformed(37), field("c", "3"));
        let named = Owned::Malformed(36);
        assert_eq!(
            decoded(&mut decoder, &block).unwrap(),
            [
                a.clone(),
                bad.clone(),
                c.clone(),
                a,
                bad,
                c,
                named.clone(),
                named
            ]
        );
    }

    #[test]
    fn a_name_by_index_is_that_of_its_field() {
        let mut decoder = Decoder::new(4096);
        let block = [
            &inserted(b"x-custom", b"1")[..],
            &inserted(b":unheard-of", b"2"),
            b"\x7f\x00\x013\x7f\x00\x014\x59\x015",
        ]
        .concat();
        let unknown = |value: &[u8]| Owned::Pseudo(Pseudo::Unknown, value.to_vec());
        let expected = [
            field("x-custom", "1"),
            unknown(b"2"),
            field("x-custom", "3"),
            unknown(b"4"),
            field("content-disposition", "5"),
        ];
        assert_eq!(decoded(&mut decoder, &block).unwrap(), expected);
        let sizes: Vec<_> = decoder.table.iter().map(|e| e.name_length).collect();
        assert_eq!(sizes, [19, 11, 8, 11, 8]);
    }

    // RFC 7541 section 4.4
    #[test]
    fn a_name_is_taken_before_its_entry_makes_room() {
        let mut decoder = Decoder::new(64);
        let block = [&inserted(b"x-custom", b"1")[..], b"\x7e\x03234\xbe"].concat();
        let fields = text(&mut decoder, &block);
        assert_eq!(fields, "x-custom: 1\nx-custom: 234\nx-custom: 234\n");
        assert_eq!(decoder.table.len(), 1);
    }

    #[test]
    fn a_field_larger_than_the_table_empties_it_and_is_told() {
        let mut decoder = Decoder::new(64);
        let long = [b'v'; 32];
        let block = [inserted(b"a", b"1"), inserted(b"b", &long)].concat();
        assert_eq!(decoded(&mut decoder, &block).unwrap().len(), 2);
        assert_eq!(decoder.table.len(), 0);
    }

    #[test]
    fn a_name_may_be_coded() {
        let mut decoder = Decoder::new(4096);
        let coded = huffman_coded(b"content-type");
        let mut block = vec![0x40, 0x80 | coded.len() as u8];
        block.extend(coded);
        block.extend(b"\x01x");
        let fields = decoded(&mut decoder, &block).unwrap();
        assert_eq!(fields, [field("content-type", "x")]);
    }

    /// Whether there is nothing but `bytes` in the memory that they are in.
    fn owns_no_more(bytes: Bytes) -> bool {
        let length = bytes.len();
        let address = bytes.as_ptr();
        // What is alone in its memory is turned without a copy into what knows how large that is.
        let memory = bytes.try_into_mut().unwrap();
        memory.as_ptr() == address && memory.capacity() == length
    }

    #[test]
    fn what_is_kept_owns_no_more_than_its_size() {
        let coded = huffman_coded(b"a-value-that-is-coded");
        let mut block = inserted(b":path", b"/some/path");
        block.extend([&[0x44, 0x80 | coded.len() as u8], &coded[..]].concat());
        let mut decoder = Decoder::new(4096);
        let mut values = Vec::new();
        let outcome = decoder.decode(&block, |field| match field {
            Field::Pseudo(Pseudo::Path, value) => values.push(value),
            other => panic!("{other:?}"),
        });
        assert_eq!((outcome, values.len()), (Ok(()), 2));
        drop(decoder);
        assert!(values.into_iter().all(owns_no_more));
    }

    #[test]
    fn memory_that_is_not_in_use_is_given_back() {
        let mut decoder = Decoder::new(4096);
        let coded = huffman_coded(&[b'a'; 300]);
        let mut block = vec![0x44, 0xff, (coded.len() - 127) as u8];
        assert!(coded.len() - 127 < 128);
        block.extend(coded);
        decoded(&mut decoder, &block).unwrap();
        assert!(decoder.value.capacity() > 300);
        decoder.shrink();
        assert_eq!(decoder.value.capacity(), 0);
        assert_eq!(decoded(&mut decoder, &[0xbe]).unwrap().len(), 1);
    }

    #[test]
    fn a_size_is_that_of_name_and_value_and_32() {
        assert_eq!(made(":authority", "localhost").size(), 10 + 9 + 32);
        assert_eq!(made("content-type", "a/b").size(), 12 + 3 + 32);
        assert_eq!(Field::Malformed(40).size(), 40);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..6)) {
            let mut decoder = Decoder::new(200);
            for block in blocks {
                let _ = decoded(&mut decoder, &block);
                check(&decoder)?;
            }
        }

        /// Likelier to be whole than any bytes.
        #[test]
        fn no_fields_panic(
            blocks in proptest::collection::vec(
                proptest::collection::vec((any::<u8>(), "[ -~]{0,9}", any::<[u8; 4]>(), any::<bool>()), 0..8),
                1..6,
            )
        ) {
            let mut decoder = Decoder::new(200);
            for fields in blocks {
                let mut block = Vec::new();
                for (first, name, value, is_coded) in fields {
                    block.push(first);
                    let coded = huffman_coded(name.as_bytes());
                    if is_coded {
                        block.push(0x80 | coded.len() as u8);
                        block.extend(coded);
                    } else {
                        block.push(name.len() as u8);
                        block.extend(name.bytes());
                    }
                    block.push(4);
                    block.extend(value);
                }
                let _ = decoded(&mut decoder, &block);
                check(&decoder)?;
            }
        }
    }

    /// The table has what it may have, and its entries what they say.
    fn check(decoder: &Decoder) -> Result<(), TestCaseError> {
        let sizes = decoder.table.iter().map(|entry| match entry.field() {
            Field::Pseudo(Pseudo::Unknown, value) => entry.name_length + value.len() + 32,
            field => field.size(),
        });
        prop_assert!(sizes.sum::<usize>() <= decoder.table.limit());
        prop_assert!(decoder.table.limit() <= 200);
        Ok(())
    }
}
