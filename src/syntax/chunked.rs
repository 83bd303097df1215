//! The framing of a chunked body (RFC 9112 section 7.1), byte by byte where it is framing and in
//! leaps where it is data.
//!
//! Stricter than the grammar in two points that parsers disagree on: no white space beside the
//! size, and no extension or trailer section without end.

use super::{Limits, bytes};

/// More hexadecimal digits than a 64-bit length has.
const MAX_DIGITS: u8 = 16;
/// Chunk extensions of one body, all together.
const MAX_EXTENSIONS: u32 = 8 * 1024;

/// Where in a chunked body the reading is.
#[derive(Debug)]
pub struct Chunked {
    limits: Limits,
    at: At,
    extensions: u32,
    trailer_bytes: u32,
    trailers: u16,
}

#[derive(Debug, Clone, Copy)]
enum At {
    Size { value: u64, digits: u8 },
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    Line,
    Name,
    Value,
    ValueLf,
    EndLf,
}

/// Where a step through the bytes has led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// All bytes are of the body, and it goes on.
    More,
    /// The body has ended after this many.
    End(usize),
    /// The byte after this many breaks a rule.
    Unsound(usize),
}

/// What the next bytes of a chunked body are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// So many of framing.
    Framing(usize),
    /// So many of data.
    Data(usize),
    /// So many of the trailer section.
    Trailers(usize),
    /// So many of the trailer section, with which the body ends.
    End(usize),
    /// The byte after so many of framing breaks a rule.
    Unsound(usize),
}

const SIZE: At = At::Size {
    value: 0,
    digits: 0,
};

