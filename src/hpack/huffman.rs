//! The Huffman code of strings (RFC 7541 section 5.2 and appendix B), decoded.
//!
//! The code is canonical: the symbols in the order of their lengths and then of their values have
//! codes that count upwards. So the lengths are all that is written down, and the tables come of them
//! at compile time. No code is shorter than 5 bits, so no string is longer than 8/5 of its code.

use super::Malformed;

/// Bits that are looked up at once: those of two symbols where both fit.
const BITS: u32 = 12;
/// Lookups between two loads, which leave 56 bits at least.
const LOOKUPS: usize = 4;
/// The longest code of a symbol. The end of a string, which may not be in it, has as many ones.
const LONGEST: usize = 30;

/// Bits of each byte's code.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5,
    5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6,
    6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22,
    23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22,
    21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20,
    22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19,
    21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22,
    22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

const CODE: Code = code();
static LONG: Code = CODE;
/// What the coming bits begin with: how many of them, 8 for each symbol, and the one or two symbols, in
/// bytes from the lowest. 0 where they begin a longer code.
static SHORT: [u32; 1 << BITS] = short();

/// The code, as its lengths make it.
struct Code {
    /// The symbols in the order of their codes.
    symbols: [u8; 256],
    /// The codes of each length.
    rows: [Row; LONGEST + 1],
}

/// The codes of one length, which follow each other.
#[derive(Clone, Copy)]
struct Row {
    /// The first, at the top of 32 bits.
    first: u32,
    /// What is behind the last, likewise.
    end: u32,
    /// Symbols whose codes are shorter.
    before: usize,
}

/// A string of which some is decoded.
struct Bits<'a> {
    coded: &'a [u8],
    /// Its last 8 bytes, the last at the bottom.
    last: u64,
    /// The byte that is loaded next.
    next: usize,
    /// The coming bits from the top, with ones behind the string's end.
    window: u64,
    /// How many of them are known.
    known: u32,
    /// Bits of the string that are not decoded.
    left: usize,
}

/// Decodes the string `coded` into `scratch`, which becomes as large as it must.
///
/// # Errors
/// When the code of a string's end is in it, or behind its last symbol something else than less than 8
/// bits of that code.
pub(super) fn decode<'a>(coded: &[u8], scratch: &'a mut Vec<u8>) -> Result<&'a [u8], Malformed> {
    // 8 bytes are written at once, however many of them are symbols.
    let most = coded.len() * 8 / 5 + 8;
    if scratch.len() < most {
        scratch.resize(most, 0);
    }
    let mut bits = Bits::new(coded);
    let mut length = 0;
    loop {
        bits.load();
        let (symbols, count, is_short) = bits.take_short()?;
        let room = scratch.get_mut(length..).unwrap_or_default();
        *room.first_chunk_mut().ok_or(Malformed)? = symbols.to_le_bytes();
        length += count;
        if bits.left < 8 && bits.are_padding() {
            return scratch.get(..length).ok_or(Malformed);
        }
        if !is_short {
            bits.load();
            let symbol = bits.take_long()?;
            *scratch.get_mut(length).ok_or(Malformed)? = symbol;
            length += 1;
        }
    }
}

impl<'a> Bits<'a> {
    fn new(coded: &'a [u8]) -> Self {
        let last = match coded.last_chunk() {
            Some(last) => u64::from_be_bytes(*last),
            None => coded
                .iter()
                .fold(0, |last, byte| last << 8 | u64::from(*byte)),
        };
        Self {
            coded,
            last,
            next: 0,
            window: 0,
            known: 0,
            left: coded.len() * 8,
        }
    }

    /// Has 56 coming bits at least.
    #[inline]
    fn load(&mut self) {
        let rest = self.coded.get(self.next..).unwrap_or_default();
        let bytes = match rest.first_chunk() {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None if rest.is_empty() => u64::MAX,
            None => {
                let missing = 64 - 8 * rest.len();
                self.last << missing | ((1 << missing) - 1)
            }
        };
        self.window |= bytes >> self.known;
        self.next += (63 - self.known as usize) / 8;
        // What is loaded beyond whole bytes is loaded once more, and the same.
        self.known |= 56;
    }

