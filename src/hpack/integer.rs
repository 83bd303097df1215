//! Numbers and stretches of bytes in a header block (RFC 7541 section 5.1).
//!
//! No number is larger than 32 bits, however it is written.

use super::Malformed;

/// Bytes that a number of 32 bits takes behind its first, at most.
const MOST_BYTES: usize = 5;

/// What of a header block is still to be read.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(block: &'a [u8]) -> Self {
        Self { rest: block }
    }

    /// The next byte, which stays.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Takes the next byte.
    #[inline]
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Takes the next `n` bytes.
    #[inline]
    pub(super) fn bytes(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = self.rest.split_at_checked(n).ok_or(Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The number that begins in those bits of `first` that `mask` has.
    #[inline]
    pub(super) fn integer(&mut self, first: u8, mask: u8) -> Result<usize, Malformed> {
        let start = first & mask;
        if start < mask {
            return Ok(usize::from(start));
        }
        self.continued(mask)
    }

    fn continued(&mut self, start: u8) -> Result<usize, Malformed> {
        let mut value = u64::from(start);
        for place in 0..MOST_BYTES {
            let byte = self.byte().ok_or(Malformed)?;
            value += u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                let value = u32::try_from(value).map_err(|_| Malformed)?;
                return usize::try_from(value).map_err(|_| Malformed);
            }
        }
        Err(Malformed)
    }
}

/// Writes `value` into those bits of a first byte that `mask` has, whose others are `pattern`, and
/// behind it what does not fit.
#[inline]
pub(super) fn write(pattern: u8, mask: u8, value: usize, block: &mut Vec<u8>) {
    match u8::try_from(value) {
        Ok(value) if value < mask => block.push(pattern | value),
        _ => write_continued(pattern, mask, value, block),
    }
}

fn write_continued(pattern: u8, mask: u8, value: usize, block: &mut Vec<u8>) {
    block.push(pattern | mask);
    let mut left = value - usize::from(mask);
    while left >= 0x80 {
        block.push(0x80 | (left & 0x7f) as u8);
        left >>= 7;
    }
    block.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], mask: u8) -> Result<usize, Malformed> {
        let mut reader = Reader::new(bytes);
        let first = reader.byte().unwrap();
        reader.integer(first, mask)
    }

    // RFC 7541 appendix C.1
    #[test]
    fn numbers_are_read_and_written_as_the_examples_have_them() {
        let rows: [(u8, usize, &[u8]); 5] = [
            (0x1f, 10, &[0x0a]),
            (0x1f, 1337, &[0x1f, 0x9a, 0x0a]),
            (0xff, 42, &[0x2a]),
            (0x7f, 127, &[0x7f, 0]),
            (0x0f, 4_294_967_295, &[0x0f, 0xf0, 0xff, 0xff, 0xff, 0x0f]),
        ];
        for (mask, value, bytes) in rows {
            let mut written = Vec::new();
            write(0, mask, value, &mut written);
            assert_eq!(written, bytes);
            assert_eq!(read(bytes, mask), Ok(value));
        }
    }

    #[test]
    fn a_number_beyond_32_bits_or_without_end_is_malformed() {
        for bytes in [
            &[0x7f][..],
            &[0x7f, 0x80],
            &[0x7f, 0x81, 0xff, 0xff, 0xff, 0x0f],
            &[0x7f, 0xff, 0xff, 0xff, 0xff, 0x7f],
            &[0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
            &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
        ] {
            assert_eq!(read(bytes, 0x7f), Err(Malformed), "{bytes:x?}");
        }
        assert_eq!(read(&[0x7f, 0x80, 0x80, 0x80, 0x80, 0x00], 0x7f), Ok(127));
    }
}
