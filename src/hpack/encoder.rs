//! Header blocks of answers and requests, encoded.
//!
//! What comes again at the same place of the next one is put into the table and told by its index
//! from then on; what is new every time, such as dates and ids, never pushes it out. Strings are not
//! Huffman coded: that costs more than to encrypt and send the bytes that it spares.
//!
//! What the table holds owns memory of its own, and a value that is secret is never in it.

use http::StatusCode;

use super::table::Table;
use super::{DEFAULT_SIZE, OVERHEAD, integer, predefined};
use crate::fields::{Field, Name, Value};

/// Fields of a block whose places are remembered.
const PLACES: usize = 32;
/// Where the places of trailers begin, so that they are not those of heads, which are seldom as long.
const TRAILERS: usize = 24;
/// Bytes of a value beyond which it is not put into the table.
const LONGEST: usize = 256;
/// The index of the newest entry of the table (RFC 7541 section 2.3.3).
const NEWEST: usize = 62;

/// The first byte of a literal field and those of its bits that are the index of the name (RFC 7541
/// section 6.2): for one that both put into their tables,
const INSERTED: (u8, u8) = (0x40, 0x3f);
/// for one that neither does,
const NOT_INDEXED: (u8, u8) = (0, 0x0f);
/// and for one that nobody may who passes it on.
const NEVER_INDEXED: (u8, u8) = (0x10, 0x0f);

/// The names of what is told of a request at places of its own.
const AUTHORITY: Name<'static> = Name::known(b":authority");
const PATH: Name<'static> = Name::known(b":path");

/// `:scheme: http` in a block.
const SCHEME_HTTP: u8 = 0x86;

/// What a request asks for, in clear (RFC 9113 section 8.3.1, RFC 8441 section 4).
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `:method`
    pub method: &'a str,
    /// `:protocol`, of an extended CONNECT.
    pub protocol: Option<&'a str>,
    /// `:authority`; without one there is none.
    pub authority: &'a str,
    /// `:path`
    pub path: &'a str,
}

/// Encodes the header blocks of one connection, in the order in which they are sent, and none that is
/// not sent.
#[derive(Debug)]
pub struct Encoder {
    table: Table<Entry>,
    /// The smallest size of the table since the last block, if it has changed.
    smallest: Option<usize>,
    /// Entries that were ever put into the table, modulo 2^32.
    inserted: u32,
    /// A bit for each fingerprint in the table, and maybe some more.
    known: u64,
    places: [Place; PLACES],
    /// The place of the next field.
    next: usize,
}

/// A field that the peer has in its table.
#[derive(Debug)]
struct Entry {
    /// The name, and the value behind it.
    text: Box<[u8]>,
    name_length: usize,
    fingerprint: u32,
}