    /// Takes the symbols with short codes that come, up to 8: they from the lowest byte, how many they
    /// are, and whether there may come more.
    #[inline]
    fn take_short(&mut self) -> Result<(u64, usize, bool), Malformed> {
        let (mut symbols, mut sums, mut found) = (0, 0, 0);
        for _ in 0..LOOKUPS {
            // Before a longer code it is 0, which takes nothing, however often.
            found = SHORT[(self.window >> (64 - BITS)) as usize];
            symbols |= u64::from(found >> 16) << (sums >> 8 & 0x3f);
            sums += found & 0xffff;
            self.window <<= found & 0x3f;
        }
        let taken = sums & 0xff;
        self.known -= taken;
        self.left = self.left.checked_sub(taken as usize).ok_or(Malformed)?;
        Ok((symbols, (sums >> 11) as usize, found != 0))
    }

    /// Takes the symbol that comes and whose code is not short.
    fn take_long(&mut self) -> Result<u8, Malformed> {
        let coming = (self.window >> 32) as u32;
        let mut rows = LONG.rows.iter().enumerate().skip(BITS as usize + 1);
        let (length, row) = rows.find(|(_, row)| coming < row.end).ok_or(Malformed)?;
        let place = row.before + ((coming - row.first) >> (32 - length)) as usize;
        self.window <<= length;
        self.known -= length as u32;
        self.left = self.left.checked_sub(length).ok_or(Malformed)?;
        LONG.symbols.get(place).copied().ok_or(Malformed)
    }

    /// Whether all that are left are ones.
    fn are_padding(&self) -> bool {
        (!self.window).leading_zeros() as usize >= self.left
    }
}

const fn code() -> Code {
    let mut symbols = [0; 256];
    let none = Row {
        first: 0,
        end: 0,
        before: 0,
    };
    let mut rows = [none; LONGEST + 1];
    let (mut next, mut before, mut length) = (0, 0, 1);
    while length <= LONGEST {
        rows[length].first = next;
        rows[length].before = before;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                symbols[before] = symbol as u8;
                before += 1;
                next += 1 << (32 - length);
            }
            symbol += 1;
        }
        rows[length].end = next;
        length += 1;
    }
    Code { symbols, rows }
}

const fn short() -> [u32; 1 << BITS] {
    let mut found = [0; 1 << BITS];
    let mut coming = 0;
    while coming < found.len() {
        let (first, first_bits) = symbol(coming);
        let (second, both_bits) = match first_bits {
            0 => (0, u32::MAX),
            // The zeros that come in from below are not there: what has them is too long.
            _ => match symbol(coming << first_bits & (found.len() - 1)) {
                (_, 0) => (0, u32::MAX),
                (second, bits) => (second, first_bits + bits),
            },
        };
        found[coming] = match first_bits {
            0 => 0,
            _ if both_bits <= BITS => second << 24 | first << 16 | 16 << 8 | both_bits,
            _ => first << 16 | 8 << 8 | first_bits,
        };
        coming += 1;
    }
    found
}