impl Chunked {
    /// At the beginning of a body whose trailer section is within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            at: SIZE,
            extensions: 0,
            trailer_bytes: 0,
            trailers: 0,
        }
    }

    /// Goes through `bytes` as far as the body reaches.
    pub fn step(&mut self, bytes: &[u8]) -> Step {
        let mut i = 0;
        while i < bytes.len() {
            match self.piece(&bytes[i..]) {
                Piece::Framing(n) | Piece::Data(n) | Piece::Trailers(n) => i += n,
                Piece::End(n) => return Step::End(i + n),
                Piece::Unsound(n) => return Step::Unsound(i + n),
            }
        }
        Step::More
    }

    /// What `bytes`, of which there is at least one, begin with.
    pub fn piece(&mut self, bytes: &[u8]) -> Piece {
        if let At::Data(left) = self.at {
            let here = bytes.len();
            let n = usize::try_from(left).map_or(here, |left| left.min(here));
            self.at = match left - n as u64 {
                0 => At::DataCr,
                left => At::Data(left),
            };
            return Piece::Data(n);
        }
        let begins_in_trailers = self.is_in_trailers();
        for (i, byte) in bytes.iter().enumerate() {
            if matches!(self.at, At::EndLf) {
                return match byte {
                    b'\n' => Piece::End(i + 1),
                    _ => Piece::Unsound(i),
                };
            }
            match self.next(*byte) {
                Some(at) => self.at = at,
                None => return Piece::Unsound(i),
            }
            if matches!(self.at, At::Data(_)) || self.is_in_trailers() != begins_in_trailers {
                return Piece::Framing(i + 1);
            }
        }
        match begins_in_trailers {
            true => Piece::Trailers(bytes.len()),
            false => Piece::Framing(bytes.len()),
        }
    }

    fn is_in_trailers(&self) -> bool {
        matches!(
            self.at,
            At::Line | At::Name | At::Value | At::ValueLf | At::EndLf
        )
    }

    /// Where `byte`, which is framing, leads; `None` when it may not stand here.
    fn next(&mut self, byte: u8) -> Option<At> {
        match (self.at, byte) {
            (At::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16)?;
                (digits < MAX_DIGITS).then_some(At::Size {
                    value: value << 4 | u64::from(digit),
                    digits: digits + 1,
                })
            }
            (At::Size { digits: 0, .. }, _) => None,
            (At::Size { value, .. } | At::Extension(value), b'\r') => Some(At::SizeLf(value)),
            (At::Size { value, .. }, b';') => Some(At::Extension(value)),
            (At::Extension(value), byte) if bytes::is_value(byte) => {
                self.extensions += 1;
                (self.extensions <= MAX_EXTENSIONS).then_some(At::Extension(value))
            }
            (At::SizeLf(0), b'\n') => Some(At::Line),
            (At::SizeLf(size), b'\n') => Some(At::Data(size)),
            (At::DataCr, b'\r') => Some(At::DataLf),
            (At::DataLf, b'\n') => Some(SIZE),
            _ => self.next_in_trailers(byte),
        }
    }

    /// [`Self::next`] in the trailer section, whose lines are those of a head.
    fn next_in_trailers(&mut self, byte: u8) -> Option<At> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > self.limits.size {
            return None;
        }
        match (self.at, byte) {
            (At::Line, b'\r') => Some(At::EndLf),
            (At::Line, byte) if bytes::is_token_byte(byte) => {
                self.trailers += 1;
                (self.trailers <= self.limits.fields).then_some(At::Name)
            }
            (At::Name, b':') => Some(At::Value),
            (At::Name, byte) if bytes::is_token_byte(byte) => Some(At::Name),
            (At::Value, b'\r') => Some(At::ValueLf),
            (At::Value, byte) if bytes::is_value(byte) => Some(At::Value),
            (At::ValueLf, b'\n') => Some(At::Line),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        size: 1024,
        fields: 4,
    };

    /// The outcome is the same however the bytes are cut.
    fn step(body: &[u8]) -> Step {
        let whole = Chunked::new(LIMITS).step(body);
        let mut chunked = Chunked::new(LIMITS);
        let bytewise = body.iter().enumerate().find_map(|(i, byte)| {
            match chunked.step(std::slice::from_ref(byte)) {
                Step::More => None,
                Step::End(n) => Some(Step::End(i + n)),
                Step::Unsound(n) => Some(Step::Unsound(i + n)),
            }
        });
        assert_eq!(
            whole,
            bytewise.unwrap_or(Step::More),
            "{}",
            body.escape_ascii()
        );
        whole
    }

    #[test]
    fn a_sound_body_ends_where_it_says() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "00005\r\nhello\r\n000\r\n\r\n",
            "A\r\n0123456789\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
            "5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n",
            "0\r\nX-Sum: 1\r\nY:\r\n\r\n",
        ] {
            let followed = [body.as_bytes(), b"GET"].concat();
            assert_eq!(step(&followed), Step::End(body.len()), "{body:?}");
        }
    }

    #[test]
    fn data_and_trailers_are_told_from_framing() {
        let body = b"5;x\r\nhello\r\n2\r\n, \r\n0\r\nA: b\r\n\r\nrest";
        for cut in 1..body.len() {
            let (mut data, mut trailers) = (Vec::new(), Vec::new());
            let mut chunked = Chunked::new(LIMITS);
            let mut ended = false;
            for mut bytes in body.chunks(cut) {
                while !bytes.is_empty() && !ended {
                    let n = match chunked.piece(bytes) {
                        Piece::Framing(n) => n,
                        Piece::Data(n) => {
                            data.extend_from_slice(&bytes[..n]);
                            n
                        }
                        piece @ (Piece::Trailers(n) | Piece::End(n)) => {
                            trailers.extend_from_slice(&bytes[..n]);
                            ended = matches!(piece, Piece::End(_));
                            n
                        }
                        Piece::Unsound(n) => panic!("unsound after {n}"),
                    };
                    bytes = &bytes[n..];
                }
            }
            assert_eq!(data, b"hello, ");
            assert_eq!(trailers, b"A: b\r\n\r\n");
        }
    }

    #[test]
    fn what_two_parsers_read_differently_is_unsound() {
        for body in [
            "0x5\r\nhello",
            "+5\r\nhello",
            "-5\r\nhello",
            "5 \r\nhello",
            " 5\r\nhello",
            "5_0\r\n",
            "\r\n",
            "\n",
            "5\nhello",
            "5\rhello",
            "5;a\nhello",
            "5;a\x00\r\nhello",
            "5;a\rb\r\n",
            "10000000000000000\r\n",
            "00000000000000005\r\n",
            "5\r\nhelloX",
            "5\r\nhello\n",
            "5\r\nhello\r5",
            "g\r\n",
            "0\r\n X: 1\r\n",
            "0\r\nX : 1\r\n",
            "0\r\nX\r\n",
            "0\r\n: 1\r\n",
            "0\r\nX: 1\n",
            "0\r\nX: \x00\r\n",
            "0\r\n\n",
            "0\n\n",
            "0\r\n\rX",
            "0\r\na:\r\nb:\r\nc:\r\nd:\r\ne:\r\n\r\n",
        ] {
            assert!(
                matches!(step(body.as_bytes()), Step::Unsound(_)),
                "{body:?}"
            );
        }
    }

    #[test]
    fn extensions_and_trailers_have_an_end() {
        let extension = format!("1;{}", "x".repeat(MAX_EXTENSIONS as usize + 1));
        assert!(matches!(step(extension.as_bytes()), Step::Unsound(_)));
        let trailer = format!("0\r\nx:{}", "x".repeat(LIMITS.size as usize));
        assert!(matches!(step(trailer.as_bytes()), Step::Unsound(_)));
    }

    proptest! {
        #[test]
        fn every_body_of_chunks_ends_behind_its_last_byte(chunks in proptest::collection::vec("[a-z\r\n0]{1,40}", 0..8)) {
            let mut body = String::new();
            for chunk in &chunks {
                body.push_str(&format!("{:X}\r\n{chunk}\r\n", chunk.len()));
            }
            body.push_str("0\r\n\r\n");
            prop_assert_eq!(step(body.as_bytes()), Step::End(body.len()));
        }

        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = step(&body);
        }
    }
}