/// What was told at one place of the blocks.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// How many entries were inserted before the last that was told here. It may be gone.
    number: u32,
    /// Of the last field here that was not the same entry as before.
    fingerprint: u32,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder for a peer that has said nothing yet.
    pub fn new() -> Self {
        Self {
            table: Table::new(DEFAULT_SIZE),
            smallest: None,
            inserted: 0,
            known: 0,
            places: [Place::default(); PLACES],
            next: 0,
        }
    }

    /// Obeys the peer's SETTINGS_HEADER_TABLE_SIZE, in bytes; more than 4096 is not used.
    ///
    /// The peer is told at the beginning of the next block (RFC 7541 section 4.2).
    pub fn limit(&mut self, size: u32) {
        let size = usize::try_from(size).map_or(DEFAULT_SIZE, |size| size.min(DEFAULT_SIZE));
        if size != self.table.limit() {
            let smallest = self.smallest.unwrap_or(size);
            self.smallest = Some(smallest.min(size));
            self.table.set_limit(size);
            self.forget();
        }
    }

    /// Writes the beginning of the block of an answer's head: sizes of the table that were not told, and
    /// `:status`.
    pub fn status(&mut self, status: StatusCode, block: &mut Vec<u8>) {
        self.begin_at(0, block);
        let index = match status.as_u16() {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => {
                block.push(8);
                return string(status.as_str().as_bytes(), block);
            }
        };
        block.push(0x80 | index);
    }

    /// Writes the beginning of the block of a request's head: sizes of the table that were not told, and
    /// what is `asked` for.
    pub fn request(&mut self, asked: &Asked<'_>, block: &mut Vec<u8>) {
        self.begin_at(0, block);
        match asked.method {
            "GET" => block.push(0x82),
            "POST" => block.push(0x83),
            method => {
                block.push(2);
                string(method.as_bytes(), block);
            }
        }
        // Who is asked is asked in clear.
        block.push(SCHEME_HTTP);
        if let Some(protocol) = asked.protocol {
            block.push(0);
            string(b":protocol", block);
            string(protocol.as_bytes(), block);
        }
        if !asked.authority.is_empty() {
            let value = Value::known(asked.authority.as_bytes());
            self.field(Field::new(AUTHORITY, value), block);
        }
        match asked.path {
            "/" => block.push(0x84),
            path => {
                let value = Value::known(path.as_bytes());
                self.field(Field::new(PATH, value), block);
            }
        }
    }

    /// Writes the beginning of the block of trailers: sizes of the table that were not told.
    pub fn begin(&mut self, block: &mut Vec<u8>) {
        self.begin_at(TRAILERS, block);
    }

    /// Writes the next field of a block.
    pub fn field(&mut self, field: Field<'_>, block: &mut Vec<u8>) {
        let (name, bytes) = (field.name, field.value.as_bytes());
        if field.is_sensitive {
            return literal(NEVER_INDEXED, name, bytes, block);
        }
        let Some(place) = self.places.get(self.next) else {
            return literal(NOT_INDEXED, name, bytes, block);
        };
        self.next += 1;
        // Both wrap around, and what stands there need not be what stood there.
        let newer = self.inserted.wrapping_sub(place.number).wrapping_sub(1) as usize;
        match self.table.entry(newer) {
            Some(entry) if entry.is(name, bytes) => indexed(newer, block),
            _ => self.another(name, bytes, block),
        }
    }

    /// Writes a field that is not the entry which was last told at its place. Out of line, where it
    /// costs nothing to those that are.
    #[inline(never)]
    fn another(&mut self, name: Name<'_>, value: &[u8], block: &mut Vec<u8>) {
        let size = name.as_bytes().len() + value.len() + OVERHEAD;
        let may_enter = value.len() <= LONGEST && size <= self.table.limit() && !is_secret(name);
        let Some(place) = self.places.get_mut(self.next - 1).filter(|_| may_enter) else {
            return literal(NOT_INDEXED, name, value, block);
        };
        let fingerprint = fingerprint(name, value);
        let comes_again = std::mem::replace(&mut place.fingerprint, fingerprint) == fingerprint;
        if self.known & bit(fingerprint) != 0
            && let Some(newer) = self.table.iter().position(|entry| entry.is(name, value))
        {
            place.number = self.inserted.wrapping_sub(newer as u32 + 1);
            return indexed(newer, block);
        }
        if !comes_again {
            return literal(NOT_INDEXED, name, value, block);
        }
        place.number = self.inserted;
        let entry = Entry {
            text: [name.as_bytes(), value].concat().into(),
            name_length: name.as_bytes().len(),
            fingerprint,
        };
        self.insert(size, entry);
        literal(INSERTED, name, value, block);
    }

    /// Writes the sizes that were not told; the next field has this place.
    fn begin_at(&mut self, place: usize, block: &mut Vec<u8>) {
        self.next = place;
        if let Some(smallest) = self.smallest.take() {
            let size = self.table.limit();
            if smallest < size {
                integer::write(0x20, 0x1f, smallest, block);
            }
            integer::write(0x20, 0x1f, size, block);
        }
    }

    /// Puts `entry` into the table, which has room for its `size`.
    fn insert(&mut self, size: usize, entry: Entry) {
        self.inserted = self.inserted.wrapping_add(1);
        self.known |= bit(entry.fingerprint);
        let before = self.table.len();
        self.table.insert(size, || entry);
        if self.table.len() <= before {
            self.forget();
        }
    }

    /// Forgets the fingerprints of entries that are gone.
    fn forget(&mut self) {
        let bits = self.table.iter().map(|entry| bit(entry.fingerprint));
        self.known = bits.fold(0, |known, bit| known | bit);
    }
}

impl Entry {
    #[inline]
    fn is(&self, name: Name<'_>, value: &[u8]) -> bool {
        let (own_name, own_value) = self.text.split_at(self.name_length);
        own_value == value && own_name == name.as_bytes()
    }
}

/// Whether the values of `name` may be what somebody guesses byte by byte, from how long blocks become
/// (RFC 7541 section 7.1).
fn is_secret(name: Name<'_>) -> bool {
    matches!(
        name.as_bytes(),
        b"set-cookie"
            | b"cookie"
            | b"authorization"
            | b"proxy-authorization"
            | b"www-authenticate"
            | b"proxy-authenticate"
    )
}