/// The symbol that `coming`, of [`BITS`] bits, begins with, and the bits of its code; 0 when that is
/// longer.
const fn symbol(coming: usize) -> (u32, u32) {
    let mut length = 1;
    while length <= BITS as usize {
        let row = &CODE.rows[length];
        let top = (coming as u32) << (32 - BITS);
        if top < row.end {
            let place = row.before + ((top - row.first) >> (32 - length)) as usize;
            return (CODE.symbols[place] as u32, length as u32);
        }
        length += 1;
    }
    (0, 0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The code of `byte` and its length in bits.
    fn code_of(byte: u8) -> (u32, usize) {
        let length = usize::from(LENGTHS[usize::from(byte)]);
        let row = CODE.rows[length];
        let place = CODE.symbols.iter().position(|symbol| *symbol == byte);
        let nth = (place.unwrap() - row.before) as u32;
        ((row.first >> (32 - length)) + nth, length)
    }

    /// The bits of codes of these lengths, filled up with ones to whole bytes.
    fn pack(codes: impl IntoIterator<Item = (u32, usize)>) -> Vec<u8> {
        let mut bits = Vec::new();
        for (code, length) in codes {
            bits.extend((0..length).rev().map(|bit| (code >> bit & 1) as u8));
        }
        bits.resize(bits.len().next_multiple_of(8), 1);
        let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | bit);
        bits.chunks(8).map(byte).collect()
    }

    /// The code of `text`.
    pub(in super::super) fn encode(text: &[u8]) -> Vec<u8> {
        pack(text.iter().map(|byte| code_of(*byte)))
    }

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, Malformed> {
        decode(coded, &mut vec![0xee; 3]).map(<[u8]>::to_vec)
    }

    // RFC 7541 appendix B
    #[test]
    fn the_code_is_that_of_the_specification() {
        for (byte, code, length) in [
            (b'0', 0x0, 5),
            (b't', 0x9, 5),
            (b' ', 0x14, 6),
            (b'u', 0x2d, 6),
            (b':', 0x5c, 7),
            (b'Z', 0xfd, 8),
            (b'?', 0x3fc, 10),
            (b'|', 0x7fc, 11),
            (b'>', 0xffb, 12),
            (0, 0x1ff8, 13),
            (b'{', 0x7ffe, 15),
            (b'\\', 0x7fff0, 19),
            (0xff, 0x3ff_ffee, 26),
            (22, 0x3fff_fffe, 30),
        ] {
            assert_eq!(code_of(byte), (code, length), "{byte:x}");
        }
    }

    // RFC 7541 appendix C.4 and C.6
    #[test]
    fn the_examples_are_decoded() {
        let rows: [(&[u8], &[u8]); 3] = [
            (
                b"www.example.com",
                b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
            ),
            (b"no-cache", b"\xa8\xeb\x10\x64\x9c\xbf"),
            (
                b"Mon, 21 Oct 2013 20:13:21 GMT",
                b"\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82\xa6\x2d\x1b\xff",
            ),
        ];
        for (text, coded) in rows {
            assert_eq!(decoded(coded).as_deref(), Ok(text));
            assert_eq!(encode(text), coded);
        }
        assert_eq!(decoded(b"").as_deref(), Ok(&b""[..]));
    }

    #[test]
    fn padding_is_less_than_a_byte_of_ones() {
        // "0" is 00000, "a" is 00011, "&" is 11111000.
        assert_eq!(decoded(&[0b0000_0111]).as_deref(), Ok(&b"0"[..]));
        assert_eq!(decoded(&[0b1111_1000]).as_deref(), Ok(&b"&"[..]));
        for coded in [
            &[0b0000_0110][..],
            &[0b0000_0000],
            &[0b0000_0111, 0xff],
            &[0b1111_1000, 0xff],
            &[0xff],
            &[0b1111_1110],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(decoded(coded), Err(Malformed), "{coded:x?}");
        }
    }

    #[test]
    fn the_end_of_a_string_is_in_none() {
        let end = (0x3fff_ffff, LONGEST);
        for text in ["", "a", "0123456789", "\\\\~~~"] {
            let before = text.bytes().map(code_of);
            let behind = before.clone().take(1);
            assert_eq!(
                decoded(&pack(before.chain([end]).chain(behind))),
                Err(Malformed)
            );
        }
    }

    #[test]
    fn a_long_code_that_is_cut_off_is_malformed() {
        let whole = encode(&[b'a', 0xff]);
        for length in 1..whole.len() {
            let cut = decoded(&whole[..length]);
            let is_padding = whole[..length].last() == Some(&0x1f) && length == 1;
            assert_eq!(cut.is_ok(), is_padding, "{cut:?}");
        }
    }

    proptest! {
        #[test]
        fn every_string_is_what_was_encoded(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(decoded(&encode(&text)), Ok(text));
        }

        #[test]
        fn every_text_is_what_was_encoded(text in "[ -~]{0,120}") {
            prop_assert_eq!(decoded(&encode(text.as_bytes())), Ok(text.into_bytes()));
        }

        #[test]
        fn what_is_decoded_is_the_only_string_of_its_code(coded in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(text) = decoded(&coded) {
                prop_assert_eq!(encode(&text), coded);
            }
        }
    }
}