/// What tells a field from others, most probably. Of the name it has the length alone, because names
/// change less than values do.
fn fingerprint(name: Name<'_>, value: &[u8]) -> u32 {
    /// Odd, and half of its bits are ones.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let (words, rest) = value.as_chunks();
    let start = (name.as_bytes().len() << 16 | value.len()) as u64;
    let hash = words
        .iter()
        .fold(start, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let rest = match value.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => rest
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    (mix(hash, rest) >> 32) as u32
}

/// One of 64 bits for a fingerprint.
fn bit(fingerprint: u32) -> u64 {
    1 << (fingerprint >> 26)
}

/// Writes a field of the table (RFC 7541 section 6.1).
#[inline]
fn indexed(newer: usize, block: &mut Vec<u8>) {
    integer::write(0x80, 0x7f, NEWEST + newer, block);
}

/// Writes a literal field (RFC 7541 section 6.2).
fn literal((pattern, mask): (u8, u8), name: Name<'_>, value: &[u8], block: &mut Vec<u8>) {
    let index = predefined::index(name);
    integer::write(pattern, mask, usize::from(index), block);
    if index == 0 {
        string(name.as_bytes(), block);
    }
    string(value, block);
}

/// Writes a string (RFC 7541 section 5.2).
fn string(text: &[u8], block: &mut Vec<u8>) {
    integer::write(0, 0x7f, text.len(), block);
    block.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpack::decoder::tests::{Owned, owned};
    use crate::hpack::{Decoder, Pseudo};
    use proptest::prelude::*;

    /// An encoder and the decoder of its peer.
    struct Ends {
        encoder: Encoder,
        decoder: Decoder,
    }

    impl Ends {
        fn new() -> Self {
            Self {
                encoder: Encoder::new(),
                decoder: Decoder::new(4096),
            }
        }

        /// The block of an answer with `fields`, which is what is decoded.
        fn answer(&mut self, status: u16, fields: &[Field<'_>]) -> Vec<u8> {
            let mut block = Vec::new();
            let status = StatusCode::from_u16(status).unwrap();
            self.encoder.status(status, &mut block);
            let value = status.as_str().as_bytes().to_vec();
            self.rest(block, vec![Owned::Pseudo(Pseudo::Status, value)], fields)
        }

        /// The block of a request with `fields`, likewise.
        fn request(&mut self, asked: &Asked<'_>, fields: &[Field<'_>]) -> Vec<u8> {
            let mut block = Vec::new();
            self.encoder.request(asked, &mut block);
            let told = [
                (Pseudo::Method, Some(asked.method)),
                (Pseudo::Scheme, Some("http")),
                (Pseudo::Protocol, asked.protocol),
                (Pseudo::Authority, Some(asked.authority)),
                (Pseudo::Path, Some(asked.path)),
            ];
            let expected = told
                .into_iter()
                .filter_map(|(name, value)| Some(Owned::Pseudo(name, value?.as_bytes().to_vec())));
            self.rest(block, expected.collect(), fields)
        }

        /// The block of trailers, likewise.
        fn trailers(&mut self, fields: &[Field<'_>]) -> Vec<u8> {
            let mut block = Vec::new();
            self.encoder.begin(&mut block);
            self.rest(block, Vec::new(), fields)
        }

        fn rest(
            &mut self,
            mut block: Vec<u8>,
            mut expected: Vec<Owned>,
            fields: &[Field<'_>],
        ) -> Vec<u8> {
            for field in fields {
                self.encoder.field(*field, &mut block);
                // Whether it is sensitive is not decoded.
                expected.push(owned(crate::hpack::Field::Header(field.name, field.value)));
            }
            let mut decoded = Vec::new();
            let outcome = self
                .decoder
                .decode(&block, |field| decoded.push(owned(field)));
            assert_eq!((outcome, decoded), (Ok(()), expected));
            block
        }
    }

    #[test]
    fn what_is_asked_for_again_is_told_by_indices() {
        let mut ends = Ends::new();
        let asked = Asked {
            method: "POST",
            protocol: None,
            authority: "a.example",
            path: "/service/Method",
        };
        let fields = [field("te", "trailers"), field("x-a", "b")];
        let lengths = [0; 4].map(|_| ends.request(&asked, &fields).len());
        assert_eq!(lengths[2..], [6, 6], "{lengths:?}");
        // The second time it has come again, and is put into the table.
        assert!(lengths[0] == lengths[1] && lengths[0] > 40, "{lengths:?}");
        for (method, protocol, path) in [
            ("GET", None, "/"),
            ("DELETE", None, "/service/Method"),
            ("CONNECT", Some("websocket"), "/chat"),
        ] {
            let other = Asked {
                method,
                protocol,
                path,
                ..asked
            };
            ends.request(&other, &fields);
        }
    }

    fn field<'a>(name: &'static str, value: &'a str) -> Field<'a> {
        Field::new(
            Name::from_static(name),
            Value::new(value.as_bytes()).unwrap(),
        )
    }

    #[test]
    fn a_common_status_is_one_byte() {
        for (status, block) in [
            (200, &b"\x88"[..]),
            (204, b"\x89"),
            (206, b"\x8a"),
            (304, b"\x8b"),
            (400, b"\x8c"),
            (404, b"\x8d"),
            (500, b"\x8e"),
            (302, b"\x08\x03302"),
            (999, b"\x08\x03999"),
        ] {
            assert_eq!(Ends::new().answer(status, &[]), block);
        }
        assert_eq!(Ends::new().trailers(&[]), b"");
    }

    #[test]
    fn what_comes_again_is_indexed_the_third_time() {
        let mut ends = Ends::new();
        let server = [field("server", "test")];
        assert_eq!(ends.answer(200, &server), b"\x88\x0f\x27\x04test");
        assert_eq!(ends.answer(200, &server), b"\x88\x76\x04test");
        assert_eq!(ends.answer(200, &server), b"\x88\xbe");
        assert_eq!(ends.answer(404, &server), b"\x8d\xbe");
    }

    #[test]
    fn what_is_new_every_time_is_never_inserted() {
        let mut ends = Ends::new();
        for n in 0..100 {
            let id = n.to_string();
            let fields = [field("x-id", &id), field("server", "test")];
            let block = ends.answer(200, &fields);
            assert!(block.starts_with(b"\x88\0\x04x-id"));
            assert_eq!(block.ends_with(b"\xbe"), n >= 2);
        }
        assert_eq!(ends.encoder.table.len(), 1);
    }

    #[test]
    fn what_comes_at_another_place_is_found() {
        let mut ends = Ends::new();
        let (server, vary) = (field("server", "test"), field("vary", "accept"));
        for _ in 0..3 {
            ends.answer(200, &[server, vary]);
        }
        assert_eq!(ends.answer(200, &[vary, server]), b"\x88\xbe\xbf");
    }

    #[test]
    fn answers_that_take_turns_are_indexed() {
        let mut ends = Ends::new();
        let answers = ["text/html", "text/css"].map(|kind| [field("content-type", kind)]);
        let mut blocks = Vec::new();
        for answer in &answers {
            ends.answer(200, answer);
            ends.answer(200, answer);
        }
        for answer in answers.iter().cycle().take(6) {
            blocks.push(ends.answer(200, answer));
        }
        assert_eq!(blocks, [[0x88, 0xbf], [0x88, 0xbe]].repeat(3));
    }

    #[test]
    fn trailers_and_heads_do_not_disturb_each_other() {
        let mut ends = Ends::new();
        let head = [field("content-type", "application/grpc")];
        let trailers = [field("grpc-status", "0")];
        for n in 0..4 {
            let blocks = (ends.answer(200, &head), ends.trailers(&trailers));
            assert_eq!((blocks.0.len(), blocks.1.len()) == (2, 1), n >= 2);
        }
    }

    #[test]
    fn secrets_are_never_inserted() {
        let mut ends = Ends::new();
        let mut token = field("x-token", "secret");
        token.is_sensitive = true;
        let fields = [field("set-cookie", "a=b"), token];
        for _ in 0..4 {
            let block = ends.answer(200, &fields);
            assert_eq!(block, b"\x88\x0f\x28\x03a=b\x10\x07x-token\x06secret");
        }
        // Also when the same was no secret before.
        let mut server = field("server", "test");
        for _ in 0..3 {
            ends.answer(200, &[server]);
        }
        server.is_sensitive = true;
        let block = ends.answer(200, &[server]);
        assert_eq!(block, b"\x88\x1f\x27\x04test");
    }

    #[test]
    fn what_is_long_is_never_inserted() {
        let mut ends = Ends::new();
        let value = "v".repeat(LONGEST + 1);
        let fields = [field("x", &value)];
        for _ in 0..4 {
            ends.answer(200, &fields);
        }
        assert_eq!(ends.encoder.table.len(), 0);
    }

    #[test]
    fn fields_beyond_the_places_are_literal() {
        let mut ends = Ends::new();
        let values: Vec<_> = (0..PLACES + 5).map(|n| n.to_string()).collect();
        let fields: Vec<_> = values.iter().map(|value| field("x", value)).collect();
        for _ in 0..3 {
            ends.answer(200, &fields);
        }
        assert_eq!(ends.encoder.table.len(), PLACES);
    }

    // RFC 7541 section 4.2
    #[test]
    fn the_smallest_size_is_told_and_then_the_last() {
        for (sizes, told) in [
            (&[][..], &b"\x88"[..]),
            (&[4096], b"\x88"),
            (&[65536], b"\x88"),
            (&[65536, u32::MAX], b"\x88"),
            (&[0], b"\x20\x88"),
            (&[100], b"\x3f\x45\x88"),
            (&[0, 100], b"\x20\x3f\x45\x88"),
            (&[100, 0, 50, 65536], b"\x20\x3f\xe1\x1f\x88"),
            (&[100, 30], b"\x3e\x88"),
        ] {
            let mut ends = Ends::new();
            for size in sizes {
                ends.encoder.limit(*size);
            }
            assert_eq!(ends.answer(200, &[]), told, "{sizes:?}");
            assert_eq!(ends.answer(200, &[]), b"\x88", "told once: {sizes:?}");
        }
        let mut encoder = Encoder::default();
        encoder.limit(0);
        let mut block = Vec::new();
        encoder.begin(&mut block);
        assert_eq!(block, b"\x20", "before trailers too");
    }

    #[test]
    fn a_peer_without_a_table_is_sent_literals() {
        let mut ends = Ends::new();
        ends.encoder.limit(0);
        let server = [field("server", "test")];
        for _ in 0..4 {
            let block = ends.answer(200, &server);
            assert!(block.ends_with(b"\x88\x0f\x27\x04test"));
        }
    }

    #[test]
    fn old_fields_come_back_after_they_made_room() {
        let mut ends = Ends::new();
        let server = field("server", "test");
        for n in 0..200 {
            let value = format!("{n:0200}");
            let date = field("x-date", &value);
            for again in 0..4 {
                let block = ends.answer(200, &[server, date]);
                // Behind the date's second time what made room for it is inserted again.
                assert!(block.len() == 3 || again < 3, "{n}");
            }
            let sizes = ends.encoder.table.iter();
            let sizes = sizes.map(|e| e.text.len() + 32);
            assert!(sizes.sum::<usize>() <= 4096);
        }
    }

    #[test]
    fn numbers_of_entries_may_wrap_around() {
        let mut ends = Ends::new();
        ends.encoder.inserted = u32::MAX - 1;
        let values = ["0", "1", "2", "3", "4"];
        let fields = values.map(|value| field("x", value));
        for n in 0..4 {
            let block = ends.answer(200, &fields);
            assert_eq!(block.len() == 6, n >= 2);
        }
    }

    fn any_field() -> impl Strategy<Value = (&'static str, String, bool)> {
        let name = prop_oneof![
            Just("content-type"),
            Just("date"),
            Just("set-cookie"),
            Just("x-one"),
            Just("x-two"),
        ];
        let value = prop_oneof!["[ab]", "[a-c]{200,300}", "[ -~]{0,20}"];
        (name, value, 0..8).prop_map(|(name, value, sensitive)| (name, value, sensitive == 0))
    }

    proptest! {
        #[test]
        fn every_block_is_decoded_as_what_was_encoded(
            heads in proptest::collection::vec(proptest::collection::vec(any_field(), 0..6), 1..5),
            order in proptest::collection::vec((0..5_usize, proptest::option::of(0..5000_u32), any::<bool>()), 0..40),
        ) {
            let mut ends = Ends::new();
            for (head, size, are_trailers) in order {
                if let Some(size) = size {
                    // Small ones too.
                    ends.encoder.limit(if size % 2 == 0 { size % 200 } else { size });
                }
                let head = heads[head % heads.len()].iter();
                let fields = head.map(|(name, value, is_sensitive)| Field {
                    is_sensitive: *is_sensitive,
                    ..field(name, value)
                });
                let fields: Vec<_> = fields.collect();
                if are_trailers {
                    ends.trailers(&fields);
                } else {
                    ends.answer(200, &fields);
                }
            }
        }
    }
}
